import shutil

import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import AIM500Dataset

PIPELINE = [dict(type='mmcv.LoadImageFromFile'),
            dict(type='genpercept_mm.LoadAlpha'),
            dict(type='genpercept_mm.PackDenseInputs')]


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'original').mkdir()
    (tmp_path / 'mask').mkdir()
    return tmp_path


def test_images_and_mattes(root):
    for name in ('o_b', 'o_a'):
        cv2.imwrite(str(root / f'original/{name}.jpg'),
                    np.zeros((2, 3), np.uint8))
        cv2.imwrite(str(root / f'mask/{name}.png'),
                    np.array([[0, 102, 255]] * 2, np.uint8))
    dataset = AIM500Dataset(data_root=str(root), pipeline=PIPELINE)
    assert len(dataset) == 2
    sample = dataset[0]['data_samples']
    assert (sample.dataset_name, sample.sample_name) == ('aim500', 'o_a')
    np.testing.assert_array_equal(
        sample.gt_alpha_map.data.numpy(),
        np.float32([[[0, 102 / 255, 1]] * 2]))


def test_real_matte(samples, root):
    shutil.copy(f'{samples}/matting/lemur.png', root / 'original/lemur.png')
    shutil.copy(f'{samples}/matting/lemur_alpha.png', root / 'mask/lemur.png')
    sample = AIM500Dataset(data_root=str(root), pipeline=PIPELINE)[0][
        'data_samples']
    raw = cv2.imread(f'{samples}/matting/lemur_alpha.png',
                     cv2.IMREAD_GRAYSCALE)
    alpha = sample.gt_alpha_map.data[0].numpy()
    np.testing.assert_allclose(alpha, raw / 255, rtol=1e-6)
    assert alpha.min() == 0 and alpha.max() == 1
    assert sample.ori_shape == raw.shape
    assert 'gt_alpha_mask' not in sample


def test_missing_matte(root):
    cv2.imwrite(str(root / 'original/a.jpg'), np.zeros((2, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match='AIM500Dataset: 1 of 1 '
                       'samples.*mask/a.png'):
        AIM500Dataset(data_root=str(root))
