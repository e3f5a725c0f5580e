"""Make the data, train, evaluate and draw, at a size for a laptop CPU.

Ends with a table, work_dirs/demo_<task>/summary.json and grid.png. What an
earlier run finished is used again; an interrupted one continues.
"""
import argparse
import json
import os
import os.path as osp
import subprocess
import sys
import time
from glob import glob

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
DATA_ROOT = osp.join('data', 'mini_hypersim')
TASKS = dict(
    seg=dict(
        config='configs/mini/genpercept_upernet_mini-hypersim.py',
        metric='mIoU',
        higher_is_better=True))
GRID_ROWS = 6


def run(step, *command):
    """Run one of the project's commands; returns the seconds it took."""
    print(f'\n== {step}: python {" ".join(command)}', flush=True)
    start = time.time()
    # All tools must import this checkout, however it was installed
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(
        filter(None, [ROOT, os.environ.get('PYTHONPATH')])),
        PYTHONWARNINGS='ignore')
    subprocess.run([sys.executable, *command], cwd=ROOT, env=env, check=True)
    return time.time() - start


def add_seconds(work_dir, **seconds):
    """Add to the seconds that each step took over all runs."""
    path = osp.join(work_dir, 'seconds.json')
    total = {}
    if osp.isfile(path):
        with open(path) as file:
            total = json.load(file)
    for step, value in seconds.items():
        total[step] = total.get(step, 0) + value
    with open(path, 'w') as file:
        json.dump(total, file)
    return total


def finished_checkpoint(work_dir, max_iters):
    """Find the last checkpoint of a training that ran to its end: the best
    one would have been chosen on the frames it is scored on."""
    path = osp.join(work_dir, f'iter_{max_iters}.pth')
    return path if osp.isfile(path) else None


def seg_baseline(dataset):
    """Score the constant prediction of the most frequent class.

    Returns:
        tuple[float, str]: mIoU in percent as mmseg's ``IoUMetric`` computes
        it, and the name of the class.
    """
    import numpy as np
    import torch
    from mmseg.evaluation import IoUMetric
    labels = [dataset[i]['data_samples'].gt_sem_seg.data.squeeze(0)
              for i in range(len(dataset))]
    classes = dataset.metainfo['classes']
    counts = sum(torch.bincount(label.flatten(), minlength=256)
                 for label in labels)[:len(classes)]
    constant = int(counts.argmax())
    areas = [IoUMetric.intersect_and_union(
        torch.full_like(label, constant), label, len(classes), 255)
        for label in labels]
    intersect, union = (sum(image[i] for image in areas) for i in (0, 1))
    return float(np.nanmean((intersect / union).numpy()) * 100), classes[
        constant]


def draw_seg(dataset, predictions, path):
    """Draw rows of image | label | prediction, with a legend."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    import mmcv
    import numpy as np

    from genpercept_mm.datasets.hypersim_layout import frame_name
    palette = np.zeros((256, 3), np.uint8)
    palette[:40] = dataset.metainfo['palette']
    rows = np.linspace(0, len(dataset) - 1, GRID_ROWS).round().astype(int)
    figure, axes = plt.subplots(GRID_ROWS, 3, figsize=(9, 2.3 * GRID_ROWS))
    shown = set()
    for row, index in zip(axes, rows):
        sample = dataset[int(index)]['data_samples']
        name = frame_name(sample.img_path)
        label = sample.gt_sem_seg.data.squeeze(0).numpy()
        prediction = mmcv.imread(
            osp.join(predictions, f'{name}.png'), flag='unchanged')
        shown |= set(np.unique(label)) | set(np.unique(prediction))
        image = mmcv.imread(sample.img_path, channel_order='rgb')
        for axis, picture, title in zip(
                row, (image, palette[label], palette[prediction]),
                (name, 'label', 'prediction')):
            axis.imshow(picture)
            axis.set_title(title, fontsize=8)
            axis.axis('off')
    classes = dataset.metainfo['classes']
    handles = [plt.Rectangle((0, 0), 1, 1, color=palette[i] / 255)
               for i in sorted(shown) if i < 40]
    names = [classes[i] for i in sorted(shown) if i < 40]
    figure.legend(handles, names, loc='lower center', ncol=8, fontsize=8)
    figure.tight_layout(rect=(0, 0.045, 1, 1))
    figure.savefig(path, dpi=110)


def evaluate(task, checkpoint, work_dir):
    """Run tools/test.py; returns the metric and the seconds it took."""
    seconds = run('evaluate', 'tools/test.py', task['config'], checkpoint,
                  '--work-dir', work_dir, '--out',
                  osp.join(work_dir, 'predictions'))
    results = max(glob(osp.join(ROOT, work_dir, '*', '*.json')),
                  key=osp.getmtime)
    with open(results) as file:
        return json.load(file)[task['metric']], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--task', default='seg', choices=sorted(TASKS))
    parser.add_argument(
        '--max-iters', type=int, help='train for less or longer')
    parser.add_argument(
        '--num-frames', type=int, default=100, help='frames to render')
    args = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, ROOT)
    task = TASKS[args.task]
    work_dir = osp.join('work_dirs', f'demo_{args.task}')
    os.makedirs(work_dir, exist_ok=True)

    cfg = Config.fromfile(task['config'])
    if args.max_iters is not None:
        cfg.train_cfg.max_iters = args.max_iters
    max_iters = cfg.train_cfg.max_iters
    reused = finished_checkpoint(work_dir, max_iters) is not None

    data_seconds = run('data', 'tools/dataset_converters/mini_hypersim.py',
                       '--out-dir', DATA_ROOT, '--num-frames',
                       str(args.num_frames))
    if reused:
        print(f'\n== train: {work_dir} holds a finished training of '
              f'{max_iters} iterations; using it (make clean starts over)')
    else:
        add_seconds(work_dir, data=data_seconds)
        seconds = run('train', 'tools/train.py', task['config'],
                      '--work-dir', work_dir, '--resume', '--cfg-options',
                      f'train_cfg.max_iters={max_iters}')
        add_seconds(work_dir, train=seconds)
    checkpoint = finished_checkpoint(work_dir, max_iters)
    value, test_seconds = evaluate(task, checkpoint, work_dir)
    seconds = add_seconds(
        work_dir, **({} if reused else dict(test=test_seconds)))

    import genpercept_mm  # noqa: F401, registers the components
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    baseline, constant = seg_baseline(dataset)
    figure = osp.join(work_dir, 'grid.png')
    draw_seg(dataset, osp.join(work_dir, 'predictions'), figure)

    summary = dict(
        task=args.task,
        metric=task['metric'],
        value=value,
        baseline=baseline,
        higher_is_better=task['higher_is_better'],
        train_seconds=round(seconds.get('train', 0), 1),
        total_seconds=round(sum(seconds.values()), 1),
        figure=figure)
    path = osp.join(work_dir, 'summary.json')
    with open(path, 'w') as file:
        json.dump(summary, file, indent=2)
    print(f'\n{"task":<8}{"metric":<8}{"value":>8}{"baseline":>10}'
          f'{"ratio":>8}{"train s":>9}{"total s":>9}')
    print(f'{args.task:<8}{task["metric"]:<8}{value:>8.2f}{baseline:>10.2f}'
          f'{value / baseline:>8.1f}{summary["train_seconds"]:>9.0f}'
          f'{summary["total_seconds"]:>9.0f}')
    print(f'baseline: {constant!r} everywhere, on the same '
          f'{len(dataset)} frames of rooms that training has not seen\n'
          f'{path}\n{figure}')


if __name__ == '__main__':
    main()
