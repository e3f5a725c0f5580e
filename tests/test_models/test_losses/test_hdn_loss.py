import numpy as np
import pytest
import torch

from genpercept_mm.models.losses import HDNLoss
from genpercept_mm.utils.step_draws import step_draws


def batch(seed=0, size=(24, 20)):
    rng = np.random.default_rng(seed)
    target = rng.uniform(-1, 1, (2, 1, *size))
    pred = target**3 + 0.2 * rng.normal(size=target.shape)
    return pred, target, rng.random(target.shape) < 0.7


def lower_median(values):
    return sorted(values)[(len(values) - 1) // 2]


def difference(pred, target, part, everywhere=False):
    """Sum and number of differences in a part of one image."""
    if not part.any():
        return 0, 0
    normal = []
    for values in (pred, target):
        median = lower_median(values[part])
        sample = values if everywhere else values[part]
        deviation = np.abs(sample - median).sum() / part.sum()
        normal.append((values - median) / (deviation + 1e-6))
    return np.abs(normal[0] - normal[1])[part].sum(), part.sum()


def evaluate(loss, arrays, seed=3):
    torch.manual_seed(seed)
    return loss(*map(torch.from_numpy, arrays)).item()


@pytest.mark.parametrize('official', [False, True])
def test_random_ranges_equal_loops(official):
    pred, target, mask = batch()
    loss = HDNLoss('random', official=official)
    torch.manual_seed(3)
    lows, highs = loss.sample_ranges(
        torch.from_numpy(target + 2), torch.from_numpy(mask))
    assert lows.shape == highs.shape == (10, 2, 1, 1, 1)
    total, number = 0, 0
    for low, high in zip(lows.numpy(), highs.numpy()):
        for n in range(2):
            inside = mask[n] & (target[n] + 2 >= low[n]) & (
                target[n] + 2 < high[n])
            errors, pixels = difference(pred[n], target[n], inside)
            total, number = total + errors, number + pixels
    assert number > 100
    assert evaluate(loss, (pred, target, mask)) == pytest.approx(
        total / number, rel=1e-9)


@pytest.mark.parametrize('official', [False, True])
def test_boxes_equal_loops(official):
    pred, target, mask = batch(1)
    loss = HDNLoss('spatial', official=official)
    torch.manual_seed(3)
    boxes = loss.sample_boxes(24, 20)
    assert len(boxes) == 20
    total, number = 0, 0
    for top, bottom, left, right in [(0, 24, 0, 20)] + boxes:
        inside = np.zeros_like(mask)
        inside[..., top:bottom, left:right] = True
        for n in range(2):
            errors, pixels = difference(
                pred[n], target[n], mask[n] & inside[n], official)
            total, number = total + errors, number + pixels
    assert evaluate(loss, (pred, target, mask)) == pytest.approx(
        total / number, rel=1e-9)


@pytest.mark.parametrize('mode', ['random', 'spatial'])
def test_a_positive_scale_and_a_shift_change_nothing(mode):
    pred, target, mask = batch(2)
    loss = HDNLoss(mode)
    value = evaluate(loss, (pred, target, mask))
    assert value > 0.01
    assert evaluate(loss, (3 * pred - 0.7, target, mask)) == pytest.approx(
        value, rel=1e-4)
    assert evaluate(loss, (0.5 * target + 1, target, mask)) < 1e-4


def ranges(official=False, number=4000, extent=2.):
    target = torch.tensor([0., 1., 2.]).reshape(1, 1, 1, 3) * extent / 2 + 1
    torch.manual_seed(0)
    low, high = HDNLoss(num_parts=number, official=official).sample_ranges(
        target, torch.ones_like(target) > 0)
    # as shares of the valid range 1 .. 1 + extent
    return ((low.flatten() - 1) / extent).numpy(), (
        (high.flatten() - 1) / extent).numpy()


def test_distribution_of_ranges():
    low, high = ranges()
    assert 0 <= low.min() < 0.01 and 0.74 < low.max() <= 0.75
    assert low.mean() == pytest.approx(0.375, abs=0.01)
    assert (high - low).min() >= 0.1 - 1e-6 and high.max() < 1
    # uniform between low + 0.1 and 1
    share = (high - low - 0.1) / (0.9 - low)
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    assert share.std() == pytest.approx(12**-0.5, abs=0.01)


def test_official_ranges_have_no_upper_end():
    """For targets in [1, 3] the share is drawn between 1 and low + 0.1."""
    low, high = ranges(official=True)
    assert low.mean() == pytest.approx(0.375, abs=0.01)
    assert high.min() > 1 - 1e-5
    assert high.max() == pytest.approx(1 + 2 * 0.75 + 0.1, abs=0.05)


def test_ranges_leave_out_masked_pixels():
    target = torch.tensor([-9., 0., 1., 9.]).reshape(1, 1, 1, 4)
    mask = torch.tensor([0, 1, 1, 0]).reshape(1, 1, 1, 4) > 0
    low, high = HDNLoss(num_parts=500).sample_ranges(target, mask)
    assert low.min() >= 0 and high.max() <= 1


def test_distribution_of_boxes():
    torch.manual_seed(0)
    boxes = np.array(
        HDNLoss('spatial', num_parts=4000).sample_boxes(64, 160))
    for size, (start, end) in ((64, boxes[:, :2].T), (160, boxes[:, 2:].T)):
        assert start.min() == 0 and start.max() == size - size // 8 - 1
        assert end.max() == size and (end > start).all()
        length = (end - start)[end < size]
        assert length.min() == size // 8 and length.max() == size // 2 - 1


@pytest.mark.parametrize('size', [(1, 1), (3, 40), (9, 2)])
@pytest.mark.parametrize('mode', ['random', 'spatial'])
def test_small_images(size, mode):
    arrays = batch(4, size)
    assert 0 <= evaluate(HDNLoss(mode), arrays) < 10


def test_no_gradient_through_the_median():
    pred = torch.tensor([1., 2., 6.], dtype=torch.float64).reshape(
        1, 1, 1, 3).requires_grad_()
    target = torch.tensor([0., 1., 1.]).double().reshape(1, 1, 1, 3)
    loss = HDNLoss('spatial', num_parts=1)
    loss.sample_boxes = lambda height, width: []
    value = loss(pred, target)
    # p: (-1, 0, 4) / (5/3); g: (-1, 0, 0) / (1/3)
    assert value.item() == pytest.approx((2.4 + 0 + 2.4) / 3, rel=1e-5)
    value.backward()
    # (sum of) 3 / s (1 - (-1)) ... with a = 2 - p0, b = p2 - 2: the loss is
    # (3 - 3 a / (a + b) + 3 b / (a + b)) / 3 = 2 b / (a + b)
    np.testing.assert_allclose(
        pred.grad.flatten(), [2 * 4 / 25, 0, 2 * 1 / 25], rtol=1e-5)


def test_defaults_and_checks():
    assert HDNLoss().num_parts == 10
    assert HDNLoss('spatial').num_parts == 20
    with pytest.raises(ValueError, match="HDNLoss: mode.*'boxes'"):
        HDNLoss('boxes')
    with pytest.raises(ValueError, match='num_parts must be at least 1'):
        HDNLoss(num_parts=0)


def test_within_a_step_ranges_belong_to_images_and_boxes_to_all():
    loss = HDNLoss(num_parts=3)
    target = torch.rand(4, 1, 6, 5, generator=torch.Generator().manual_seed(
        0))
    valid = torch.ones_like(target, dtype=torch.bool)

    def draw(places):
        with step_draws(0, 1, list(places)):
            return (torch.stack(loss.sample_ranges(
                target[list(places)], valid[list(places)])),
                loss.sample_boxes(40, 30))

    (whole, boxes), (one, same), (two, again) = map(draw, (
        range(4), range(2), range(2, 4)))
    assert torch.equal(whole, torch.cat([one, two], 2))
    assert boxes == same == again
