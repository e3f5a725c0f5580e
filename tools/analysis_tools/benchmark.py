"""Time a config's model part by part, next to plain diffusers.

The peer has the same weights, called through diffusers' own classes in the
same process: AutoencoderKL.encode for the stem, UNet2DConditionModel for the
U-Net and, with --train, a hand-written loop with the same heads and losses on
features that forward hooks collect. It also runs the U-Net's two output
layers, which ours omits if no latent is asked for. The weights are random, as
speed does not depend on them, and nothing is downloaded. With --loader, the
config's training data are read as well, to see whether they keep up.

With --suite, all variants of a prediction are timed in turns instead: heads,
precisions, folded and compiled, next to diffusers and its Marigold pipeline.
Results are written to --out as they come; an interrupted suite continues.
"""
import argparse
import os
import os.path as osp

import torch
from benchmarking.clock import DTYPES, Clock
from benchmarking.hardware import describe_hardware
from benchmarking.plain_diffusers import PlainDiffusers
from benchmarking.sd_parts import (
    build_model,
    make_batch,
    time_inference,
    time_loader,
    time_training,
)
from benchmarking.suite import ROWS, SUITES, run_suite
from benchmarking.variants import CONFIGS
from mmengine.config import Config, DictAction
from mmengine.runner import Runner


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', nargs='?', help='an mmseg config with an SDUNet')
    parser.add_argument(
        '--suite', choices=sorted(SUITES), help='time all variants instead')
    parser.add_argument(
        '--out', default='work_dirs/benchmark',
        help='folder for benchmark.json and benchmark.md of --suite')
    parser.add_argument(
        '--arch', choices=sorted(CONFIGS), default='sd21',
        help='architecture of --suite')
    parser.add_argument(
        '--size', type=int, help='edge of the images of --suite')
    parser.add_argument(
        '--full', action='store_true',
        help='--suite: batches of 8 as well')
    parser.add_argument(
        '--only', nargs='+', choices=sorted(ROWS), metavar='ROW',
        help='--suite: time these rows only')
    parser.add_argument(
        '--shape', type=int, nargs=2, default=[512, 512],
        metavar=('H', 'W'), help='image size')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--dtype', choices=sorted(DTYPES), default='fp32',
        help='autocast to this type')
    parser.add_argument(
        '--train', action='store_true', help='also time training iterations')
    parser.add_argument(
        '--loader', action='store_true',
        help="also time the config's train_dataloader; its data must exist")
    parser.add_argument(
        '--iters', type=int, default=10, help='timed repetitions')
    parser.add_argument(
        '--warmup', type=int, default=3,
        help='repetitions before the timed ones')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='override config values')
    args = parser.parse_args()
    if (args.config is None) == (args.suite is None):
        parser.error('give a config or --suite')
    return args


def show(name, rows, batch_size, cuda):
    """Print the parts, ours beside the peer's."""
    print(f'\n{name:<22}{"ours":>12}{"diffusers":>12}{"ratio":>8}')
    labels = dict(
        stem='stem (VAE encoder)', unet='U-Net', head='head', total='total',
        train='iteration', memory='peak memory')
    for key, values in rows.items():
        unit, scale = ('GiB', 1) if key == 'memory' else ('ms', 1000)
        if key == 'memory' and not cuda:
            # the process has a single high-water mark, reached by ours first
            values = values[:1]
        row = f'{labels[key] + " [" + unit + "]":<22}'
        row += ''.join(f'{value * scale:>12.2f}' for value in values)
        if len(values) == 2:
            row += f'{values[0] / values[1]:>8.2f}'
        print(row)
    ours, theirs = rows['total' if 'total' in rows else 'train']
    print(f'{"images per second":<22}{batch_size / ours:>12.2f}'
          f'{batch_size / theirs:>12.2f}{theirs / ours:>8.2f}')


def show_loader(cfg, images_per_second, batch_size, step_seconds):
    """Print the speed of the data beside what training needs."""
    print(f'\nloader, {cfg.train_dataloader.num_workers} workers'
          f'\nimages per second     {images_per_second:>12.2f}')
    if step_seconds is not None:
        needed = batch_size / step_seconds
        print(f'training iterations   {needed:>12.2f}'
              f'\nratio                 {images_per_second / needed:>12.2f}')


def main():
    args = parse_args()
    if args.suite is not None:
        os.makedirs(args.out, exist_ok=True)
        run_suite(args.suite, args.out, args.device, args.arch, args.size,
                  args.full, args.only, lambda text: print(text, flush=True))
        with open(osp.join(args.out, 'benchmark.md')) as file:
            print(file.read())
        return
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    torch.manual_seed(0)
    clock = Clock(args.device, args.dtype)
    model = build_model(cfg, args.device)
    peer = PlainDiffusers(model.backbone)
    batch = make_batch(model, args.batch_size, args.shape)
    machine = describe_hardware(args.device, torch.get_num_threads())
    print(f'{args.config}\n{machine["hardware"]}, torch {machine["torch"]}, '
          f'{args.dtype}, batch {args.batch_size}, '
          f'{args.shape[0]} x {args.shape[1]}, median of {args.iters}')
    measured = model, peer, batch, clock, args.iters, args.warmup
    show('inference', time_inference(*measured), args.batch_size, clock.cuda)
    step_seconds = None
    if args.train:
        rows = time_training(*measured)
        show('training', rows, args.batch_size, clock.cuda)
        step_seconds = rows['train'][0]
    if args.loader:
        loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        show_loader(cfg, time_loader(loader, args.iters, args.warmup),
                    args.batch_size, step_seconds)


if __name__ == '__main__':
    main()
