import numpy as np
import pytest
import torch

from genpercept_mm.models.losses import GradientMatchingLoss

OFFICIAL = dict(scales=1, directions='vertical')


def loops(error, mask, scales, vertical_only):
    total = 0
    for scale in range(scales):
        step = 2**scale
        steps, number = 0, 0
        for n, c in np.ndindex(error.shape[:2]):
            e, m = error[n, c, ::step, ::step], mask[n, 0, ::step, ::step]
            number += m.sum()
            for y, x in np.ndindex(e.shape):
                neighbours = [(y + 1, x)] + (
                    [] if vertical_only else [(y, x + 1)])
                for other in neighbours:
                    if other[0] < e.shape[0] and other[1] < e.shape[1]:
                        if m[y, x] and m[other]:
                            steps += abs(e[other] - e[y, x])
        total += steps / max(number, 1)
    return total


@pytest.mark.parametrize('kwargs, expected', [
    (OFFICIAL, 60 / 9), (dict(scales=1), 66 / 9)])
def test_worked_numbers(kwargs, expected):
    y, x = torch.meshgrid(torch.arange(3.), torch.arange(3.), indexing='ij')
    error = (10 * y + x)[None, None]
    loss = GradientMatchingLoss(**kwargs)(error, torch.zeros_like(error))
    assert loss.item() == pytest.approx(expected)
    # the sides of the 3 x 3 map at stride 2 are 20 (twice) and 2 (twice)
    both = GradientMatchingLoss(**dict(kwargs, scales=2))(
        error, torch.zeros_like(error))
    more = 40 / 4 if 'directions' in kwargs else 44 / 4
    assert both.item() == pytest.approx(expected + more)


@pytest.mark.parametrize('axis, vertical, both', [(2, 1, 1), (3, 0, 1)])
def test_each_axis(axis, vertical, both):
    shape = [1, 1, 1, 1]
    shape[axis] = 4
    error = torch.arange(4.).reshape(shape).expand(1, 1, 4, 4)
    target = torch.zeros(1, 1, 4, 4)
    for directions, expected in (('vertical', vertical), ('both', both)):
        loss = GradientMatchingLoss(scales=1, directions=directions)(
            error, target)
        assert loss.item() == pytest.approx(expected * 12 / 16)


@pytest.mark.parametrize('scales', [1, 4, 6])
@pytest.mark.parametrize('vertical', [False, True])
@pytest.mark.parametrize('channels', [1, 2])
def test_equals_loops(scales, vertical, channels):
    """Six scales: more than the map has pixels to compare."""
    rng = np.random.default_rng(scales)
    pred, target = rng.normal(size=(2, 3, channels, 11, 14))
    mask = rng.random((3, 1, 11, 14)) < 0.8
    mask[2] = False
    loss = GradientMatchingLoss(
        scales, 'vertical' if vertical else 'both')(
        *map(torch.from_numpy, (pred, target, mask)))
    assert loss.item() == pytest.approx(
        loops(pred - target, mask, scales, vertical), rel=1e-9)


def test_a_shift_of_the_prediction_changes_nothing():
    pred, target = torch.rand(2, 1, 1, 8, 8, dtype=torch.float64)
    loss = GradientMatchingLoss()
    assert loss(pred + 5, target).item() == pytest.approx(
        loss(pred, target).item())
    assert loss(target + 5, target) < 1e-12


def test_no_difference_across_a_masked_pixel():
    error = torch.tensor([[[[0., 9., 1.]]]])
    mask = torch.tensor([[[1, 0, 1]]])
    loss = GradientMatchingLoss(scales=1)
    assert loss(error, torch.zeros_like(error), mask) == 0
    assert loss(error, torch.zeros_like(error)) == pytest.approx(17 / 3)


def test_options_are_checked():
    with pytest.raises(ValueError, match='scales must be at least 1, got 0'):
        GradientMatchingLoss(scales=0)
    with pytest.raises(ValueError, match="directions.*'horizontal'"):
        GradientMatchingLoss(directions='horizontal')
