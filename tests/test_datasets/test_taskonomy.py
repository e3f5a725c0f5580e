import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import TaskonomyDataset


@pytest.fixture
def root(tmp_path):
    raw = np.array([[0, 1, 512], [33279, 33280, 65535]], np.uint16)
    for stem in ('a/point_0_view_0', 'a/point_0_view_1', 'b/point_7_view_0'):
        for kind in ('rgb', 'depth_zbuffer'):
            path = tmp_path / kind / f'{stem}_domain_{kind}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), raw)
    return tmp_path


def names(dataset):
    return [dataset.get_data_info(i)['sample_name']
            for i in range(len(dataset))]


def test_all_images_with_depth_in_512ths(root):
    dataset = TaskonomyDataset(
        data_root=str(root), pipeline=[dict(type='genpercept_mm.LoadDepth')])
    assert names(dataset) == [
        'a/point_0_view_0', 'a/point_0_view_1', 'b/point_7_view_0']
    sample = dataset[2]
    assert sample['gt_depth_map'].tolist() == [
        [0, 1 / 512, 1], [33279 / 512, 65, 65535 / 512]]
    assert sample['gt_depth_mask'].tolist() == [
        [False, True, True], [True, False, False]]
    assert sample['dataset_name'] == 'taskonomy'


def test_list_of_images(root):
    (root / 'some.txt').write_text('b/point_7_view_0_domain_rgb.png\n\n')
    assert names(TaskonomyDataset(
        data_root=str(root), ann_file='some.txt')) == ['b/point_7_view_0']
    (root / 'some.txt').write_text(
        'b/point_7_view_0_domain_rgb.png\nb/point_7.png\n')
    with pytest.raises(ValueError, match="TaskonomyDataset: line 2 of .* is "
                       "'b/point_7.png'; expected <building>/point"):
        TaskonomyDataset(data_root=str(root), ann_file='some.txt')
    with pytest.raises(FileNotFoundError, match="no.txt' does not exist; set "
                       "ann_file=''"):
        TaskonomyDataset(data_root=str(root), ann_file='no.txt')
