import numpy as np
import pytest
from matplotlib import colormaps

from genpercept_mm.visualization.error_maps import (
    ERROR_MAPS,
    absolute_error,
    align,
    angular_error,
    colorize_error,
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


def test_colours_are_matplotlibs():
    error = np.array([[0., .1, .25, 9., np.nan]])
    shown = colorize_error(error, .25)
    viridis = np.round(np.array(colormaps['viridis'].colors) * 255)
    assert shown.dtype == np.uint8
    # a table of 256 colours: 0.4 falls in entry 102
    for column, entry in enumerate((0, 102, 255, 255)):
        np.testing.assert_allclose(shown[0, column], viridis[entry], atol=1)
    np.testing.assert_array_equal(shown[0, 4], 0)


@pytest.mark.parametrize('quantity, scale', [
    ('depth', 'relative error 0-{:.0%}'),
    ('disparity', 'relative error 0-{:.0%}'),
    ('normal', 'error 0-{:.0f} deg'), ('alpha', 'error 0-{:.0f}')])
def test_captions_state_the_limits(quantity, scale):
    entry = ERROR_MAPS[quantity]
    assert entry.caption == scale.format(entry.limit)
