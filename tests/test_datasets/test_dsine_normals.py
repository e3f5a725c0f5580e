import cv2
import numpy as np
import pytest

from genpercept_mm.datasets import DSINENormalsDataset

PIPELINE = [dict(type='mmcv.LoadImageFromFile'),
            dict(type='genpercept_mm.LoadNormal')]
WHERE = dict(nyuv2='test/000000', scannet='scene0001_01/001170',
             sintel='alley_2/frame_0001')


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv('OPENCV_IO_ENABLE_OPENEXR', '1')
    # a facing wall, a floor and a wall on the left: normals in DSINE's
    # axes, away from the camera; and a pixel without
    normals = np.array([[[0, 0, 1], [0, 1, 0], [-1, 0, 0], [0, 0, 0]]])
    for subset, stem in WHERE.items():
        path = tmp_path / subset / stem
        path.parent.mkdir(parents=True)
        cv2.imwrite(f'{path}_img.png', np.zeros((1, 4, 3), np.uint8))
        if subset == 'sintel':
            # short vectors do not count there
            floats = normals.astype(np.float32)
            floats[0, 1] *= 0.4
            cv2.imwrite(f'{path}_normal.exr', floats[..., ::-1])
        else:
            rgb = np.round((normals + 1) / 2 * 255).astype(np.uint8)
            rgb[0, 3] = 0
            cv2.imwrite(f'{path}_normal.png', rgb[..., ::-1])
        (tmp_path / subset / f'{stem}_intrins.npy').touch()
    return tmp_path


@pytest.mark.parametrize('subset', ['nyuv2', 'scannet'])
def test_eight_bit_normals_in_our_axes(root, subset):
    dataset = DSINENormalsDataset(subset, data_root=str(root),
                                  pipeline=PIPELINE)
    assert len(dataset) == 1
    sample = dataset[0]
    assert sample['dataset_name'] == f'dsine_{subset}'
    assert sample['sample_name'] == WHERE[subset]
    # towards the viewer, up, to the right
    np.testing.assert_allclose(
        sample['gt_normal_map'][0],
        [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]], atol=0.006)
    np.testing.assert_allclose(
        np.linalg.norm(sample['gt_normal_map'][0, :3], axis=1), 1, rtol=1e-6)
    assert sample['gt_normal_mask'].tolist() == [[True, True, True, False]]


def test_training_images_of_nyuv2_are_not_its_benchmark(root):
    """The archive has both; others have no such split."""
    for subset in ('nyuv2', 'scannet'):
        for name in ('train/000001', 'testing/000002', '000003'):
            for part in ('img', 'normal'):
                path = root / subset / f'{name}_{part}.png'
                path.parent.mkdir(exist_ok=True)
                path.touch()
    names = {}
    for subset in ('nyuv2', 'scannet'):
        dataset = DSINENormalsDataset(subset, data_root=str(root))
        names[subset] = [dataset.get_data_info(index)['sample_name']
                         for index in range(len(dataset))]
    assert names['nyuv2'] == ['test/000000']
    assert len(names['scannet']) == 4


def test_sintel_counts_vectors_longer_than_a_half(root):
    sample = DSINENormalsDataset('sintel', data_root=str(root),
                                 pipeline=PIPELINE)[0]
    assert sample['gt_normal_mask'].tolist() == [[True, False, True, False]]
    assert sample['gt_normal_map'].tolist() == [
        [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]]


def test_unknown_subset_and_missing_label(root):
    with pytest.raises(ValueError, match="subset must be one of .*'sintel'.*"
                       "got 'ibims'"):
        DSINENormalsDataset('ibims', data_root=str(root))
    path = root / 'nyuv2/test/000000_normal.png'
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f'{path}.*skip'):
        DSINENormalsDataset('nyuv2', data_root=str(root))


def test_only_black_pixels_do_not_count(root):
    """DSINE's evaluation masks what sums to 0 in 8 bits."""
    path = str(root / 'scannet' / f'{WHERE["scannet"]}_normal.png')
    cv2.imwrite(path, np.array([[[127] * 3, [128] * 3, [0, 0, 1],
                                 [0] * 3]], np.uint8))
    sample = DSINENormalsDataset('scannet', data_root=str(root),
                                 pipeline=PIPELINE)[0]
    assert sample['gt_normal_mask'].tolist() == [[True, True, True, False]]
