"""Train a model: the stock Runner on any mmseg, mmpose or mmdet config."""
import argparse
import sys

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from tool_arguments import (
    add_amp,
    add_autocast,
    add_common_arguments,
    add_hooks,
    amp_dtype,
    prepare_config,
)

# Before the host's models: compat acts on import
from genpercept_mm.engine.check_channels import check_channels
from genpercept_mm.engine.check_config import check_config
from genpercept_mm.engine.hooks.safe_checkpoint_hook import (
    load_where_nothing_resumes,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint; without a path, from the '
        'latest one in the work dir')
    add_amp(parser, 'train (on an accelerator) and validate')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size, relative to '
        'auto_scale_lr.base_batch_size of the config')
    add_common_arguments(parser)
    return parser.parse_args()


def set_precision(cfg, amp):
    """Train in mixed precision, and validate in the same. ``amp`` is the value
    of ``--amp``; a config's own type is kept where it names none."""
    dtype = amp_dtype(amp, cfg.get('default_scope'))
    if amp == 'auto':
        dtype = cfg.optim_wrapper.get('dtype') or dtype
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.dtype = dtype
    # bf16 has the range of fp32
    cfg.optim_wrapper.setdefault('loss_scale', dict(
        enabled=dtype == 'float16'))
    add_autocast(cfg, dtype)


def main():
    args = parse_args()
    cfg = Config.fromfile(args.config)
    prepare_config(cfg, args)
    add_hooks(cfg, 'ResumeDataHook', 'ResumeConfigHook', 'FiniteGuardHook',
              'LabelCheckHook')
    if args.amp:
        set_precision(cfg, args.amp)
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr = '
                             'dict(base_batch_size=...) in the config.')
        cfg.auto_scale_lr.enable = True
    load_from = cfg.get('load_from')
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    check_config(cfg)
    # some hosts bring a runner of their own
    runner = (
        RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg))
    check_channels(runner.model, cfg.model)
    if args.resume == 'auto' and load_from:
        load_where_nothing_resumes(runner, load_from)
    try:
        runner.train()
    except KeyboardInterrupt:
        print(f'Interrupted. Continue with --resume --work-dir {cfg.work_dir}',
              file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
