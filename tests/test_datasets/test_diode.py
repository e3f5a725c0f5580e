import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import DIODEDataset

STEM = 'indoors/scene_00021/scan_00189/00021_00189_indoors_200_010'


@pytest.fixture
def root(tmp_path):
    (tmp_path / STEM).parent.mkdir(parents=True)
    (tmp_path / 'diode_val_all_filename_list.txt').write_text(
        f'{STEM}.png {STEM}_depth.npy {STEM}_depth_mask.npy\n')
    cv2.imwrite(str(tmp_path / f'{STEM}.png'), np.zeros((2, 3, 3), np.uint8))
    depth = np.array([[0.1, 400, np.nan], [5, 6, 7]], np.float32)
    np.save(tmp_path / f'{STEM}_depth.npy', depth[..., None])
    np.save(tmp_path / f'{STEM}_depth_mask.npy',
            np.array([[1, 1, 1], [1, 0, 1]], np.float64))
    return tmp_path


def build(root):
    return DIODEDataset(data_root=str(root),
                        pipeline=[dict(type='genpercept_mm.LoadDepth')])


def test_the_mask_file_decides_not_the_range(root):
    sample = build(root)[0]
    assert sample['gt_depth_map'].tolist() == [
        [np.float32(0.1), 400, 0], [5, 6, 7]]
    # 0.1 and 400 m count; only NaN is taken out besides
    assert sample['gt_depth_mask'].tolist() == [
        [True, True, False], [True, False, True]]
    assert sample['sample_name'] == STEM


def test_mask_of_another_size(root):
    np.save(root / f'{STEM}_depth_mask.npy', np.ones((3, 2)))
    with pytest.raises(ValueError, match=r'LoadDepth: .*_depth_mask\.npy is '
                       r'\(3, 2\) and .*_depth\.npy is \(2, 3\)'):
        build(root)[0]


def test_list_without_masks(root):
    (root / 'diode_val_all_filename_list.txt').write_text(
        f'{STEM}.png {STEM}_depth.npy\n')
    with pytest.raises(ValueError, match='DIODEDataset: line 1 of .*expected '
                       '3: img_path, depth_path, depth_mask_path'):
        build(root)
