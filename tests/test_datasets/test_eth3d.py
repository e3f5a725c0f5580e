import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import ETH3DDataset

LINE = ('rgb/office/images/dslr_images/DSC_0219.JPG depth/office_dslr_depth/'
        'office/ground_truth_depth/dslr_images/DSC_0219.JPG')


@pytest.fixture
def root(tmp_path):
    rgb, depth = LINE.split()
    for part in (rgb, depth):
        (tmp_path / part).parent.mkdir(parents=True)
    (tmp_path / 'eth3d_filename_list.txt').write_text(LINE)
    cv2.imwrite(str(tmp_path / rgb), np.zeros((2, 3, 3), np.uint8))
    np.array([[np.inf, 0.5, 1e-6], [90, 2, 3]], '<f4').tofile(
        str(tmp_path / depth))
    return tmp_path


def build(root, *before):
    return ETH3DDataset(
        data_root=str(root),
        pipeline=[*before, dict(type='genpercept_mm.LoadDepth')])


def test_float_rows_with_the_shape_of_the_image(root):
    sample = build(root, dict(type='mmcv.LoadImageFromFile'))[0]
    assert sample['gt_depth_map'].tolist() == [
        [0, 0.5, np.float32(1e-6)], [90, 2, 3]]
    # no upper limit
    assert sample['gt_depth_mask'].tolist() == [
        [False, True, False], [True, True, True]]
    assert sample['dataset_name'] == 'eth3d'


def test_without_the_image_the_official_size_is_expected(root):
    with pytest.raises(ValueError, match=r'LoadDepth: .*DSC_0219\.JPG has 24 '
                       'bytes; depth of an image of 4032 x 6048'):
        build(root)[0]
