import json
import os
import os.path as osp
import runpy
import shutil
import subprocess
import sys

import cv2
import numpy as np
import processes
import pytest
import torch
from conftest import ROOT, write_hypersim
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from genpercept_mm.datasets import HypersimDataset

from mmseg.structures import SegDataSample  # isort: skip


class Labels(list):
    """Data samples as a data set gives them."""

    metainfo = HypersimDataset.METAINFO

    def __getitem__(self, index):
        return dict(data_samples=super().__getitem__(index))


def labels(field, *maps):
    samples = Labels()
    for array in maps:
        sample = SegDataSample(metainfo=dict(
            ori_shape=array.shape[-2:], img_path='a.png'))
        sample.set_data({field: PixelData(data=torch.from_numpy(array))})
        samples.append(sample)
    return samples


def baseline(task, quantity, field, samples):
    tool = runpy.run_path('tools/demo.py')
    task = tool['TASKS'][task]
    cfg = Config.fromfile(f'configs/mini/genpercept_{task.config}.py')
    with DefaultScope.overwrite_default_scope('mmseg'):
        return tool['baseline'](cfg, task, quantity, field, samples)


def test_constant_class_by_hand(tmp_path):
    """Bands of ids 1..4 in 48 rows; the first row is unlabelled, so id 1
    has 11 rows and the others 12: constant 2 (floor) has IoU 12/47, the
    other three 0."""
    dataset = HypersimDataset(
        split='val', data_root=write_hypersim(str(tmp_path)), pipeline=[
            dict(type='genpercept_mm.LoadHypersimImage'),
            dict(type='genpercept_mm.LoadHypersimSemantic'),
            dict(type='mmseg.PackSegInputs')])
    value, name = baseline('seg', 'sem_seg', 'pred_sem_seg', dataset)
    assert name in ("'floor'", "'cabinet'", "'bed'")
    # the metric rounds to two digits
    assert value == pytest.approx(100 * 12 / 47 / 4, abs=6e-3)


def test_constant_depth_by_hand():
    """Least squares make the constant the mean of each image: 2 and 4."""
    maps = [np.full((1, 2, 2), d, np.float32) for d in (1, 4)]
    maps[0][0, 0] = 3
    maps[1][0, 0] = 4
    value, _ = baseline('depth', 'depth', 'pred_depth_map',
                        labels('gt_depth_map', *maps))
    assert value == pytest.approx(((1 / 3 + 1) / 2 + 0) / 2, abs=1e-6)


def test_constant_alpha_by_hand():
    """A quarter is object: nothing everywhere is wrong for a quarter."""
    alpha = np.zeros((1, 8, 8), np.float32)
    alpha[0, :4, :4] = 1
    value, constant = baseline('dis', 'alpha', 'pred_alpha_map',
                               labels('gt_alpha_map', alpha))
    assert value == pytest.approx(.25)
    assert constant == '[0.0]'


def test_constant_normal_by_hand():
    """Two normals 90 degrees apart, in equal parts: 45 degrees to each."""
    normals = np.zeros((3, 4, 4), np.float32)
    normals[0, :2] = normals[2, 2:] = 1
    value, _ = baseline('normal', 'normal', 'pred_normal_map',
                        labels('gt_normal_map', normals))
    assert value == pytest.approx(45, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('task, metric, better, started', [
    ('seg', 'mIoU', True, False),
    *[pytest.param(*case, True, marks=pytest.mark.nightly) for case in (
        ('seg', 'mIoU', True), ('matting', 'MAD', False),
        ('pose', 'AP', True))]])
def test_demo_makes_data_trains_and_sums_up_and_then_reuses(
        task, metric, better, started, tmp_path):
    """In started processes as a user does, or all in forks."""
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
