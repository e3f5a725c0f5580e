import importlib
import os.path as osp
import sys

import numpy as np
import pytest

from genpercept_mm import compat
from genpercept_mm.compat import finder


@pytest.fixture
def fresh(monkeypatch):
    """Forget what was imported of xtcocotools, and forget it again."""

    def names():
        return [x for x in sys.modules if x.split('.')[0] == 'xtcocotools']

    for name in names():
        monkeypatch.delitem(sys.modules, name)
    before = sys.path.copy()
    yield
    sys.path[:] = before
    for name in names():
        del sys.modules[name]


def test_stands_in_where_xtcocotools_is_missing(monkeypatch, fresh):
    beneath = finder._find_beneath
    monkeypatch.setattr(
        finder, '_find_beneath', lambda name, path:
        None if name == 'xtcocotools' else beneath(name, path))
    ours = osp.join(osp.dirname(compat.__file__), 'xtcocotools')
    for name, thing in (('coco', 'COCO'), ('cocoeval', 'COCOeval'),
                        ('mask', 'frPyObjects')):
        module = importlib.import_module(f'xtcocotools.{name}')
        assert module.__file__ == osp.join(ours, f'{name}.py')
        assert callable(getattr(module, thing))
    assert compat.find_without_import('xtcocotools')


def install(folder, compiled):
    """Make a package whose compiled part is ``compiled``."""
    package = folder / 'xtcocotools'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / 'mask.py').write_text(
        'import xtcocotools._mask as _mask\ndecode = _mask.decode\n'
        'encode = _mask.encode')
    (package / '_mask.py').write_text(compiled)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return importlib.import_module('xtcocotools.mask')


def test_works_beside_an_xtcocotools_built_for_another_numpy(tmp_path, fresh):
    mask = install(tmp_path, 'raise ValueError("numpy.dtype size changed")')
    picture = np.asfortranarray(np.eye(5, dtype=np.uint8)[..., None])
    np.testing.assert_array_equal(
        mask.decode(mask.encode(picture)), picture)


def test_a_working_xtcocotools_is_left_alone(tmp_path, fresh):
    mask = install(tmp_path, 'decode, encode = "their own", None')
    assert mask.decode == 'their own'
    assert mask.__file__ == str(tmp_path / 'xtcocotools/mask.py')


@pytest.mark.parametrize('radius', [3, np.array([3]), np.array(3.)])
def test_circles_are_drawn_with_a_radius_in_an_array(radius):
    """mmpose passes one; NumPy 2.4 refuses to convert it."""
    pytest.importorskip('mmpose')
    from mmpose.visualization import PoseLocalVisualizer
    visualizer = PoseLocalVisualizer(backend='opencv')
    visualizer.set_image(np.zeros((20, 20, 3), np.uint8))
    visualizer.backend = 'opencv'
    visualizer.draw_circles(
        np.array([10., 10.]), radius, face_colors=(255, 0, 0), alpha=1.)
    drawn = visualizer.get_image()[..., 0] > 0
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (
        7, 13)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_pose_in_half_precision(dtype):
    """UDP heatmaps are decoded with OpenCV, from NumPy arrays."""
    pytest.importorskip('mmpose')
    import torch
    from mmpose.codecs import UDPHeatmap
    from mmpose.models.heads import HeatmapHead
    from mmpose.utils.tensor_utils import to_numpy
    value = torch.rand(2, 3, 4).to(getattr(torch, dtype))
    for given, array in (
            (value, to_numpy(value)), (value[0], to_numpy([*value])[0]),
            (value[1], to_numpy((value, ), unzip=True)[1][0][0])):
        assert array.dtype == np.float32
        assert np.array_equal(array, given.float().numpy())
    head = HeatmapHead(
        4, 17, deconv_out_channels=None, decoder=dict(
            type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16),
            sigma=2), loss=dict(type='mmpose.KeypointMSELoss'))
    maps = torch.rand(1, 17, 16, 12).to(getattr(torch, dtype))
    points = head.decode(maps)[0]['keypoints']
    expected = UDPHeatmap((48, 64), (12, 16), sigma=2).decode(
        maps[0].float().numpy())[0]
    assert np.array_equal(points, expected)
