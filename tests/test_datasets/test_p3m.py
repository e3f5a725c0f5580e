import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import P3MDataset

FOLDERS = {
    'train': ('train', 'blurred_image'),
    'P3M-500-P': ('validation/P3M-500-P', 'blurred_image'),
    'P3M-500-NP': ('validation/P3M-500-NP', 'original_image')}


@pytest.fixture
def root(tmp_path):
    for folder, images in FOLDERS.values():
        for inner, suffix in ((images, 'jpg'), ('mask', 'png')):
            (tmp_path / folder / inner).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / folder / inner / f'p_1.{suffix}'),
                        np.full((2, 2), 51, np.uint8))
    return tmp_path


@pytest.mark.parametrize('subset', FOLDERS)
def test_subsets(root, subset):
    dataset = P3MDataset(
        subset, data_root=str(root),
        pipeline=[dict(type='mmcv.LoadImageFromFile'),
                  dict(type='genpercept_mm.LoadAlpha')])
    assert len(dataset) == 1
    sample = dataset[0]
    folder, images = FOLDERS[subset]
    assert sample['img_path'] == f'{root}/{folder}/{images}/p_1.jpg'
    assert sample['alpha_path'] == f'{root}/{folder}/mask/p_1.png'
    assert sample['sample_name'] == 'p_1'
    assert sample['dataset_name'] == {'train': 'P3M-10k'}.get(subset, subset)
    np.testing.assert_allclose(sample['gt_alpha_map'], 0.2)


def test_unknown_subset_and_missing_tree(root, tmp_path):
    with pytest.raises(ValueError, match="P3MDataset: subset must be one of "
                       ".*'P3M-500-NP'.*got 'val'"):
        P3MDataset('val', data_root=str(root))
    (tmp_path / 'other').mkdir()
    with pytest.raises(FileNotFoundError, match='(?s)P3MDataset: found no '
                       'sample.*train/blurred_image/<name>.jpg'):
        P3MDataset(data_root=str(tmp_path / 'other'))
