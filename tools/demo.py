"""Make the data, train, evaluate and draw, at a size for a laptop CPU.

Ends with a table, work_dirs/demo_<task>/summary.json and grid.png. What an
earlier run finished is used again; an interrupted one continues.
"""
import argparse
import importlib.util
import json
import os
import os.path as osp
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from glob import glob

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
HYPERSIM = ('tools/dataset_converters/mini_hypersim.py', '--out-dir',
            osp.join('data', 'mini_hypersim'))
PEOPLE = ('tools/dataset_converters/mini_people.py', '--out-dir',
          osp.join('data', 'mini_people'))
OBJECTS = ('tools/dataset_converters/mini_objects.py', '--out-dir',
           osp.join('data', 'mini_objects'))
# Config, key of the metric, its name, whether more is better, and what makes
# the data
Task = namedtuple('Task', 'config key metric higher_is_better data')
TASKS = dict(
    seg=Task('upernet_mini-hypersim', 'mIoU', 'mIoU', True, HYPERSIM),
    depth=Task('vae_mini-hypersim-depth', 'abs_rel', 'abs_rel', False,
               HYPERSIM),
    disparity=Task('vae_mini-hypersim-disparity', 'abs_rel', 'abs_rel', False,
                   HYPERSIM),
    normal=Task('vae_mini-hypersim-normal', 'mean', 'mean_angle', False,
                HYPERSIM),
    dis=Task('vae_mini-dis5k-dis', 'mae', 'MAE', False,
             (*OBJECTS, '--kind', 'dis')),
    matting=Task('vae_mini-p3m10k-matting', 'mad', 'MAD', False,
                 (*OBJECTS, '--kind', 'matting')),
    colormap=Task('vae_mini-hypersim-seg', 'mIoU', 'mIoU', True, HYPERSIM),
    pose=Task('heatmap_mini-people', 'coco/AP', 'AP', True, PEOPLE))
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


def constants(quantity, samples):
    """Name the constant maps that could score best.

    Args:
        quantity (str): What is predicted.
        samples (list[SegDataSample]): All labels.

    Returns:
        list[np.ndarray]: Values of a pixel, (K, ) each.
    """
    import numpy as np
    if quantity in ('depth', 'disparity'):
        # alignment turns any constant into the least-squares one of each
        # image; the metric knows no other
        return [np.array([.5])]
    if quantity == 'normal':
        total = sum(sample.gt_normal_map.data.sum((1, 2))
                    for sample in samples).numpy()
        return [total / np.linalg.norm(total)]
    if quantity == 'alpha':
        values = np.concatenate(
            [sample.gt_alpha_map.data.flatten() for sample in samples])
        return [np.array([value]) for value in (
            0., 1., values.mean(), np.median(values))]
    labels = np.concatenate(
        [sample.gt_sem_seg.data.flatten() for sample in samples])
    return [np.array([np.bincount(labels[labels < 255]).argmax()])]


def baseline(cfg, task, quantity, field, dataset):
    """Score the best constant prediction with the metric of the config.

    Args:
        cfg (Config): The task's.
        task (Task): Of ``TASKS``.
        quantity (str): What is predicted.
        field (str): Field of the predictions.
        dataset (BaseDataset): Test frames.

    Returns:
        tuple[float, str]: Value of the metric, and the constant.
    """
    import torch
    from mmengine.registry import METRICS
    from mmengine.structures import PixelData
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    scores = []
    for constant in constants(quantity, samples):
        evaluator = METRICS.build(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for sample in samples:
            size = sample.ori_shape[:2]
            maps = torch.as_tensor(constant).view(-1, 1, 1).expand(-1, *size)
            sample.set_data({field: PixelData(data=maps.clone())})
            evaluator.process(None, [sample.to_dict()])
        scores.append((evaluator.evaluate(len(samples))[task.key],
                       constant.round(3).tolist()))
    value, constant = (max if task.higher_is_better else min)(scores)
    if quantity == 'sem_seg':
        return value, f'{dataset.metainfo["classes"][constant[0]]!r}'
    return value, str(constant)


def dense_baseline(cfg, task):
    """Score the best constant map; see `baseline`.

    Returns:
        tuple[float, str, str]: Value of the metric, the constant, and on
        what.
    """
    from genpercept_mm.registry import CODECS
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    codec = cfg.model.decode_head.get('codec')
    codec = CODECS.build(codec) if codec else None
    value, constant = baseline(
        cfg, task, codec.quantity if codec else 'sem_seg',
        codec.pred_field if codec else 'pred_sem_seg', dataset)
    return value, f'{constant} everywhere', f'{len(dataset)} frames'


def pose_baseline(cfg):
    """Score the mean pose of training in every box, as `dense_baseline`."""
    from genpercept_mm.apis.mean_pose import mean_pose_ap
    data = cfg.train_dataloader.dataset
    labels = cfg.test_evaluator.ann_file
    value = mean_pose_ap(osp.join(data.data_root, data.ann_file), labels)
    with open(labels) as file:
        people = sum(not label['iscrowd']
                     for label in json.load(file)['annotations'])
    return value, 'the mean pose in every box', f'{people} persons'


def draw_skeletons(cfg, work_dir):
    """Draw labels and predictions into the folder of pictures."""
    from genpercept_mm.apis.pose_pictures import draw_poses
    data = cfg.test_dataloader.dataset
    draw_poses(cfg.test_evaluator.ann_file,
               osp.join(work_dir, 'predictions', 'results.keypoints.json'),
               osp.join(data.data_root, data.data_prefix.img),
               osp.join(work_dir, 'pictures'))


def draw_grid(pictures, path):
    """Put some of the pictures that tools/test.py drew into one.

    Args:
        pictures (str): Their folder.
        path (str): The file to write.
    """
    import mmcv
    import numpy as np
    files = sorted(glob(osp.join(pictures, '**', '*.png'), recursive=True))
    chosen = np.linspace(0, len(files) - 1, min(GRID_ROWS, len(files)))
    rows = [mmcv.imread(files[int(index)]) for index in chosen.round()]
    width = max(row.shape[1] for row in rows)
    white = (255, 255, 255)
    rows = [mmcv.impad(row, shape=(row.shape[0], width), pad_val=white)
            for row in rows]
    mmcv.imwrite(np.concatenate(rows), path)


def evaluate(config, metric, checkpoint, work_dir, *options):
    """Run tools/test.py; returns the metric and the seconds it took."""
    shutil.rmtree(osp.join(work_dir, 'pictures'), ignore_errors=True)
    seconds = run('evaluate', 'tools/test.py', config, checkpoint,
                  '--work-dir', work_dir, '--out',
                  osp.join(work_dir, 'predictions'), *options)
    results = max(glob(osp.join(ROOT, work_dir, '*', '*.json')),
                  key=osp.getmtime)
    with open(results) as file:
        return json.load(file)[metric], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--task', default='seg', choices=sorted(TASKS))
    parser.add_argument(
        '--max-iters', type=int, help='train for less or longer')
    parser.add_argument(
        '--num-frames', type=int, help='frames to make; default: 100, of '
        'people 600')
    args = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, ROOT)
    task = TASKS[args.task]
    config = f'configs/mini/genpercept_{task.config}.py'
    work_dir = osp.join('work_dirs', f'demo_{args.task}')
    os.makedirs(work_dir, exist_ok=True)

    if args.task == 'pose' and importlib.util.find_spec('mmpose') is None:
        parser.error('--task pose needs mmpose: make demo TASK=pose installs '
                     'it, on Python 3.11; xtcocotools has no wheels for 3.12')
    cfg = Config.fromfile(config)
    if args.max_iters is not None:
        cfg.train_cfg.max_iters = args.max_iters
    max_iters = cfg.train_cfg.max_iters
    reused = finished_checkpoint(work_dir, max_iters) is not None

    num_frames = args.num_frames or (600 if args.task == 'pose' else 100)
    data_seconds = run('data', *task.data, '--num-frames', str(num_frames))
    if reused:
        print(f'\n== train: {work_dir} holds a finished training of '
              f'{max_iters} iterations; using it (make clean starts over)')
    else:
        add_seconds(work_dir, data=data_seconds)
        seconds = run('train', 'tools/train.py', config, '--work-dir',
                      work_dir, '--resume', '--cfg-options',
                      f'train_cfg.max_iters={max_iters}')
        add_seconds(work_dir, train=seconds)
    checkpoint = finished_checkpoint(work_dir, max_iters)
    pictures = osp.join(work_dir, 'pictures')
    value, test_seconds = evaluate(
        config, task.key, checkpoint, work_dir,
        # mmpose draws predictions alone
        *(() if args.task == 'pose' else ('--show-dir', pictures)))
    seconds = add_seconds(
        work_dir, **({} if reused else dict(test=test_seconds)))

    import genpercept_mm  # noqa: F401, lets compat act first
    init_default_scope(cfg.default_scope)
    if args.task == 'pose':
        baseline_value, constant, frames = pose_baseline(cfg)
        draw_skeletons(cfg, work_dir)
    else:
        baseline_value, constant, frames = dense_baseline(cfg, task)
    figure = osp.join(work_dir, 'grid.png')
    draw_grid(pictures, figure)

    summary = dict(
        task=args.task,
        metric=task.metric,
        value=value,
        baseline=baseline_value,
        higher_is_better=task.higher_is_better,
        train_seconds=round(seconds.get('train', 0), 1),
        total_seconds=round(sum(seconds.values()), 1),
        figure=figure)
    path = osp.join(work_dir, 'summary.json')
    with open(path, 'w') as file:
        json.dump(summary, file, indent=2)
    print(f'\n{"task":<10}{"metric":<12}{"value":>8}{"baseline":>10}'
          f'{"train s":>9}{"total s":>9}')
    print(f'{args.task:<10}{task.metric:<12}{value:>8.3f}'
          f'{baseline_value:>10.3f}{summary["train_seconds"]:>9.0f}'
          f'{summary["total_seconds"]:>9.0f}')
    better = 'more' if task.higher_is_better else 'less'
    print(f'{better} is better; baseline: {constant}, on the same {frames} '
          'that training has not seen\n'
          f'{path}\n{figure}')


if __name__ == '__main__':
    main()
