import numpy as np
import pytest
import torch
from matplotlib import colormaps

from genpercept_mm.codecs import AffineDepthCodec

# 1 to 101 m, one pixel each: the 2 % and 98 % quantiles are 3 and 99 m
RAMP = np.arange(1, 102, dtype=np.float32)[None]


def at(target, metres):
    return target[0, metres - 1, 0]


def test_depth_quantiles_are_the_ends():
    target, mask = AffineDepthCodec().encode(RAMP)
    assert target.shape == (1, 101, 1) and target.dtype == np.float32
    assert mask.all()
    expected = {1: -1, 3: -1, 51: 0, 99: 1, 101: 1, 27: -.5}
    for metres, value in expected.items():
        assert at(target, metres) == pytest.approx(value, abs=1e-6)


def test_disparity_quantiles_are_the_ends():
    """What was meant: clip between 1/99 and 1/3."""
    target, _ = AffineDepthCodec('disparity').encode(RAMP)
    for metres in (1, 2, 3, 10, 50, 99, 101):
        share = (1 / metres - 1 / 99) / (1 / 3 - 1 / 99)
        assert at(target, metres) == pytest.approx(
            np.clip(share, 0, 1) * 2 - 1, abs=1e-5)


def test_disparity_of_the_official_code():
    """Worked numbers of the official normalizer, whose quantiles cancel."""
    target, _ = AffineDepthCodec(
        'disparity', normalizer='minmax').encode(RAMP)
    for metres, value in {1: 1, 3: -.34667, 51: -.98039, 101: -1}.items():
        assert at(target, metres) == pytest.approx(value, abs=1e-5)


def test_official_disparity_counts_the_invalid_sky():
    """A finite far plane sets the lower end although it is invalid."""
    depth = np.array([[1., 2., 655.35, 0.]], np.float32)
    mask = np.array([[True, True, False, False]])
    target, valid = AffineDepthCodec(
        'disparity', normalizer='minmax').encode(depth, mask)
    sky = 1 / 655.35
    assert target[0, 1, 0] == pytest.approx(
        (1 / 2 - sky) / (1 - sky) * 2 - 1, abs=1e-6)
    assert target[0, 2:, 0].tolist() == [-1, -1]
    assert valid.tolist() == mask.tolist()


def test_invalid_pixels_do_not_move_the_quantiles():
    depth = np.concatenate([RAMP, np.full((1, 50), 1000.)], axis=1)
    mask = depth < 500
    target, valid = AffineDepthCodec().encode(depth, mask)
    np.testing.assert_array_equal(target[:, :101],
                                  AffineDepthCodec().encode(RAMP)[0])
    assert (valid == mask).all()


@pytest.mark.parametrize('space', ['depth', 'disparity'])
@pytest.mark.parametrize('depth', [
    np.zeros((4, 5)), np.full((4, 5), 1e-40), np.full((4, 5), 7.),
    np.full((4, 5), np.nan), np.full((4, 5), np.inf), np.full((4, 5), -1.)])
def test_a_map_without_information_has_an_empty_mask(depth, space):
    """No valid pixel, or one constant depth: nothing to learn, no NaN."""
    target, mask = AffineDepthCodec(space).encode(depth.astype(np.float32))
    assert not mask.any()
    assert (target == -1).all()


def test_nan_and_inf_are_invalid_and_do_not_spread():
    depth = RAMP.copy()
    depth[0, 50], depth[0, 60] = np.nan, np.inf
    for space in ('depth', 'disparity'):
        target, mask = AffineDepthCodec(space).encode(depth)
        assert np.isfinite(target).all() and np.abs(target).max() <= 1
        assert np.flatnonzero(~mask[0]).tolist() == [50, 60]


@pytest.mark.parametrize('space', ['depth', 'disparity'])
def test_decoding_undoes_encoding_up_to_an_affine_map(space):
    depth = np.random.default_rng(0).uniform(1, 9, (20, 30)).astype('f')
    codec = AffineDepthCodec(space, quantiles=(0, 1))
    quantity = codec.decode(torch.from_numpy(
        codec.encode(depth)[0]).permute(2, 0, 1)[None])[0, 0].numpy()
    assert quantity.min() == pytest.approx(0, abs=1e-6)
    truth = depth if space == 'depth' else 1 / depth
    slope, shift = np.polyfit(quantity.ravel(), truth.ravel(), 1)
    assert slope > 0
    np.testing.assert_allclose(slope * quantity + shift, truth, rtol=1e-4)
    assert codec.show_label(depth) == pytest.approx(quantity)


def test_decode_clips():
    output = torch.tensor([-3., -1., 0., 1., 3.]).view(1, 1, 1, 5)
    assert AffineDepthCodec().decode(output).flatten().tolist() == [
        0, 0, .5, 1, 1]


def test_pictures_have_fixed_limits():
    values = np.array([[0., .25, 1., 2.]])
    expected = colormaps['Spectral']([0., .25, 1., 1.], bytes=True)[:, :3]
    np.testing.assert_array_equal(
        AffineDepthCodec().colorize(values)[0], expected)


def test_fields():
    assert AffineDepthCodec('disparity').pred_field == 'pred_disparity_map'
    assert AffineDepthCodec('disparity').gt_field == 'gt_depth_map'


@pytest.mark.parametrize('arguments, message', [
    (dict(space='metric'), 'space'), (dict(normalizer='max'), 'normalizer'),
    (dict(normalizer='minmax'), 'disparity'),
    (dict(quantiles=(.9, .1)), 'quantiles')])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AffineDepthCodec(**arguments)


def test_a_map_with_channels_is_refused():
    with pytest.raises(ValueError, match=r'\(H, W\)'):
        AffineDepthCodec().encode(np.ones((4, 5, 3)))
