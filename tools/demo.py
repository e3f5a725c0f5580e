"""Make the data, train, evaluate and draw, at a size for a laptop CPU.

Ends with a table, work_dirs/demo_<task>/summary.json and grid.png. What an
earlier run finished is used again; an interrupted one continues.
"""
import argparse
import importlib.util
import os
import os.path as osp
import sys

from demo.steps import (
    ROOT,
    add_seconds,
    evaluate,
    finished_checkpoint,
    run,
)
from demo.summary import summarize
from demo.tasks import TASKS


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--task', default='seg', choices=sorted(TASKS))
    parser.add_argument(
        '--max-iters', type=int, help='train for fewer or more iterations')
    parser.add_argument(
        '--num-frames', type=int,
        help='number of frames to make; default: 100, of people 600')
    args = parser.parse_args()
    if args.task == 'pose' and importlib.util.find_spec('mmpose') is None:
        parser.error('--task pose needs mmpose; make demo TASK=pose installs '
                     'it, and so does python tools/install.py --groups hosts')
    return args


def main():
    args = parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, ROOT)
    task = TASKS[args.task]
    config = f'configs/mini/genpercept_{task.config}.py'
    work_dir = osp.join('work_dirs', f'demo_{args.task}')
    os.makedirs(work_dir, exist_ok=True)
    from mmengine.config import Config
    cfg = Config.fromfile(config)
    max_iters = args.max_iters
    if max_iters is None:
        max_iters = cfg.train_cfg.max_iters

    reused = finished_checkpoint(work_dir, max_iters) is not None
    data_seconds = run('data', *task.data, '--num-frames',
                       str(args.num_frames or task.num_frames))
    if reused:
        print(f'\n== train: {work_dir} holds a finished training of '
              f'{max_iters} iterations; using it (make clean starts over)')
    else:
        add_seconds(work_dir, data=data_seconds)
        seconds = run('train', 'tools/train.py', config, '--work-dir',
                      work_dir, '--resume', '--cfg-options',
                      f'train_cfg.max_iters={max_iters}')
        add_seconds(work_dir, train=seconds)
    pictures = osp.join(work_dir, 'pictures')
    value, test_seconds = evaluate(
        config, task.key, finished_checkpoint(work_dir, max_iters), work_dir,
        # mmpose draws predictions alone
        *(() if args.task == 'pose' else ('--show-dir', pictures)))
    seconds = add_seconds(
        work_dir, **({} if reused else dict(test=test_seconds)))

    # the baselines import genpercept_mm, which must come before mmcv
    from demo.baselines import best_guess
    from demo.grid import draw_grid
    guess = best_guess(args.task, cfg)
    if args.task == 'pose':
        from demo.pose_pictures import draw_test_poses
        draw_test_poses(cfg, work_dir)
    figure = osp.join(work_dir, 'grid.png')
    draw_grid(pictures, figure)
    summarize(args.task, value, guess, seconds, work_dir, figure)


if __name__ == '__main__':
    main()
