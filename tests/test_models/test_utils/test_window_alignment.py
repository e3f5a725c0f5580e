import numpy as np
import pytest
import torch

from genpercept_mm.models.utils.window_alignment import (
    align_windows,
    blend_weights,
)

BOXES = [(0, 12, 0, 12), (0, 12, 8, 20), (6, 18, 0, 12), (6, 18, 8, 20)]


def windows_of(image, affine):
    return [(image[None, top:bottom, left:right] - shift) / scale
            for (top, bottom, left, right), (scale, shift) in zip(
                BOXES, affine)]


def test_affine_copies_of_one_map_are_put_together_again():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.normal(size=(18, 20)))
    affine = [(2., .3), (.5, -1.), (3., 0.), (1., 2.)]
    windows = windows_of(image, affine)
    found = align_windows(windows, BOXES)
    merged = torch.full((18, 20), torch.nan, dtype=torch.float64)
    for window, (scale, shift), (top, bottom, left, right) in zip(
            windows, found, BOXES):
        merged[top:bottom, left:right] = window[0] * scale + shift
    # up to one affine map for the whole image
    slope, offset = np.polyfit(merged.flatten(), image.flatten(), 1)
    np.testing.assert_allclose(merged * slope + offset, image, atol=1e-9)
    assert slope > 0


def test_solution_is_the_least_squares_one():
    """Against a general optimizer, on noisy windows."""
    from scipy.optimize import minimize
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.normal(size=(18, 20)))
    windows = windows_of(image, [(1., 0.), (2., .3), (.7, -.5), (1.5, 1.)])
    windows = [w + .1 * torch.from_numpy(rng.normal(size=w.shape))
               for w in windows]
    found = align_windows(windows, BOXES)
    anchor = int(np.argmin(np.abs(found - [1, 0]).sum(1)))

    def cost(values):
        affine = np.insert(values.reshape(-1, 2), anchor, [1, 0], axis=0)
        stack = np.full((4, 18, 20), np.nan)
        for k, (top, bottom, left, right) in enumerate(BOXES):
            stack[k, top:bottom, left:right] = (
                windows[k][0] * affine[k, 0] + affine[k, 1])
        return sum(np.nansum((stack[i] - stack[j])**2)
                   for i in range(4) for j in range(i))

    start = np.tile([1., 0.], 3)
    best = minimize(cost, start, tol=1e-12).x.reshape(-1, 2)
    np.testing.assert_allclose(
        np.delete(found, anchor, axis=0), best, atol=1e-4)


def test_windows_without_information_stay():
    flat = [torch.zeros(1, 12, 12)] * 4
    assert np.isfinite(align_windows(flat, BOXES)).all()
    apart = align_windows([torch.rand(1, 4, 4)] * 2,
                          [(0, 4, 0, 4), (0, 4, 9, 13)])
    assert apart.tolist() == [[1, 0], [1, 0]]
    inverted = torch.rand(1, 12, 12)
    scales = align_windows([inverted, -inverted], [BOXES[0], BOXES[0]])[:, 0]
    assert (scales > 0).all()


def test_weights_fall_off_to_the_border():
    weights = blend_weights((3, 4))
    assert weights == pytest.approx(
        np.outer([.5, 1, .5], [.4, .8, .8, .4]))
