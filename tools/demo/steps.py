"""The steps of the demo: data, training and evaluation as processes."""
import json
import os
import os.path as osp
import shutil
import subprocess
import sys
import time
from glob import glob

#: The repository, or the part of it that a wheel carries (`.mim`).
ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


def run(step, *command):
    """Run one of the project's commands.

    Args:
        step (str): Name to print.
        *command (str): A script, relative to ``ROOT``, and its arguments.

    Returns:
        float: The duration in seconds.

    Raises:
        subprocess.CalledProcessError: If the command fails.
    """
    print(f'\n== {step}: python {" ".join(command)}', flush=True)
    start = time.time()
    # all tools must import this checkout, however it was installed
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(
        filter(None, [ROOT, os.environ.get('PYTHONPATH')])),
        PYTHONWARNINGS='ignore')
    subprocess.run([sys.executable, *command], cwd=ROOT, env=env, check=True)
    return time.time() - start


def add_seconds(work_dir, **seconds):
    """Add to the seconds that each step has taken in all runs.

    Args:
        work_dir (str): Folder whose ``seconds.json`` keeps the sums.
        **seconds (float): What this run adds, by the name of the step.

    Returns:
        dict[str, float]: The sums.
    """
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
    """Find the last checkpoint of a training that ran to its end.

    Not the best one: that would have been chosen on the frames on which it
    is scored.

    Args:
        work_dir (str): Work folder of the training.
        max_iters (int): Length of the training.

    Returns:
        str, optional: Path of the checkpoint; None if there is none.
    """
    path = osp.join(work_dir, f'iter_{max_iters}.pth')
    return path if osp.isfile(path) else None


def evaluate(config, metric, checkpoint, work_dir, *options):
    """Run tools/test.py.

    Args:
        config (str): Path of the config.
        metric (str): Key of the metric to return.
        checkpoint (str): Path of the weights.
        work_dir (str): Folder for results and predictions; older pictures in
            it are removed.
        *options (str): Further arguments of the tool.

    Returns:
        tuple[float, float]: The value of the metric, and the duration of the
        evaluation in seconds.
    """
    shutil.rmtree(osp.join(work_dir, 'pictures'), ignore_errors=True)
    seconds = run('evaluate', 'tools/test.py', config, checkpoint,
                  '--work-dir', work_dir, '--out',
                  osp.join(work_dir, 'predictions'), *options)
    results = max(glob(osp.join(ROOT, work_dir, '*', '*.json')),
                  key=osp.getmtime)
    with open(results) as file:
        return json.load(file)[metric], seconds
