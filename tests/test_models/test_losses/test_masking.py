import numpy as np
import pytest
import torch

from genpercept_mm.models.losses.masking import (
    lower_median,
    masked_mean,
    normalize_by_median,
    resolve_inputs,
    zero_invalid,
)
from genpercept_mm.utils.arguments import check_choice

PRED = torch.zeros(2, 3, 4, 5)


def valid_of(target, pred=PRED, **kwargs):
    return resolve_inputs('L', pred, target, **kwargs)[2]


@pytest.mark.parametrize('shape', [(2, 4, 5), (2, 1, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize('dtype', [torch.bool, torch.float16, torch.uint8])
@pytest.mark.parametrize('key', ['mask', 'weight'])
def test_masks_of_each_shape_and_type(shape, dtype, key):
    mask = torch.ones(shape)
    mask[1, ..., 2, 3] = 0
    valid = valid_of(PRED, **{key: mask.to(dtype)})
    expected = np.ones((2, 3, 4, 5), bool)
    expected[1, :, 2, 3] = False
    np.testing.assert_array_equal(valid.numpy(), expected)


def test_masks_of_single_channels_and_keypoints():
    channel = torch.ones(2, 3, 4, 5)
    channel[0, 1, 0, 0] = 0
    weights = torch.tensor([[1., 0, 1.5], [0, 1, 1]])
    for form in (weights, weights[..., None, None]):
        valid = valid_of(PRED, mask=channel, weight=form)
        for n in range(2):
            for c in range(3):
                assert valid[n, c].sum() == (
                    0 if weights[n, c] == 0 else 19 if (n, c) == (0, 1)
                    else 20)


def test_weights_that_are_not_positive_are_invalid():
    mask = torch.tensor([0.3, 0., -1., torch.nan])[None, None]
    target = torch.zeros(1, 1, 1, 4)
    assert valid_of(target, target, mask=mask).flatten().tolist() == [
        True, False, False, False]


def test_unknown_targets_are_nan_and_invalid():
    target = torch.tensor([1., torch.nan, torch.inf, -torch.inf, 255, 0])
    target = target[None, None, None]
    pred, labels, valid = resolve_inputs(
        'L', torch.zeros_like(target), target, ignore_index=255)
    assert valid.flatten().tolist() == [True] + 4 * [False] + [True]
    np.testing.assert_array_equal(
        labels.flatten().numpy(), [1] + 4 * [np.nan] + [0])
    assert valid_of(target, target).sum() == 3


def test_integer_labels_without_channel_axis():
    labels = torch.tensor([[[3, 255]]], dtype=torch.uint8)
    pred, target, valid = resolve_inputs(
        'L', torch.zeros(1, 1, 1, 2).half(), labels, ignore_index=255)
    assert pred.dtype == target.dtype == torch.float32
    assert target[0, 0, 0, 0] == 3 and valid[0, 0, 0].tolist() == [True, False]


def test_double_stays_double():
    target = torch.full((1, 1, 2, 2), 1 / 3, dtype=torch.float64)
    pred, labels, _ = resolve_inputs('L', target, target)
    assert (pred - 1 / 3).abs().max() == 0 == (labels - 1 / 3).abs().max()


@pytest.mark.parametrize('pred, target', [
    ((2, 3, 4, 5), (2, 3, 4, 6)), ((2, 3, 4, 5), (2, 4, 5)),
    ((2, 1, 4, 5), (2, 3, 4, 5)), ((2, 1, 4, 5), (4, 5))])
def test_different_sizes_are_named(pred, target):
    with pytest.raises(ValueError, match='L: pred and target') as error:
        resolve_inputs('L', torch.zeros(pred), torch.zeros(target))
    assert str(pred) in str(error.value) and str(target) in str(error.value)


def test_pred_without_channels_is_refused():
    with pytest.raises(ValueError, match=r'L: pred .*got \(4, 5\)'):
        resolve_inputs('L', torch.zeros(4, 5), torch.zeros(4, 5))


@pytest.mark.parametrize('shape', [
    (4, 5), (2, 5, 4), (2, 2, 4, 5), (1, 1, 4, 5), (2, ), (2, 4),
    (2, 1, 1, 1)])
@pytest.mark.parametrize('key', ['mask', 'weight'])
def test_other_masks_are_refused(shape, key):
    with pytest.raises(ValueError, match=f'L: {key} must') as error:
        valid_of(PRED, **{key: torch.ones(shape)})
    assert str(shape) in str(error.value)
    assert '(2, 3, 4, 5)' in str(error.value)


def test_clear_stops_nan_and_its_gradient():
    values = torch.tensor([2., torch.nan, torch.inf], requires_grad=True)
    valid = torch.tensor([True, False, False])
    cleared, double = zero_invalid(valid, values, 2 * values)
    assert cleared.tolist() == [2, 0, 0] and double.tolist() == [4, 0, 0]
    (cleared**2).sum().backward()
    assert values.grad.tolist() == [4, 0, 0]


def test_masked_mean():
    values = torch.tensor([[1., 2, 6], [11, torch.nan, 7], [5, 5, 5]])
    valid = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]]).bool()
    assert masked_mean(values, valid) == (1 + 2 + 6 + 11) / 4


def test_masked_mean_of_nothing():
    values = torch.tensor([[torch.nan, 1.]], requires_grad=True)
    mean = masked_mean(values, torch.zeros(1, 2, dtype=bool))
    assert mean == 0
    mean.backward()
    assert values.grad.tolist() == [[0, 0]]


@pytest.fixture(params=[False, True], ids=['any order', 'deterministic'])
def algorithms(request):
    """With and without what ``randomness=dict(deterministic=True)`` sets."""
    torch.use_deterministic_algorithms(request.param)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures('algorithms')
def test_lower_median_by_sorting():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, (40, 2, 3, 4)).astype(np.float32)
    valid = rng.random(values.shape) < rng.random((40, 1, 1, 1))
    valid[0] = False
    valid[1] = True
    result = lower_median(
        torch.from_numpy(values), torch.from_numpy(valid), empty=-5.)
    assert result.shape == (40, 1, 1, 1)
    even = 0
    for image, known, median in zip(values, valid, result.flatten()):
        chosen = sorted(image[known])
        even += len(chosen) % 2 == 0
        assert median == (
            chosen[(len(chosen) - 1) // 2] if chosen else -5)
    assert even > 5


@pytest.mark.usefixtures('algorithms')
def test_gradients_of_medians():
    """Zero if there is none, otherwise 1 at the element itself."""
    values = torch.tensor([[[[4., 1., 3., 2.]]]], requires_grad=True)
    lower_median(values, torch.zeros_like(values, dtype=bool)).backward()
    assert values.grad.tolist() == [[[[0, 0, 0, 0]]]]
    lower_median(values, values > 1).backward()
    assert values.grad.tolist() == [[[[0, 0, 1, 0]]]]


def row(*values):
    return torch.tensor(values)[None, None, None]


def test_normalize_by_median_by_hand():
    values = row(1., 2., 6., 9.)
    first = row(True, True, True, False)
    # median 2; deviations 1 + 0 + 4 (+ 7), divided by what is asked for
    out = normalize_by_median(values, first, first, row(2))
    np.testing.assert_allclose(out[..., :3], row(-1., 0, 4) / 2.5, rtol=1e-5)
    out = normalize_by_median(values, first, row(True), row(3))
    np.testing.assert_allclose(out, row(-1., 0, 4, 7) / 4, rtol=1e-5)


@pytest.mark.parametrize('detach', [False, True])
def test_gradient_through_the_median(detach):
    # x = (1, 2, 6): third value is (6 - m) / ((m - 1 + 6 - m) / 3) when the
    # median may move; d/dm is -1 / (5 / 3), if not detached
    values = row(1., 2., 6.).requires_grad_()
    every = row(True, True, True)
    normalize_by_median(values, every, every, row(3), detach)[
        ..., 2].sum().backward()
    middle = values.grad[0, 0, 0, 1]
    # the deviation of the median itself is |2 - m|, slope 0 at 0
    assert middle == pytest.approx(0. if detach else -0.6, abs=1e-5)


def test_pixels_that_are_not_used_may_be_nan():
    values = row(1., 2., 6., torch.nan).requires_grad_()
    used = row(True, True, True, False)
    out = normalize_by_median(values, used, used, row(3))
    zero_invalid(used, out)[0].square().sum().backward()
    assert torch.isfinite(values.grad).all() and values.grad.abs().sum() > 0


def test_check_choice():
    check_choice('L', 'mode', 'a', ('a', 'b'))
    with pytest.raises(ValueError, match=r"L: mode.*\('a', 'b'\).*'c'"):
        check_choice('L', 'mode', 'c', ('a', 'b'))
