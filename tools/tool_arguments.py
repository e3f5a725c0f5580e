"""Flags that tools/train.py and tools/test.py share."""
import os
import os.path as osp

import torch
import torch.distributed
from mmengine.config import DictAction

# lets mmengine load .safetensors checkpoints
from genpercept_mm.utils import safetensors_checkpoint  # noqa: F401


def add_common_arguments(parser):
    """Add the flags that OpenMMLab's train and test tools share."""
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override config values: key=value, nested with dots; lists as '
        'key="[a,b]"')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # torch.distributed.launch passes --local-rank
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def prepare_config(cfg, args):
    """Apply the shared flags to a config, in place.

    The work dir comes from the command line, else from the config, and is
    ``./work_dirs/<config name>`` otherwise.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.launcher == 'pytorch' and not torch.cuda.is_available():
        _distribute_over_cpus(cfg)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', name)


def add_amp(parser, purpose):
    """Add ``--amp``; ``purpose`` is the beginning of its help."""
    parser.add_argument(
        '--amp', nargs='?', const='auto', choices=['auto', 'bf16', 'fp16'],
        help=f'{purpose} in mixed precision: bf16 or fp16; without a value, '
        'bf16 where the device has it (mmdet: fp16)')


def amp_dtype(amp, scope=None):
    """Return ``'bfloat16'`` or ``'float16'`` for a value of ``--amp`` and the
    default scope of a config."""
    if amp == 'auto':
        # mmdet makes boxes in the type of the scores, which bf16 rounds to 8
        # pixels and NumPy does not take
        lacking = torch.cuda.is_available() and not (
            torch.cuda.is_bf16_supported(including_emulation=False))
        amp = 'fp16' if lacking or scope == 'mmdet' else 'bf16'
    return dict(bf16='bfloat16', fp16='float16')[amp]


def add_autocast(cfg, dtype):
    """Let a config validate and test in mixed precision; detectors, whose
    boxes would be rounded, stay in fp32."""
    if cfg.get('default_scope') != 'mmdet':
        add_hooks(cfg, dict(type='AutocastHook', dtype=dtype))


def add_hooks(cfg, *names):
    """Add hooks of this package to ``default_hooks``, unless the config has
    them: ``custom_hooks`` of a user's config replaces that of its base. A hook
    is a name or a dict."""
    there = {str(getattr(hook.get('type'), '__name__', hook.get('type')))
             .split('.')[-1] for hook in (
                 *(cfg.get('custom_hooks') or ()),
                 *(cfg.get('default_hooks') or {}).values()) if hook}
    for name in names:
        hook = name if isinstance(name, dict) else dict(type=name)
        name = hook['type']
        if name not in there:
            cfg.default_hooks = dict(
                cfg.get('default_hooks') or {}, **{
                    name: dict(hook, type=f'genpercept_mm.{name}')})


def _distribute_over_cpus(cfg):
    """Start a gloo group, as mmengine's own start needs a CUDA device."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    cfg.setdefault(
        'model_wrapper_cfg',
        dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False)))
