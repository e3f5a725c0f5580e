"""One process of a run: train some steps and write what happened.

Started by equal_runs.py, with the variables of torch.distributed in the
environment if there are several processes.
"""
import argparse
import json

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from genpercept_mm.registry import MODELS

# Steps whose gradients are kept
KEPT = 3
GROUPS = 8


class Recorder(Hook):
    """Keep the losses of all steps and the gradients of the first ones."""

    def __init__(self):
        self.losses, self.gradients, self.images = [], [], []

    def before_train(self, runner):
        names = {id(parameter): name for name, parameter
                 in runner.model.named_parameters()}

        def keep(optimizer, args, kwargs):
            if len(self.gradients) < KEPT:
                self.gradients.append({
                    names[id(parameter)]: parameter.grad.clone()
                    for group in optimizer.param_groups
                    for parameter in group['params']
                    if parameter.grad is not None})

        runner.optim_wrapper.optimizer.register_step_pre_hook(keep)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.images.append([
            sample.get('img_path') for sample in data_batch['data_samples']])

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        loss = outputs['loss'].detach().double()
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(loss)
            loss /= torch.distributed.get_world_size()
        self.losses.append(float(loss))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('out')
    parser.add_argument('--options', type=json.loads, default={})
    parser.add_argument('--step', type=int, required=True)
    parser.add_argument('--micro-batch', type=int, required=True)
    parser.add_argument('--steps', type=int, required=True)
    parser.add_argument('--optimizer', choices=['SGD', 'Adam'])
    parser.add_argument('--dtype', choices=['float32', 'float64'])
    parser.add_argument('--launcher', default='none')
    parser.add_argument('--work-dir', required=True)
    return parser.parse_args()


def make_config(args):
    """Shorten a config to steps of plain SGD or Adam, with logs of nothing."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.options)
    per_image(cfg.model)
    cfg.train_dataloader.update(
        batch_size=args.micro_batch, num_workers=0, persistent_workers=False)
    cfg.train_cfg = dict(
        type='genpercept_mm.StepBasedTrainLoop', max_iters=args.steps,
        val_interval=args.steps + 1, batch_size=args.step)
    rate = dict(SGD=1e-2, Adam=1e-4)[args.optimizer]
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type=args.optimizer, lr=rate))
    cfg.update(
        work_dir=args.work_dir, launcher=args.launcher,
        randomness=dict(seed=0), log_level='WARNING',
        default_hooks=dict(logger=None, checkpoint=None))
    return cfg


def per_image(model):
    """Let dense losses in a config average over images."""
    if isinstance(model, dict):
        name = str(model.get('type', ''))
        if name.startswith('genpercept_mm.') and name.endswith('Loss'):
            model['reduction'] = 'image'
        for value in model.values():
            per_image(value)
    elif isinstance(model, (list, tuple)):
        for value in model:
            per_image(value)


def without_batch_norm(model):
    """Put group norm in the place of batch norm, whose result depends on the
    images that run at once."""
    for name, child in model.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(model, name, nn.GroupNorm(
                GROUPS, child.num_features, eps=child.eps))
        else:
            without_batch_norm(child)


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
    without_batch_norm(model)
    recorder = Recorder()
    runner = Runner(
        model.to(getattr(torch, args.dtype)), cfg.work_dir, custom_hooks=[
            recorder], cfg=cfg, **{key: cfg[key] for key in (
                'train_dataloader', 'train_cfg', 'optim_wrapper',
                'default_hooks', 'launcher', 'env_cfg', 'log_level',
                'randomness', 'default_scope')})
    runner.train()
    rank, world_size = get_dist_info()
    if rank == 0:
        weights = runner.model.module if world_size > 1 else runner.model
        torch.save(dict(
            losses=recorder.losses, images=recorder.images,
            gradients=[{name.removeprefix('module.'): value
                        for name, value in step.items()}
                       for step in recorder.gradients],
            weights=weights.state_dict()), args.out)


if __name__ == '__main__':
    main()
