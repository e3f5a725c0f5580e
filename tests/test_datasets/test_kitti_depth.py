import os
import os.path as osp
import shutil

import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import KITTIDepthDataset

DRIVE = '2011_09_26_drive_0002_sync'
PIPELINE = [
    dict(type='mmcv.LoadImageFromFile'),
    dict(type='genpercept_mm.LoadDepth'),
]


def paths(frame):
    return (f'2011_09_26/{DRIVE}/image_02/data/{frame:010d}.png',
            f'{DRIVE}/proj_depth/groundtruth/image_02/{frame:010d}.png')


@pytest.fixture
def root(tmp_path):
    """Two frames of 3 x 4 with depth, and one without."""
    lines = []
    for frame in (69, 54):
        rgb, depth = (str(tmp_path / path) for path in paths(frame))
        for path in (rgb, depth):
            os.makedirs(osp.dirname(path), exist_ok=True)
        cv2.imwrite(rgb, np.full((3, 4, 3), frame, np.uint8))
        raw = np.array([[0, 1, 256, 2560], [20479, 20480, 20481, 65535],
                        [frame] * 4], np.uint16)
        cv2.imwrite(depth, raw)
        lines.append(' '.join([*paths(frame), '721.5377']))
    lines.insert(1, f'{paths(1)[0]} None 721.5377')
    (tmp_path / 'eigen_test_files_with_gt.txt').write_text('\n'.join(lines))
    return str(tmp_path)


def test_frames_without_depth_are_left_out(root):
    dataset = KITTIDepthDataset(data_root=root)
    assert [dataset.get_data_info(i)['sample_name'] for i in range(2)] == [
        f'2011_09_26/{DRIVE}/image_02/data/0000000069',
        f'2011_09_26/{DRIVE}/image_02/data/0000000054']
    assert len(dataset) == 2
    assert dataset.get_data_info(0)['dataset_name'] == 'kitti'


def test_metres_and_mask(root):
    sample = KITTIDepthDataset(data_root=root, pipeline=PIPELINE)[0]
    np.testing.assert_array_equal(
        sample['gt_depth_map'],
        np.float32([[0, 1 / 256, 1, 10],
                    [20479 / 256, 80, 20481 / 256, 65535 / 256],
                    [69 / 256] * 4]))
    # 80 m itself is out
    assert sample['gt_depth_mask'].tolist() == [
        [False, True, True, True], [True, False, False, False], [True] * 4]
    assert sample['img'][0, 0, 0] == 69


def test_the_official_list_has_652_frames(tmp_path):
    """45 of 697 lines have no depth."""
    lines = [f'{paths(k)[0]} {"None" if k < 45 else paths(k)[1]} 707.0912'
             for k in range(697)]
    (tmp_path / 'list.txt').write_text('\n'.join(lines))
    for path in (path for k in range(45, 697) for path in paths(k)):
        os.makedirs(osp.dirname(tmp_path / path), exist_ok=True)
        (tmp_path / path).touch()
    assert len(KITTIDepthDataset(
        data_root=str(tmp_path), ann_file='list.txt')) == 652


def test_missing_tree_is_shown(root):
    os.remove(osp.join(root, paths(54)[1]))
    with pytest.raises(FileNotFoundError, match='(?s)KITTIDepthDataset: 1 of '
                       '2 samples lack files.*0000000054.png.*proj_depth'):
        KITTIDepthDataset(data_root=root)
    assert len(KITTIDepthDataset(data_root=root, missing='skip')) == 1


def test_real_frame_with_the_benchmark_crop(samples, tmp_path):
    for kind in ('rgb', 'depth'):
        shutil.copy(f'{samples}/kitti/{kind}_0000000005.png',
                    tmp_path / f'{kind}.png')
    (tmp_path / 'list.txt').write_text('rgb.png depth.png 721.5377\n')
    dataset = KITTIDepthDataset(
        data_root=str(tmp_path), ann_file='list.txt',
        pipeline=[*PIPELINE, dict(type='genpercept_mm.KITTIBenchmarkCrop'),
                  dict(type='genpercept_mm.PackDenseInputs')])
    packed = dataset[0]
    sample = packed['data_samples']
    raw = cv2.imread(f'{samples}/kitti/depth_0000000005.png', -1)
    assert raw.shape == (375, 1242)
    # rows 375 - 352 = 23.., columns (1242 - 1216) / 2 = 13..
    raw = raw[23:, 13:1229]
    depth = sample.gt_depth_map.data[0].numpy()
    np.testing.assert_array_equal(depth, np.float32(raw / 256))
    mask = sample.gt_depth_mask.data[0].numpy()
    np.testing.assert_array_equal(mask, (raw > 0) & (raw < 80 * 256))
    assert mask.sum() > 10000
    image = cv2.imread(f'{samples}/kitti/rgb_0000000005.png')
    np.testing.assert_array_equal(
        packed['inputs'].numpy().transpose(1, 2, 0), image[23:, 13:1229])
    assert sample.ori_shape == sample.img_shape == (352, 1216)
    assert (sample.dataset_name, sample.sample_name) == ('kitti', 'rgb')
