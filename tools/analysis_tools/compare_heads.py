"""Train heads beside each other on the data of the demos: accuracy and time.

Every head is trained with each learning rate and the first seed, then, at its
best rate, with the other seeds, all for the same number of steps; and, so
that all take equal minutes, again for as many steps as the first head of the
task needs time for. Writes heads.json as it goes, and a table of each task;
trainings that are there are not repeated. Needs the data of the demos
(tools/dataset_converters/miniworld.py).
"""
import argparse
import json
import os
import os.path as osp
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from math import isfinite
from statistics import mean, stdev
from threading import Lock

from mmengine.config import Config
from reproduction.markdown import markdown_table

from genpercept_mm.utils.files import write_bytes

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
MINI = osp.join(ROOT, 'configs', 'mini')
BLOCKS = [32, 64, 96, 96]
#: task: config, metric, whether more is better, heads, rates
TASKS = dict(
    depth=('vae_mini-hypersim-depth', 'abs_rel', False),
    normal=('vae_mini-hypersim-normal', 'mean', False),
    dis=('vae_mini-dis5k-dis', 'mae', False),
    matting=('vae_mini-p3m10k-matting', 'mad', False),
    seg=('upernet_mini-hypersim', 'mIoU', True))
RATES = dict(seg=(1e-3, 2e-3, 4e-3))
#: heads of all tasks but seg, beside the config's own VAE head
HEADS = dict(
    vae=None,
    dpt=((0, 1, 2, 3), dict(
        type='genpercept_mm.DPTDecodeHead', in_channels=BLOCKS, channels=64,
        head_channels=16)),
    readout=((5, ), dict(type='genpercept_mm.ReadoutHead', in_channels=32)),
    readout_4=((0, 1, 2, 3), dict(
        type='genpercept_mm.ReadoutHead', in_channels=BLOCKS, channels=128,
        norm_groups=8)))
#: heads of seg, beside the config's own UPerNet
SEG_HEADS = dict(
    upernet=None,
    readout=((5, ), dict(in_channels=32, channels=32)),
    readout_4=((0, 1, 2, 3), dict(
        in_channels=BLOCKS, in_index=[0, 1, 2, 3],
        input_transform='resize_concat', channels=128,
        norm_cfg=dict(type='GN', num_groups=8), act_cfg=dict(type='SiLU'))))


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, metavar='DIR')
    parser.add_argument('--tasks', nargs='+', choices=TASKS,
                        default=list(TASKS))
    parser.add_argument('--heads', nargs='+', metavar='HEAD',
                        choices=sorted({*HEADS, *SEG_HEADS}))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--steps', type=int, default=500)
    parser.add_argument('--jobs', type=int, default=1,
                        help='trainings at a time; their times are those '
                        'beside each other')
    return parser.parse_args()


def heads_of(task):
    """Return the heads that a task is trained with, by name."""
    return SEG_HEADS if task == 'seg' else HEADS


def make_config(task, head, rate, seed, steps):
    """Make the config of a training.

    Args:
        task (str): Key of ``TASKS``.
        head (str): Key of ``heads_of(task)``.
        rate (float): Peak learning rate.
        seed (int): Seed for initial weights, the order of images and
            augmentation.
        steps (int): Optimizer steps; the learning rate schedule is stretched
            to fit.

    Returns:
        Config: For tools/train.py; it validates at the end.
    """
    cfg = Config.fromfile(f'{MINI}/genpercept_{TASKS[task][0]}.py')
    own = cfg.model.decode_head
    change = heads_of(task)[head]
    if change is not None:
        cfg.model.backbone.out_indices, fields = change
        kept = ('num_classes', 'dropout_ratio', 'align_corners', 'loss_decode',
                ) if task == 'seg' else ('codec', 'loss_decode')
        if task == 'seg':
            fields = dict(fields, type='genpercept_mm.ReadoutSegHead')
            cfg.model.auxiliary_head = None
        cfg.model.decode_head = dict(
            fields, **{key: own[key] for key in kept})
    share = steps / cfg.train_cfg.max_iters
    for phase in cfg.param_scheduler:
        phase.update({key: max(round(phase[key] * share), 1)
                      for key in ('begin', 'end') if key in phase})
    cfg.train_cfg.update(max_iters=steps, val_interval=steps)
    cfg.optim_wrapper.optimizer.lr = rate
    cfg.randomness = dict(seed=seed)
    cfg.default_hooks.checkpoint = dict(
        type='genpercept_mm.SafeCheckpointHook', by_epoch=False,
        interval=steps)
    cfg.default_hooks.logger.interval = max(steps // 10, 1)
    cfg.default_hooks.visualization.draw = False
    return cfg


def read_scores(work_dir, metric):
    """Read the score and the median seconds of a step from a training's log.
    """
    with open(max(glob(f'{work_dir}/*/vis_data/scalars.json'))) as file:
        lines = [json.loads(line) for line in file]
    times = sorted(line['time'] for line in lines if 'loss' in line)
    value, = (value for line in lines for key, value in line.items()
              if 'loss' not in line and key.split('/')[-1] == metric)
    return value, times[len(times) // 2]


class Trainings:
    """Trainings whose results are kept in a file.

    Args:
        folder (str): For heads.json and the trainings.
        jobs (int): Trainings at a time.
    """

    def __init__(self, folder, jobs):
        self.folder, self.jobs, self.lock = folder, jobs, Lock()
        self.path, self.rows = osp.join(folder, 'heads.json'), []
        os.makedirs(folder, exist_ok=True)
        if osp.isfile(self.path):
            with open(self.path) as file:
                self.rows = json.load(file)['rows']

    def run(self, settings):
        """Train what is not there yet.

        Args:
            settings (Sequence[dict]): Arguments of `make_config`.

        Returns:
            list[dict]: Each with ``value`` and ``seconds`` of a step, None if
            the training failed.
        """
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(self._one, settings))

    def _one(self, setting):
        for row in self.rows:
            if all(row[key] == value for key, value in setting.items()):
                return row
        work_dir = osp.join(self.folder, 'trainings', '_'.join(
            str(value) for value in setting.values()))
        os.makedirs(work_dir, exist_ok=True)
        config = osp.join(work_dir, 'config.py')
        make_config(**setting).dump(config)
        done = subprocess.run(
            [sys.executable, 'tools/train.py', config, '--work-dir', work_dir],
            cwd=ROOT, stdout=subprocess.DEVNULL, env=dict(
                os.environ, OMP_NUM_THREADS='1', PYTHONPATH=ROOT))
        # a rate may be too high
        value = seconds = None
        if done.returncode == 0:
            value, seconds = read_scores(work_dir, TASKS[setting['task']][1])
        row = dict(setting, value=value, seconds=seconds)
        with self.lock:
            self.rows.append(row)
            write_bytes(self.path, json.dumps(
                dict(rows=self.rows), indent=1).encode())
            print(row, flush=True)
        return row


def compare(task, names, seeds, steps, trainings):
    """Train the heads of a task, and return rows of the table."""
    best = max if TASKS[task][2] else min
    searched = trainings.run([
        dict(task=task, head=head, rate=rate, seed=seeds[0], steps=steps)
        for head in names for rate in RATES.get(task, (5e-4, 1e-3, 2e-3))])
    rates = {head: best(
        (row for row in searched if row['head'] == head
         and row['value'] is not None and isfinite(row['value'])),
        key=lambda row: row['value'])['rate'] for head in names}
    equal = trainings.run([
        dict(task=task, head=head, rate=rates[head], seed=seed, steps=steps)
        for head in names for seed in seeds])
    times = {head: mean(row['seconds'] for row in equal
                        if row['head'] == head) for head in names}
    lengths = {head: max(round(steps * times[names[0]] / times[head], -1), 10)
               for head in names}
    longer = trainings.run([
        dict(task=task, head=head, rate=rates[head], seed=seed,
             steps=int(lengths[head]))
        for head in names[1:] for seed in seeds])
    rows = []
    for head in names:
        values, more = ([row['value'] for row in part if row['head'] == head]
                        for part in (equal, longer))
        rows.append([
            task, head, f'{rates[head]:g}', describe(values),
            f'{times[head] / times[names[0]]:.2f}',
            f'{int(lengths[head])}', describe(more or values)])
    return rows


def describe(values):
    """Write mean and standard deviation of some scores."""
    spread = f' ± {stdev(values):.4f}' if len(values) > 1 else ''
    return f'{mean(values):.4f}{spread}'


def main():
    args = parse_args()
    trainings = Trainings(osp.abspath(args.out), args.jobs)
    for task in args.tasks:
        names = [head for head in heads_of(task)
                 if args.heads is None or head in args.heads]
        rows = compare(task, names, args.seeds, args.steps, trainings)
        write_bytes(osp.join(args.out, f'heads_{task}.md'), markdown_table(
            ['task', 'head', 'best rate', f'after {args.steps} steps',
             'time of a step', 'steps in equal minutes',
             'after equal minutes'], rows).encode())
        print(osp.join(args.out, f'heads_{task}.md'))


if __name__ == '__main__':
    main()
