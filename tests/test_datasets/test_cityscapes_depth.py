import json

import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import CityscapesDepthDataset


def write(root, split, city, stem, baseline=0.2, fx=2000.):
    def place(kind, end):
        path = root / kind / split / city / (stem + end)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    cv2.imwrite(str(place('leftImg8bit', '_leftImg8bit.png')),
                np.zeros((2, 2, 3), np.uint8))
    # nothing, 1 px, 5 px, 20 px
    cv2.imwrite(str(place('disparity', '_disparity.png')),
                np.array([[0, 257], [1281, 5121]], np.uint16))
    place('camera', '_camera.json').write_text(json.dumps(
        dict(extrinsic=dict(baseline=baseline), intrinsic=dict(fx=fx))))


@pytest.fixture
def root(tmp_path):
    write(tmp_path, 'train', 'ulm', 'ulm_0_1')
    write(tmp_path, 'train', 'aachen', 'aachen_0_2', baseline=0.1)
    write(tmp_path, 'train_extra', 'bonn', 'bonn_0_3')
    return tmp_path


def test_depth_from_disparity_and_each_camera(root):
    dataset = CityscapesDepthDataset(
        data_root=str(root),
        pipeline=[dict(type='mmcv.LoadImageFromFile'),
                  dict(type='genpercept_mm.LoadDepth')])
    assert [dataset.get_data_info(i)['sample_name'] for i in range(2)] == [
        'train/aachen/aachen_0_2', 'train/ulm/ulm_0_1']
    assert len(dataset) == 2
    # 0.1 and 0.2 m x 2000 px
    assert dataset[0]['gt_depth_map'].tolist() == [[0, 200], [40, 10]]
    assert dataset[1]['gt_depth_map'].tolist() == [[0, 400], [80, 20]]
    assert dataset[1]['gt_depth_mask'].tolist() == [
        [False, False], [False, True]]


def test_several_splits(root):
    assert len(CityscapesDepthDataset(
        splits=('train', 'train_extra'), data_root=str(root))) == 3
    with pytest.raises(FileNotFoundError, match='leftImg8bit/val is missing'):
        CityscapesDepthDataset('val', data_root=str(root))
    with pytest.raises(ValueError, match="splits must be one of .*'train_ext"):
        CityscapesDepthDataset('extra', data_root=str(root))


def test_missing_camera_file(root):
    path = root / 'camera/train/ulm/ulm_0_1_camera.json'
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f'1 of 2 samples.*{path}'):
        CityscapesDepthDataset(data_root=str(root))
