import json
import os
import os.path as osp
import runpy
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, write_hypersim

from genpercept_mm.datasets import HypersimDataset


def test_baseline_is_the_best_constant_by_hand(tmp_path):
    """Bands of ids 1..4 in 48 rows; the first row is unlabelled, so id 1
    has 11 rows and the others 12: constant 2 (floor) has IoU 12/47, the
    other three 0."""
    root = write_hypersim(str(tmp_path))
    dataset = HypersimDataset(
        split='val', data_root=root, pipeline=[
            dict(type='genpercept_mm.LoadHypersimImage'),
            dict(type='genpercept_mm.LoadHypersimSemantic'),
            dict(type='mmseg.PackSegInputs')])
    tool = runpy.run_path('tools/demo.py')
    value, name = tool['seg_baseline'](dataset)
    assert name in ('floor', 'cabinet', 'bed')
    assert value == pytest.approx(100 * 12 / 47 / 4, abs=1e-4)


@pytest.mark.slow
def test_demo_makes_data_trains_and_sums_up_and_then_reuses(tmp_path):
    pytest.importorskip('mitsuba')
    copy = str(tmp_path / 'copy')
    os.makedirs(copy)
    for name in ('genpercept_mm', 'configs', 'tools'):
        shutil.copytree(osp.join(ROOT, name), osp.join(copy, name),
                        ignore=shutil.ignore_patterns('__pycache__', '.mim'))

    def demo():
        done = subprocess.run(
            [sys.executable, 'tools/demo.py', '--max-iters', '2',
             '--num-frames', '12'], cwd=copy, capture_output=True, text=True,
            env=dict(os.environ, PYTHONPATH=copy, PYTHONWARNINGS='ignore'),
            timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        with open(osp.join(copy, 'work_dirs/demo_seg/summary.json')) as file:
            return done.stdout, json.load(file)

    output, summary = demo()
    assert sorted(summary) == sorted([
        'task', 'metric', 'value', 'baseline', 'higher_is_better',
        'train_seconds', 'total_seconds', 'figure'])
    assert (summary['task'], summary['metric']) == ('seg', 'mIoU')
    assert summary['higher_is_better'] is True
    assert 0 < summary['train_seconds'] < summary['total_seconds']
    figure = cv2.imread(osp.join(copy, summary['figure']))
    assert figure.shape[0] > 500 and np.unique(figure).size > 100
    assert 'holds a finished training' not in output
    output, again = demo()
    assert 'holds a finished training of 2 iterations; using it' in output
    assert again == summary
