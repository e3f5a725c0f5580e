import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile

from genpercept_mm.datasets.io.hypersim_io import frame_path, read_color
from genpercept_mm.datasets.transforms import LoadHypersimImage


def test_previews_are_what_the_stock_loader_gives(hypersim_root):
    path = frame_path(hypersim_root, 'ai_001_001', 'cam_00', 0, 'tonemap')
    ours = LoadHypersimImage()(dict(img_path=path))
    stock = LoadImageFromFile()(dict(img_path=path))
    assert sorted(ours) == sorted(stock)
    np.testing.assert_array_equal(ours['img'], stock['img'])


def test_radiance_has_the_same_keys_and_channel_order(hypersim_root):
    path = frame_path(hypersim_root, 'ai_001_001', 'cam_00', 0, 'color')
    out = LoadHypersimImage()(dict(img_path=path))
    np.testing.assert_array_equal(out['img'][..., ::-1], read_color(path))
    assert out['img_shape'] == out['ori_shape'] == (48, 64)
    assert out['img'].flags['C_CONTIGUOUS']


def test_missing_files_are_named(tmp_path):
    path = frame_path(str(tmp_path), 'ai_001_001', 'cam_00', 5, 'color')
    with pytest.raises(OSError, match='scene ai_001_001, camera cam_00, '
                       f'frame 5: Hypersim: {path} does not exist'):
        LoadHypersimImage()(dict(img_path=path))
