import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import ScanNetDepthDataset

LINE = 'scene0406_02/color/000300.jpg scene0406_02/depth/000300.png'


@pytest.fixture
def root(tmp_path):
    rgb, depth = LINE.split()
    for part in (rgb, depth):
        (tmp_path / part).parent.mkdir(parents=True)
    (tmp_path / 'scannet_val_sampled_list_800_1.txt').write_text(LINE)
    cv2.imwrite(str(tmp_path / rgb), np.zeros((2, 3, 3), np.uint8))
    cv2.imwrite(str(tmp_path / depth),
                np.array([[0, 1, 2], [2500, 10000, 65535]], np.uint16))
    return tmp_path


def build(root):
    return ScanNetDepthDataset(
        data_root=str(root),
        pipeline=[dict(type='mmcv.LoadImageFromFile'),
                  dict(type='genpercept_mm.LoadDepth')])


def test_millimetres_up_to_ten_metres(root):
    sample = build(root)[0]
    assert sample['gt_depth_map'][1].tolist() == [
        2.5, 10, np.float32(65.535)]
    assert sample['gt_depth_mask'].tolist() == [
        [False, False, True], [True, False, False]]
    assert sample['sample_name'] == 'scene0406_02/color/000300'
    assert sample['dataset_name'] == 'scannet'


def test_raw_colour_frames_are_refused(root):
    """ScanNet's colour frames are 1296 x 968, its depth 640 x 480."""
    path = str(root / LINE.split()[0])
    cv2.imwrite(path, np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ValueError, match=rf'LoadDepth: image {path} is '
                       r'\(4, 6\).*000300\.png is \(2, 3\)'):
        build(root)[0]
