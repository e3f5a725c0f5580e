import numpy as np
import pytest
import torch

from genpercept_mm.models.losses import ScaleShiftInvariantLoss
from genpercept_mm.models.losses.scale_shift_invariant_loss import (
    fit_scale_and_shift,
)


def row(*values):
    return torch.tensor(values, dtype=torch.float32)[None, None, None]


def lower_median(values):
    return sorted(values)[(len(values) - 1) // 2]


def least_squares_l1(pred, target, mask, offset):
    """Absolute errors of one image, by numpy's solver."""
    p, g = pred[mask] + offset, target[mask] + offset
    (scale, shift), *_ = np.linalg.lstsq(
        np.stack([p, np.ones_like(p)], 1), g, rcond=None)
    if scale > 0:
        return np.abs(scale * p + shift - g)
    positive = g > 0
    ratio = 1
    if positive.any():
        ratio = lower_median(g[positive]) / (
            lower_median(p[positive]) + 1e-8)
    return np.abs(p * ratio - g)


def batch(seed, correlation):
    """Three images; correlation of prediction and target per image."""
    rng = np.random.default_rng(seed)
    target = rng.uniform(-1, 1, (3, 1, 9, 7))
    sign = np.reshape(correlation, (3, 1, 1, 1))
    pred = sign * target + 0.3 * rng.normal(size=target.shape)
    mask = rng.random(target.shape) < np.reshape([0.9, 0.5, 0.2], (3, 1, 1, 1))
    return pred, target, mask


def evaluate(arrays, **kwargs):
    return ScaleShiftInvariantLoss(**kwargs)(
        *map(torch.from_numpy, arrays)).item()


@pytest.mark.parametrize('offset', [0., 2.])
def test_worked_numbers(offset):
    pred, target = row(0, 1, 2, 3), row(1, 3, 5, 8)
    loss = ScaleShiftInvariantLoss(offset=offset)(pred, target)
    assert loss.item() == pytest.approx(0.25, abs=1e-6)
    half = ScaleShiftInvariantLoss(offset=offset, loss_weight=.5)
    assert half(pred, target).item() == pytest.approx(.125, abs=1e-6)
    scale, shift = fit_scale_and_shift(pred, target, pred > -1)
    assert scale.shape == shift.shape == (1, 1, 1, 1)
    assert scale.item() == pytest.approx(2.3)
    assert shift.item() == pytest.approx(0.8)


@pytest.mark.parametrize('offset', [0., 2., 3.5])
@pytest.mark.parametrize('correlation', [
    (1, 1, 1), (-1, -1, -1), (0.5, -0.5, 0.1)])
@pytest.mark.parametrize('seed', range(4))
def test_least_squares_equals_numpy(offset, correlation, seed):
    pred, target, mask = batch(seed, correlation)
    errors = [least_squares_l1(p, g, m, offset)
              for p, g, m in zip(pred, target, mask)]
    arrays = pred, target, mask
    assert evaluate(arrays, offset=offset) == pytest.approx(
        np.concatenate(errors).mean(), rel=1e-9)
    assert evaluate(arrays, offset=offset, reduction='image') == (
        pytest.approx(np.mean([part.mean() for part in errors]), rel=1e-9))


def test_a_positive_scale_and_a_shift_change_nothing():
    pred, target, mask = batch(0, (1, 0.8, 0.6))
    for mode in ('least_squares', 'median'):
        value = evaluate((pred, target, mask), mode=mode)
        assert value > 0.01
        assert evaluate((3 * pred - 0.7, target, mask), mode=mode) == (
            pytest.approx(value, rel=1e-5))
        assert evaluate((0.5 * target + 1, target, mask), mode=mode) < 1e-5


def test_offset_matters_in_the_fallback_only():
    for correlation, same in ((1, True), (-1, False)):
        arrays = batch(1, 3 * [correlation])
        values = [evaluate(arrays, offset=offset) for offset in (0., 2.)]
        assert (abs(values[0] - values[1]) < 1e-9) == same


def test_fallback_by_hand():
    # slope -1; medians, lower middle values: 2 of 1 2 3 4 and of 4 3 2 1
    pred, target = row(1, 2, 3, 4), row(4, 3, 2, 1)
    loss = ScaleShiftInvariantLoss(offset=0.)(pred, target)
    assert loss.item() == pytest.approx((3 + 1 + 1 + 3) / 4)
    # targets above zero give the medians: 3 of 3, 4 and 1 of 1, 2
    pred, target = row(1, 2, 3, 4), row(4, 3, -1, -2)
    loss = ScaleShiftInvariantLoss(offset=0.)(pred, target)
    assert loss.item() == pytest.approx((1 + 3 + 10 + 14) / 4)
    # none: factor 1
    pred, target = row(1, 2), row(-1, -2)
    loss = ScaleShiftInvariantLoss(offset=0.)(pred, target)
    assert loss.item() == pytest.approx((2 + 4) / 2)


@pytest.mark.parametrize('constant', [0.1, 0.3, 0.7])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_constant_maps_use_the_fallback(constant, dtype):
    """Rounding of their mean must not count as variance."""
    varied = torch.rand(1, 1, 17, 23, generator=torch.Generator(
        ).manual_seed(0), dtype=dtype) + 0.5
    median = lower_median(varied.flatten().tolist())
    flat = torch.full_like(varied, constant, requires_grad=True)
    loss = ScaleShiftInvariantLoss(offset=0.)
    value = loss(flat, varied)
    assert value.item() == pytest.approx(
        (median - varied).abs().mean().item(), rel=1e-5)
    value.backward()
    # d / dp of p * median / constant; the pixel of the median takes it back
    assert flat.grad.abs().median().item() == pytest.approx(
        median / constant / varied.numel(), rel=1e-4)
    assert loss(varied, flat.detach()).item() == pytest.approx(
        constant * (varied / median - 1).abs().mean().item(), rel=1e-5)


def test_flat_predictions_keep_their_digits():
    """The sums of the normal equations cancel in float32."""
    pred, target, mask = batch(2, (1, 1, 1))
    pred = (1e-3 * pred).astype(np.float32)
    errors = [least_squares_l1(p, g, m, 2.)
              for p, g, m in zip(pred.astype(np.float64), target, mask)]
    value = evaluate((pred, target.astype(np.float32), mask))
    assert value == pytest.approx(np.concatenate(errors).mean(), rel=1e-3)


@pytest.mark.parametrize('median_over', ['all', 'valid'])
@pytest.mark.parametrize('reduction', ['pixel', 'image'])
def test_median_mode_equals_loops(median_over, reduction):
    pred, target, mask = batch(3, (1, -1, 0))
    target[0, 0, 0, 0] = np.nan

    def normalize(values, sample, count):
        median = lower_median(values[sample])
        deviation = sum(abs(v - median) for v in values[sample]) / count
        return (values - median) / (deviation + 1e-6)

    errors = []
    for p, g, m in zip(pred, target, mask):
        m = m & np.isfinite(g)
        sample = np.isfinite(g) if median_over == 'all' else m
        errors.append(np.abs(
            normalize(p, sample, m.sum()) - normalize(g, sample, m.sum()))[m])
    expected = np.concatenate(errors).mean()
    if reduction == 'image':
        expected = np.mean([part.mean() for part in errors])
    assert evaluate((pred, target, mask), mode='median',
                    median_over=median_over, reduction=reduction) == (
        pytest.approx(expected, rel=1e-9))


def test_reductions_weigh_large_masks_differently():
    arrays = batch(4, (1, 0.2, 0.2))
    assert abs(evaluate(arrays) - evaluate(arrays, reduction='image')) > 0.01


@pytest.mark.parametrize('key', ['mode', 'reduction', 'median_over'])
def test_unknown_options_are_refused(key):
    with pytest.raises(ValueError,
                       match=f"ScaleShiftInvariantLoss: {key} .*'medium'"):
        ScaleShiftInvariantLoss(**{key: 'medium'})
