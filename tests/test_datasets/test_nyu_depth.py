import shutil

import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import NYUDepthDataset

PIPELINE = [dict(type='genpercept_mm.LoadDepth')]
LINE = ('test/kitchen_0004/rgb_0001.png test/kitchen_0004/depth_0001.png '
        'test/kitchen_0004/filled_0001.png')


def test_raw_depth_in_millimetres(tmp_path):
    (tmp_path / 'test/kitchen_0004').mkdir(parents=True)
    (tmp_path / 'filename_list_test.txt').write_text(LINE)
    raw = np.array([[0, 1, 2, 1500, 9999, 10000]], np.uint16)
    rgb, depth, _ = (str(tmp_path / part) for part in LINE.split())
    cv2.imwrite(rgb, np.zeros((1, 6, 3), np.uint8))
    cv2.imwrite(depth, raw)
    # the filled depth is not there and not needed
    sample = NYUDepthDataset(data_root=str(tmp_path), pipeline=PIPELINE)[0]
    np.testing.assert_allclose(sample['gt_depth_map'], raw / 1000, rtol=1e-6)
    # strictly between 1 mm and 10 m
    assert sample['gt_depth_mask'].tolist() == [
        [False, False, True, True, True, False]]
    assert sample['dataset_name'] == 'nyuv2'
    assert sample['sample_name'] == 'test/kitchen_0004/rgb_0001'


def test_real_frame(samples, tmp_path):
    shutil.copy(f'{samples}/nyu/rgb_00000.jpg', tmp_path / 'rgb.jpg')
    shutil.copy(f'{samples}/nyu/sync_depth_00000.png', tmp_path / 'd.png')
    (tmp_path / 'list.txt').write_text('rgb.jpg d.png filled.png')
    sample = NYUDepthDataset(
        data_root=str(tmp_path), ann_file='list.txt',
        pipeline=[dict(type='mmcv.LoadImageFromFile'), *PIPELINE])[0]
    raw = cv2.imread(f'{samples}/nyu/sync_depth_00000.png', -1)
    assert raw.shape == (480, 640)
    np.testing.assert_allclose(sample['gt_depth_map'], raw / 1000, rtol=1e-6)
    np.testing.assert_array_equal(
        sample['gt_depth_mask'], (raw > 1) & (raw < 10000))
    # an indoor scene, in metres
    assert 0.5 < np.median(
        sample['gt_depth_map'][sample['gt_depth_mask']]) < 10


def test_tree_of_a_missing_root():
    with pytest.raises(FileNotFoundError, match="NYUDepthDataset: data_root "
                       "'nowhere' does not exist; expected\n.*filename_list"):
        NYUDepthDataset(data_root='nowhere')
