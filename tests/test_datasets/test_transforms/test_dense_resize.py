import numpy as np
import pytest
from PIL import Image

from genpercept_mm.codecs import AffineDepthCodec, MatteCodec
from genpercept_mm.datasets.transforms import DenseResize
from genpercept_mm.datasets.transforms.dense_resize import resize_map

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('size', [(30, 41), (120, 77), (64, 30)])
@pytest.mark.parametrize('mode', ['bilinear', 'bicubic'])
def test_image_is_resized_as_pillow_does(size, mode):
    """Antialiased, rounded to integers."""
    image = RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    # in float, as Pillow rounds between its two passes otherwise
    channels = [
        Image.fromarray(image[..., c].astype(np.float32)).resize(
            size[::-1], getattr(Image.Resampling, mode.upper()))
        for c in range(3)]
    expected = np.stack([np.array(c) for c in channels], axis=2)
    found = resize_map(image, size, mode)
    assert found.dtype == np.uint8
    assert np.abs(found - np.clip(expected, 0, 255)).max() < .501


def test_labels_take_the_nearest_pixel_centre():
    label = RNG.integers(0, 40, (13, 17))
    found = resize_map(label, (5, 40), 'nearest-exact')
    for y in range(5):
        for x in range(40):
            assert found[y, x] == label[int((y + .5) * 13 / 5),
                                        int((x + .5) * 17 / 40)]


@pytest.mark.parametrize('shape, edge, expected', [
    ((480, 640), 768, (576, 768)), ((768, 1024), 640, (480, 640)),
    ((4032, 6048), 756, (504, 756)), ((101, 77), 50, (50, 38))])
def test_long_edge_rounds_down(shape, edge, expected):
    """Published examples; the last by hand: 77 * 50 / 101 = 38.1."""
    results = DenseResize(long_edge=edge)(
        dict(img=np.zeros((*shape, 3), np.uint8)))
    assert results['img'].shape[:2] == results['img_shape'] == expected


def test_targets_take_the_interpolation_of_their_codec():
    for codec, label, nearest in (
            (AffineDepthCodec(), RNG.uniform(1, 9, (12, 16)), True),
            (MatteCodec(), RNG.uniform(0, 1, (12, 16)), False)):
        target, mask = codec.encode(label)
        results = DenseResize(scale=(8, 6))(dict(
            img=np.zeros((12, 16, 3), np.uint8), codec=codec,
            gt_target=target, gt_target_mask=mask,
            seg_fields=['gt_target', 'gt_target_mask']))
        assert np.isin(results['gt_target'], target).all() == nearest
        assert results['gt_target'].shape == (6, 8, 1)
        assert results['gt_target_mask'].dtype == bool
        assert results['scale_factor'] == (.5, .5)


def test_labels_loaded_later_stay():
    results = DenseResize(scale=(8, 6))(dict(
        img=np.zeros((12, 16, 3), np.uint8), ori_shape=(12, 16)))
    assert results['ori_shape'] == (12, 16)


@pytest.mark.parametrize('arguments', [
    {}, dict(scale=(8, 6), long_edge=8),
    dict(long_edge=8, interpolation='area')])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match='DenseResize'):
        DenseResize(**arguments)
