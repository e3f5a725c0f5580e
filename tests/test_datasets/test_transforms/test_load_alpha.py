import numpy as np
import pytest
from PIL import Image

from genpercept_mm.datasets.transforms import LoadAlpha

GREY = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)


def load(path, **facts):
    return LoadAlpha()(dict(
        dict(img_path='i.jpg', alpha_path=str(path), seg_fields=[]), **facts))


def save(path, array, mode=None):
    Image.fromarray(array, mode).save(path)
    return path


def test_grey_image(tmp_path):
    results = load(save(tmp_path / 'a.png', GREY))
    np.testing.assert_allclose(results['gt_alpha_map'],
                               [[0, .2, .4], [.6, .8, 1]], rtol=1e-6)
    assert results['gt_alpha_map'].dtype == np.float32
    assert results['seg_fields'] == ['gt_alpha_map']
    assert 'gt_alpha_mask' not in results


def test_16_bits_and_1_bit(tmp_path):
    results = load(save(tmp_path / 'a.png', GREY.astype(np.uint16) * 257))
    np.testing.assert_allclose(results['gt_alpha_map'], GREY / 255, rtol=1e-6)
    Image.fromarray(GREY > 100).save(tmp_path / 'b.png')
    results = load(tmp_path / 'b.png')
    np.testing.assert_array_equal(results['gt_alpha_map'], GREY > 100)


def test_constant_masks_keep_their_value(tmp_path):
    for value in (0, 255):
        path = save(tmp_path / 'a.png', np.full((2, 3), value, np.uint8))
        assert (load(path)['gt_alpha_map'] == value / 255).all()


@pytest.mark.parametrize('opaque', [True, False])
def test_several_channels(tmp_path, opaque):
    """Equal colours are the matte; of a cut-out its transparency is."""
    equal = np.dstack([GREY] * 3)
    np.testing.assert_allclose(
        load(save(tmp_path / 'rgb.png', equal))['gt_alpha_map'], GREY / 255,
        rtol=1e-6)
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    full = np.full((2, 3), 255, np.uint8)
    rgba = (np.dstack([equal, full]) if opaque
            else np.dstack([colours, GREY]))
    np.testing.assert_allclose(
        load(save(tmp_path / 'rgba.png', rgba))['gt_alpha_map'], GREY / 255,
        rtol=1e-6)


def test_colour_pictures_are_refused(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    for array in (colours, np.dstack([colours, np.full((2, 3), 255,
                                                       np.uint8)])):
        path = save(tmp_path / 'a.png', array)
        with pytest.raises(ValueError, match=f'LoadAlpha: {path} has shape '
                           r'\(2, 3, 3\); expected'):
            load(path)


def test_size_of_the_image(tmp_path):
    path = save(tmp_path / 'a.png', GREY)
    load(path, ori_shape=(2, 3))
    with pytest.raises(ValueError, match=r'LoadAlpha: image i.jpg is \(4, 6\)'
                       rf'.*label {path} is \(2, 3\)'):
        load(path, ori_shape=(4, 6))


def test_other_types_missing_files_and_labels(tmp_path):
    path = save(tmp_path / 'a.tiff', GREY.astype(np.float32))
    with pytest.raises(ValueError, match=f'LoadAlpha: {path} holds float32'):
        load(path)
    with pytest.raises(FileNotFoundError, match='^LoadAlpha: .*no.png does'):
        load(tmp_path / 'no.png')
    with pytest.raises(ValueError, match="add 'alpha' to the labels"):
        LoadAlpha()(dict(img_path='i.jpg', seg_fields=[]))
