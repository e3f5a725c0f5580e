import numpy as np
import pytest
import torch
from conftest import write_hypersim
from demo import baselines
from demo.tasks import TASKS
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


def baseline(task, samples):
    task = TASKS[task]
    cfg = Config.fromfile(f'configs/mini/genpercept_{task.config}.py')
    with DefaultScope.overwrite_default_scope('mmseg'):
        return baselines.constant_map(cfg, task, samples)


def test_constant_class_by_hand(tmp_path):
    """Bands of ids 1..4 in 48 rows; the first row is unlabelled, so id 1
    has 11 rows and the others 12: constant 2 (floor) has IoU 12/47, the
    other three 0."""
    dataset = HypersimDataset(
        split='val', data_root=write_hypersim(str(tmp_path)), pipeline=[
            dict(type='genpercept_mm.LoadHypersimImage'),
            dict(type='genpercept_mm.LoadHypersimSemantic'),
            dict(type='mmseg.PackSegInputs')])
    value, name = baseline('seg', dataset)
    assert name in ("'floor'", "'cabinet'", "'bed'")
    # the metric rounds to two digits
    assert value == pytest.approx(100 * 12 / 47 / 4, abs=6e-3)
    value, name = baseline('colormap', dataset)
    assert value == pytest.approx(100 * 12 / 47 / 4, abs=6e-3)


def test_constant_depth_by_hand():
    """Least squares make the constant the mean of each image: 2 and 4."""
    maps = [np.full((1, 2, 2), d, np.float32) for d in (1, 4)]
    maps[0][0, 0] = 3
    maps[1][0, 0] = 4
    value, _ = baseline('depth', labels('gt_depth_map', *maps))
    assert value == pytest.approx(((1 / 3 + 1) / 2 + 0) / 2, abs=1e-6)


def test_constant_alpha_by_hand():
    """A quarter is object: nothing everywhere is wrong for a quarter."""
    alpha = np.zeros((1, 8, 8), np.float32)
    alpha[0, :4, :4] = 1
    value, constant = baseline('dis', labels('gt_alpha_map', alpha))
    assert value == pytest.approx(.25)
    assert constant == '[0.0]'


def test_constant_normal_by_hand():
    """Two normals 90 degrees apart, in equal parts: 45 degrees to each."""
    normals = np.zeros((3, 4, 4), np.float32)
    normals[0, :2] = normals[2, 2:] = 1
    value, _ = baseline('normal', labels('gt_normal_map', normals))
    assert value == pytest.approx(45, abs=1e-3)
