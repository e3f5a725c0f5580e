"""One process of a run: train some steps and save what happened.

Started by equal_runs.py, with the variables of torch.distributed in the
environment if there are several processes.
"""
import argparse
import json
import os

import torch
from cases import KILLED
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from genpercept_mm.registry import MODELS

# First steps whose gradients are kept, as are those of the last one
KEPT = 3


class Recorder(Hook):
    """Keep the losses of all steps, and the gradients of the first ones and
    of the last.

    Args:
        kill_at (int, optional): Step in which the process ends without notice.
            Defaults to None.
    """

    def __init__(self, kill_at=None):
        self.kill_at = kill_at
        self.start, self.losses, self.gradients = 0, [], {}

    def before_train(self, runner):
        self.start = runner.iter
        names = {id(parameter): name for name, parameter
                 in runner.model.named_parameters()}

        def keep(optimizer, args, kwargs):
            if runner.iter < KEPT or runner.iter + 1 == runner.max_iters:
                self.gradients[runner.iter] = {
                    names[id(parameter)].removeprefix('module.'):
                    parameter.grad.clone()
                    for group in optimizer.param_groups
                    for parameter in group['params']
                    if parameter.grad is not None}

        runner.optim_wrapper.optimizer.register_step_pre_hook(keep)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == self.kill_at:
            os._exit(KILLED)

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.losses.append(float(outputs['loss']))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('out')
    parser.add_argument('--options', type=json.loads, default={})
    parser.add_argument('--step', type=int, required=True)
    parser.add_argument('--micro-batch', type=int, required=True)
    parser.add_argument('--workers', type=int, default=0)
    parser.add_argument('--steps', type=int, required=True)
    parser.add_argument('--save-every', type=int, metavar='STEPS')
    parser.add_argument('--kill-at', type=int, metavar='STEP')
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--optimizer', choices=['SGD', 'Adam'])
    parser.add_argument('--dtype', choices=['float32', 'float64'])
    parser.add_argument('--launcher', default='none')
    parser.add_argument('--work-dir', required=True)
    return parser.parse_args()


def make_config(args):
    """Shorten a config to steps of plain SGD or Adam, without logs."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.options)
    cfg.train_dataloader.update(
        batch_size=args.micro_batch, num_workers=args.workers,
        persistent_workers=False)
    cfg.train_cfg.update(
        max_iters=args.steps, val_interval=args.steps + 1,
        batch_size=args.step)
    rate = dict(SGD=1e-3, Adam=1e-4)[args.optimizer]
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type=args.optimizer, lr=rate))
    cfg.update(
        work_dir=args.work_dir, launcher=args.launcher, resume=args.resume,
        log_level='WARNING')
    # mmpose's configs leave it to chance
    cfg.setdefault('randomness', dict(seed=2024))
    hooks = cfg.default_hooks
    hooks.logger = None
    hooks.checkpoint = dict(
        type='genpercept_mm.SafeCheckpointHook', by_epoch=False,
        interval=args.save_every) if args.save_every else None
    return cfg


def main():
    args = parse_args()
    cfg = make_config(args)
    if args.launcher != 'none':
        # mmengine's own start needs a CUDA device
        torch.distributed.init_process_group('gloo')
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    recorder = Recorder(args.kill_at)
    runner = Runner(
        model.to(getattr(torch, args.dtype)), cfg.work_dir, custom_hooks=[
            recorder], cfg=cfg, **{key: cfg[key] for key in (
                'train_dataloader', 'train_cfg', 'optim_wrapper',
                'default_hooks', 'launcher', 'env_cfg', 'log_level',
                'randomness', 'default_scope', 'resume')})
    runner.train()
    rank, world_size = get_dist_info()
    if rank == 0:
        weights = runner.model.module if world_size > 1 else runner.model
        torch.save(dict(
            start=recorder.start, losses=recorder.losses,
            gradients=recorder.gradients, weights=weights.state_dict()),
            args.out)


if __name__ == '__main__':
    main()
