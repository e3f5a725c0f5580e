import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import DIS5KDataset


@pytest.fixture
def root(tmp_path):
    for subset in ('DIS-TR', 'DIS-TE1', 'DIS-TE2'):
        for folder in ('im', 'gt'):
            (tmp_path / subset / folder).mkdir(parents=True)
        for name in ('2#Car', '1#Bag'):
            cv2.imwrite(str(tmp_path / subset / 'im' / f'{name}.jpg'),
                        np.zeros((2, 3, 3), np.uint8))
            cv2.imwrite(str(tmp_path / subset / 'gt' / f'{name}.png'),
                        np.array([[0, 128, 255]] * 2, np.uint8))
    return tmp_path


def test_images_and_masks(root):
    dataset = DIS5KDataset(
        data_root=str(root),
        pipeline=[dict(type='mmcv.LoadImageFromFile'),
                  dict(type='genpercept_mm.LoadAlpha')])
    assert [dataset.get_data_info(i)['sample_name'] for i in range(2)] == [
        '1#Bag', '2#Car']
    np.testing.assert_array_equal(
        dataset[1]['gt_alpha_map'], [[0, np.float32(128 / 255), 1]] * 2)


def test_subsets_are_joined(root):
    dataset = DIS5KDataset(('DIS-TE1', 'DIS-TE2'), data_root=str(root))
    # the same names in both
    assert [dataset.get_data_info(i)['dataset_name'] for i in range(4)] == [
        'DIS-TE1', 'DIS-TE1', 'DIS-TE2', 'DIS-TE2']
    assert dataset.get_data_info(3)['img_path'] == (
        f'{root}/DIS-TE2/im/2#Car.jpg')


def test_bad_subset_missing_folder_and_mask(root):
    with pytest.raises(ValueError, match="DIS5KDataset: subset must be one of "
                       ".*'DIS-TE4'.*got 'TE1'"):
        DIS5KDataset('TE1', data_root=str(root))
    with pytest.raises(FileNotFoundError, match='no images in .*DIS-VD/im'):
        DIS5KDataset('DIS-VD', data_root=str(root))
    (root / 'DIS-TR/gt/2#Car.png').unlink()
    with pytest.raises(FileNotFoundError, match='DIS-TR/gt/2#Car.png'):
        DIS5KDataset(data_root=str(root))
