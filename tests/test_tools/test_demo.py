import json
import os
import os.path as osp
import shutil
import subprocess
import sys

import cv2
import numpy as np
import processes
import pytest
from conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize('task, metric, better, started', [
    ('seg', 'mIoU', True, False),
    *[pytest.param(*case, True, marks=pytest.mark.nightly) for case in (
        ('seg', 'mIoU', True), ('matting', 'MAD', False),
        ('pose', 'AP', True))]])
def test_demo_makes_data_trains_and_sums_up_and_then_reuses(
        task, metric, better, started, tmp_path):
    """Run it in started processes, as a user does, or in forks."""
    pytest.importorskip('mmpose' if task == 'pose' else 'mitsuba')
    copy = str(tmp_path / 'copy')
    os.makedirs(copy)
    for name in ('genpercept_mm', 'configs', 'tools'):
        shutil.copytree(osp.join(ROOT, name), osp.join(copy, name),
                        ignore=shutil.ignore_patterns('__pycache__', '.mim'))

    python = sys.executable
    if not started:
        processes.start()
        python = processes.write_executable(str(tmp_path / 'python'))

    def demo():
        done = subprocess.run(
            [python, 'tools/demo.py', '--task', task,
             '--max-iters', '2', '--num-frames', '12'],
            cwd=copy, capture_output=True, text=True,
            env=dict(os.environ, PYTHONPATH=copy, PYTHONWARNINGS='ignore'),
            timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        with open(osp.join(
                copy, f'work_dirs/demo_{task}/summary.json')) as file:
            return done.stdout, json.load(file)

    output, summary = demo()
    assert sorted(summary) == sorted([
        'task', 'metric', 'value', 'baseline', 'higher_is_better',
        'train_seconds', 'total_seconds', 'figure'])
    assert (summary['task'], summary['metric']) == (task, metric)
    assert summary['higher_is_better'] is better
    assert 0 < summary['train_seconds'] < summary['total_seconds']
    figure = cv2.imread(osp.join(copy, summary['figure']))
    assert figure.shape[0] > 200 and np.unique(figure).size > 100
    assert 'holds a finished training' not in output
    output, again = demo()
    assert 'holds a finished training of 2 iterations; using it' in output
    assert again == summary
