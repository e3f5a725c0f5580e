"""Show that trainings do not depend on how their steps are divided.

Trains every mini config (LoRA, frozen, Marigold, latent and image losses
among them) for some steps, in one process with whole steps, in two and four
processes, and with accumulated micro batches, some also with workers and
killed half-way and resumed, and compares losses, gradients and weights. Writes
equal_runs.json as it goes, and curves.png; runs that are there are not
repeated. UPerNet has group norm and the pose head no norm, as the result of
batch norm depends on the images that run at once. Needs the data of the demos
(tools/dataset_converters/miniworld.py).
"""
import argparse
import json
import os
import os.path as osp
import socket
import subprocess
import sys
import tempfile
import time

import torch
from equality.cases import (
    CASES,
    KILLED,
    RESUMED,
    RESUMED_SPLITS,
    SPLITS,
)
from equality.differences import compare

from genpercept_mm.utils.files import write_bytes

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
PART = osp.join(osp.dirname(osp.abspath(__file__)), 'equality', 'run_part.py')
#: A key's bias adds the same to all scores of a softmax, so its true gradient
#: is zero, and what is left is rounding.
NO_GRADIENT = ('.to_k.bias', )


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, metavar='DIR')
    parser.add_argument('--cases', nargs='+', choices=CASES,
                        default=list(CASES))
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--dtype', choices=['float32', 'float64'],
                        default='float64')
    parser.add_argument('--optimizer', choices=['SGD', 'Adam'],
                        default='SGD')
    parser.add_argument('--max-processes', type=int, default=4,
                        help='leave out divisions with more')
    return parser.parse_args()


def run(name, split, args):
    """Train, unless the result is there, and return it."""
    case = CASES[name]
    words = describe(split, case).replace(',', '').replace(' ', '-')
    label = f'{name}_{words}_{args.steps}_{args.optimizer}_{args.dtype}'
    path = osp.join(args.out, 'runs', f'{label}.pt')
    if osp.isfile(path):
        return torch.load(path, weights_only=True)
    os.makedirs(osp.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out) as work_dir:

        def command(split, *more):
            return [
                sys.executable, PART, osp.join(ROOT, case.config),
                f'{path}.part',
                '--options', json.dumps(case.options),
                '--step', str(case.step), '--steps', str(args.steps),
                '--micro-batch', str(split.micro_batch),
                '--workers', str(split.workers), '--work-dir', work_dir,
                '--optimizer', args.optimizer, '--dtype', args.dtype, *more]

        if split.resumed:
            start(command(SPLITS[0], '--save-every', str(args.steps // 2),
                          '--kill-at', str(args.steps - 1)), 1, status=KILLED)
            start(command(split, '--resume'), split.processes)
        else:
            start(command(split), split.processes)
    os.replace(f'{path}.part', path)
    return torch.load(path, weights_only=True)


def describe(split, case):
    """Name a split in words."""
    return (f'{split.processes} x {split.micro_batch}'
            + (' accumulated' if split.processes * split.micro_batch
               < case.step else '')
            + (f', {split.workers} workers' if split.workers else '')
            + (', killed and resumed' if split.resumed else ''))


def start(command, processes, status=0):
    """Run a command in one process, or as so many ranks over gloo, which
    must end with a status."""
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore',
               PYTHONPATH=ROOT)
    if processes == 1:
        done = subprocess.run(command, env=env)
        if done.returncode != status:
            raise subprocess.CalledProcessError(done.returncode, command)
        return
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    ranks = [subprocess.Popen(
        [*command, '--launcher', 'pytorch'], env=dict(
            env, RANK=str(rank), LOCAL_RANK=str(rank), MASTER_PORT=port,
            MASTER_ADDR='127.0.0.1', WORLD_SIZE=str(processes)))
        for rank in range(processes)]
    try:
        # the others wait for one that has failed
        while any(rank.poll() is None for rank in ranks):
            time.sleep(.1)
            if any(rank.poll() for rank in ranks):
                break
        if any(rank.poll() != 0 for rank in ranks):
            raise subprocess.CalledProcessError(1, command)
    finally:
        for rank in ranks:
            rank.kill()


def draw(curves, path):
    """Draw the loss curves of all divisions of each case."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    columns = 4
    rows = -(-len(curves) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(12, 2.4 * rows), squeeze=False)
    styles = ('-', '--', '-.', ':', '--', '-.', ':')
    for axis, (name, runs) in zip(axes.flat, curves.items()):
        for style, (split, losses) in zip(styles, runs.items()):
            axis.plot(losses, style, label=split, linewidth=2)
        axis.set_title(name)
    for axis in axes.flat[len(curves):]:
        axis.axis('off')
    axes.flat[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


def main():
    args = parse_args()
    rows, curves = [], {}
    for name in args.cases:
        reference = None
        for split in SPLITS + (RESUMED_SPLITS if name in RESUMED else ()):
            if split.processes > args.max_processes:
                continue
            result = run(name, split, args)
            label = describe(split, CASES[name])
            curves.setdefault(name, {})[label] = (
                [None] * result['start'] + result['losses'])
            if reference is None:
                reference = result
                continue
            differences = compare(result, reference, NO_GRADIENT)
            rows.append(dict(
                config=CASES[name].config, case=name, split=label,
                steps=args.steps, dtype=args.dtype, optimizer=args.optimizer,
                largest_relative_difference=max(differences.values()),
                **differences))
            print(f'{name}, {label}: ' + ', '.join(
                f'{key} {value:.1e}' for key, value in differences.items()),
                flush=True)
            write_bytes(osp.join(args.out, 'equal_runs.json'), (json.dumps(
                dict(rows=rows), indent=1) + '\n').encode())
    draw(curves, osp.join(args.out, 'curves.png'))
    print(osp.join(args.out, 'equal_runs.json'))


if __name__ == '__main__':
    main()
