import os.path as osp

import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import VirtualKITTI2Dataset

ALL = dict(scenes=['Scene01', 'Scene20'], conditions=['clone'], cameras=[0, 1])


def write(root, scene, condition, camera, frame, depth, rgb='rgb/',
          depth_folder='depth/'):
    for path, array in (
        (f'{rgb}{scene}/{condition}/frames/rgb/Camera_{camera}/'
         f'rgb_{frame:05d}.jpg', np.zeros((*depth.shape, 3), np.uint8)),
        (f'{depth_folder}{scene}/{condition}/frames/depth/Camera_{camera}/'
         f'depth_{frame:05d}.png', depth)):
        path = root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), array)


@pytest.fixture
def root(tmp_path):
    depth = np.array([[1, 7999, 8000], [8001, 65535, 0]], np.uint16)
    for scene in ALL['scenes']:
        for camera in ALL['cameras']:
            for frame in (1, 0):
                write(tmp_path, scene, 'clone', camera, frame, depth)
    return tmp_path


def names(dataset):
    return [dataset.get_data_info(i)['sample_name']
            for i in range(len(dataset))]


def test_frames_of_scenes_conditions_and_cameras(root):
    dataset = VirtualKITTI2Dataset(data_root=str(root), **ALL)
    assert len(dataset) == 8
    assert names(dataset)[:3] == [
        'Scene01/clone/Camera_0/rgb_00000', 'Scene01/clone/Camera_0/rgb_00001',
        'Scene01/clone/Camera_1/rgb_00000']
    info = dataset.get_data_info(7)
    assert osp.relpath(info['depth_path'], root) == (
        'depth/Scene20/clone/frames/depth/Camera_1/depth_00001.png')
    one = VirtualKITTI2Dataset(data_root=str(root), scenes=['Scene20'],
                               conditions=['clone'], cameras=[1])
    assert names(one) == [f'Scene20/clone/Camera_1/rgb_0000{i}'
                          for i in range(2)]


def test_centimetres_and_far_plane(root):
    sample = VirtualKITTI2Dataset(
        data_root=str(root), **ALL,
        pipeline=[dict(type='mmcv.LoadImageFromFile'),
                  dict(type='genpercept_mm.LoadDepth')])[0]
    np.testing.assert_allclose(
        sample['gt_depth_map'], [[.01, 79.99, 80], [80.01, 655.35, 0]],
        rtol=1e-6)
    assert sample['gt_depth_mask'].tolist() == [
        [True, True, False], [False, False, False]]
    assert sample['dataset_name'] == 'virtual_kitti_2'


def test_archives_extracted_into_one_folder(tmp_path):
    write(tmp_path, 'Scene01', 'clone', 0, 0, np.ones((2, 2), np.uint16),
          '', '')
    dataset = VirtualKITTI2Dataset(
        data_root=str(tmp_path), scenes=['Scene01'], conditions=['clone'],
        cameras=[0])
    assert len(dataset) == 1


def test_normals_derived_from_depth(tmp_path):
    """A wall at 5 m, facing the camera; the sky has no normal."""
    depth = np.full((6, 8), 500, np.uint16)
    depth[:2] = 65535
    write(tmp_path, 'Scene01', 'clone', 0, 0, depth)
    sample = VirtualKITTI2Dataset(
        labels='normal', data_root=str(tmp_path), scenes=['Scene01'],
        conditions=['clone'], cameras=[0],
        pipeline=[dict(type='genpercept_mm.LoadNormal')])[0]
    expected = np.zeros((6, 8), bool)
    expected[3:5, 1:7] = True
    np.testing.assert_array_equal(sample['gt_normal_mask'], expected)
    np.testing.assert_allclose(
        sample['gt_normal_map'][expected], np.tile([0, 0, 1.], (12, 1)),
        atol=1e-6)
    assert 'gt_depth_map' not in sample


def test_absent_scenes_and_unknown_names(root):
    with pytest.raises(FileNotFoundError, match='VirtualKITTI2Dataset: no '
                       "images in .*Scene01/fog.*Set missing='skip', or "
                       'scenes'):
        VirtualKITTI2Dataset(data_root=str(root), scenes=['Scene01'],
                             conditions=['fog'])
    assert len(VirtualKITTI2Dataset(
        data_root=str(root), missing='skip')) == 8
    with pytest.raises(ValueError, match="conditions must be one of .*'clone'"
                       ".*got 'snow'"):
        VirtualKITTI2Dataset(data_root=str(root), conditions=['snow'])
