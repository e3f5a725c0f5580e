"""Test a checkpoint: the stock Runner on any mmseg, mmpose or mmdet config.
"""
import argparse
import os.path as osp

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, RUNNERS, DefaultScope
from mmengine.runner import Runner

# imports this package before the host's models, as compat acts on import
from tool_arguments import (
    add_amp,
    add_autocast,
    add_common_arguments,
    add_hooks,
    amp_dtype,
    prepare_config,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help='predictions: a folder for the files that the metric writes '
        '(mmseg: PNG label maps; COCO metrics: results JSON), or a .pkl file '
        'for raw results')
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--show-dir', help='folder for pictures of predictions and labels')
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds that --show keeps each picture')
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--deploy', action='store_true', help='fold prompt, timestep, LoRA '
        'and other constants into the weights first: faster, and the same to '
        'rounding')
    add_amp(parser, 'predict')
    add_common_arguments(parser)
    return parser.parse_args()


def set_output(cfg, out):
    """Let the evaluator write predictions to a folder or a .pkl file."""
    evaluators = cfg.test_evaluator
    if not isinstance(evaluators, (list, tuple)):
        evaluators = [evaluators]
    if out.endswith(('.pkl', '.pickle')):
        kind = ('mmdet.DumpDetResults' if cfg.get('default_scope') == 'mmdet'
                else 'DumpResults')
        cfg.test_evaluator = [
            *evaluators, dict(type=kind, out_file_path=out)]
    elif cfg.get('default_scope') == 'mmseg':
        for evaluator in evaluators:
            # several data sets may have files of the same name
            name = evaluator.get('dataset_name') or ''
            # one over several sets comes beside those of each
            if isinstance(name, str):
                evaluator.output_dir = osp.join(out, name)
            _keep_folders(cfg, evaluator)
    else:
        # pure Python configs have classes
        names = [getattr(evaluator.type, '__name__', evaluator.type)
                 for evaluator in evaluators]
        writers = [(evaluator, name.split('.')[-1])
                   for evaluator, name in zip(evaluators, names)
                   if 'Coco' in name]
        if not writers:
            raise ValueError('--out must be a .pkl file for the evaluators '
                             f'{names}, got {out!r}.')
        for evaluator, name in writers:
            evaluator.outfile_prefix = osp.join(
                out, 'results' if len(writers) == 1 else name)


def _keep_folders(cfg, evaluator):
    """Let mmseg's metric keep the sub-folders of images in its files."""
    kind = getattr(evaluator.type, '__name__', evaluator.type)
    if kind in ('IoUMetric', 'mmseg.IoUMetric'):
        evaluator.type = kind = 'genpercept_mm.SegIoUMetric'
    dataset = cfg.test_dataloader.dataset
    folder = (dataset.get('data_prefix') or {}).get('img_path')
    if kind == 'genpercept_mm.SegIoUMetric' and folder is not None:
        evaluator.setdefault('image_root', osp.join(
            dataset.get('data_root') or '', folder))


def set_pictures(cfg, args):
    """Turn the host's visualization hook on."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError('--show and --show-dir need default_hooks.'
                         'visualization in the config.')
    scope = cfg.get('default_scope')
    hook['enable' if scope == 'mmpose' else 'draw'] = True
    if args.show:
        hook.update(show=True, wait_time=args.wait_time)
    if args.show_dir:
        if scope == 'mmseg':
            hook['interval'] = 1
            cfg.visualizer['save_dir'] = args.show_dir
        else:
            folder = 'out_dir' if scope == 'mmpose' else 'test_out_dir'
            hook[folder] = args.show_dir


def set_tta(cfg):
    """Wrap model and pipeline for test-time augmentation; models that know
    how to mirror a prediction flip by themselves."""
    kind = cfg.model.type
    if isinstance(kind, str):
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            kind = MODELS.get(kind)
    if getattr(kind, 'flips_by_test_cfg', False):
        cfg.merge_from_dict({'model.test_cfg.flip': True})
        return
    lacking = [key for key in ('tta_model', 'tta_pipeline')
               if key not in cfg]
    if lacking:
        raise ValueError(f'--tta needs {" and ".join(lacking)} in the config.')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)


def main():
    args = parse_args()
    cfg = Config.fromfile(args.config)
    prepare_config(cfg, args)
    cfg.load_from = args.checkpoint
    # the first one fills up checkpoints that hold trained weights only
    add_hooks(cfg, 'TrainedWeightsHook', 'StrictLoadHook', 'FiniteGuardHook',
              'ClassNamesHook', 'LabelCheckHook')
    if args.deploy:
        add_hooks(cfg, 'DeployHook')
    if args.amp:
        add_autocast(cfg, amp_dtype(args.amp, cfg.get('default_scope')))
    if args.show or args.show_dir:
        set_pictures(cfg, args)
    if args.tta:
        set_tta(cfg)
    if args.out is not None:
        set_output(cfg, args.out)
    # some hosts bring a runner of their own
    runner = (
        RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg))
    runner.test()


if __name__ == '__main__':
    main()
