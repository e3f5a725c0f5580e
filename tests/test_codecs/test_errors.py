import numpy as np
import pytest

from genpercept_mm.codecs import (
    AffineDepthCodec,
    ColormapCodec,
    MatteCodec,
    NormalCodec,
)
from genpercept_mm.codecs.errors import (
    absolute_error,
    align,
    angular_error,
    relative_depth_error,
    relative_disparity_error,
)

EVERYWHERE = np.ones((6, 8), bool)


@pytest.fixture
def depth():
    return np.random.default_rng(0).uniform(1, 10, (6, 8))


def test_alignment_is_numpys_least_squares(depth):
    values = np.random.default_rng(1).random((6, 8))
    mask = np.random.default_rng(2).random((6, 8)) > .3
    design = np.stack([values[mask], np.ones(mask.sum())], 1)
    scale, shift = np.linalg.lstsq(design, depth[mask], rcond=None)[0]
    np.testing.assert_allclose(align(values, depth, mask),
                               scale * values + shift)


def test_alignment_of_a_constant_and_of_nothing(depth):
    np.testing.assert_allclose(
        align(np.full((6, 8), .3), depth, EVERYWHERE), depth.mean())
    assert np.isnan(align(depth, depth, ~EVERYWHERE)).all()


@pytest.mark.parametrize('compute, invert', [
    (relative_depth_error, False), (relative_disparity_error, True)])
def test_scale_and_shift_are_no_errors(depth, compute, invert):
    quantity = 1 / depth if invert else depth
    error = compute(.1 * quantity - .7, depth, EVERYWHERE)
    np.testing.assert_allclose(error, 0, atol=1e-12)


def test_relative_errors_by_hand():
    # residuals orthogonal to 1 and to the values: the fit leaves them
    values = np.array([[1., 2., 3., 4.]])
    residual = np.array([[1., -1., -1., 1.]]) * .5
    error = relative_depth_error(values, values + residual,
                                 np.ones((1, 4), bool))
    np.testing.assert_allclose(error, [[.5 / 1.5, .5 / 1.5, .5 / 2.5,
                                        .5 / 4.5]])
    error = relative_disparity_error(values, 1 / (values + residual),
                                     np.ones((1, 4), bool))
    np.testing.assert_allclose(error, [[.5 / 1.5, .5 / 1.5, .5 / 2.5,
                                        .5 / 4.5]])


def test_pixels_outside_the_mask_change_nothing_and_are_nan(depth):
    mask = EVERYWHERE.copy()
    mask[2] = False
    values = np.sqrt(depth)
    spoilt, label = values.copy(), depth.copy()
    spoilt[2], label[2] = 1e6, 0
    for compute in (relative_depth_error, relative_disparity_error,
                    absolute_error):
        error = compute(spoilt, label, mask)
        assert np.isnan(error[2]).all()
        np.testing.assert_allclose(error[mask],
                                   compute(values, depth, mask)[mask])
        assert np.isfinite(error[mask]).all() and error[mask].max() > .01


@pytest.mark.parametrize('angle', [0, 1e-6, 1e-3, 30, 90, 135, 180])
@pytest.mark.parametrize('length', [1, .2])
def test_angles_are_those_of_a_rotation(angle, length):
    tilt = np.radians(angle)
    label = np.zeros((2, 3, 3))
    label[..., 2] = 1
    normals = length * np.broadcast_to(
        [np.sin(tilt) * .6, np.sin(tilt) * .8, np.cos(tilt)], (2, 3, 3))
    mask = np.array([[True, True, False]] * 2)
    error = angular_error(normals, label, mask)
    np.testing.assert_allclose(error[:, :2], angle, rtol=1e-6, atol=1e-12)
    assert np.isnan(error[:, 2]).all()


def test_absolute_error_is_symmetric():
    error = absolute_error(np.array([[.2, .9]]), np.array([[.5, .5]]),
                           np.ones((1, 2), bool))
    np.testing.assert_allclose(error, [[.3, .4]])


@pytest.mark.parametrize('codec, scale', [
    (AffineDepthCodec('depth'), 'relative error 0-{:.0%}'),
    (AffineDepthCodec('disparity'), 'relative error 0-{:.0%}'),
    (NormalCodec(), 'error 0-{:.0f} deg'), (MatteCodec(), 'error 0-{:.0f}')])
def test_captions_state_the_limits(codec, scale):
    assert codec.error_caption == scale.format(codec.error_limit)


def test_codecs_compare_in_their_own_way(depth):
    for codec, compute in (
            (AffineDepthCodec('depth'), relative_depth_error),
            (AffineDepthCodec('disparity'), relative_disparity_error),
            (MatteCodec(), absolute_error)):
        values = np.sqrt(depth)
        np.testing.assert_array_equal(
            codec.error_map(values, depth, EVERYWHERE),
            compute(values, depth, EVERYWHERE))
    facing = np.zeros((1, 2, 3))
    facing[..., 2] = 1
    np.testing.assert_allclose(NormalCodec().error_map(
        facing[..., ::-1], facing, np.ones((1, 2), bool)), 90.)
    # classes have no distance
    assert ColormapCodec().error_map(depth, depth, EVERYWHERE) is None
