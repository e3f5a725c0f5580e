import math

import numpy as np
import pytest
import torch

from genpercept_mm.models.losses import AngularLoss


def unit(shape, seed=0):
    vectors = np.random.default_rng(seed).normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def evaluate(pred, target, *mask, **kwargs):
    return AngularLoss(**kwargs)(*(
        torch.as_tensor(item) for item in (pred, target, *mask))).item()


def pixel(*vector):
    return torch.tensor(vector, dtype=torch.float64).reshape(1, 3, 1, 1)


def test_worked_numbers():
    normal = unit((2, 3, 5, 4))
    assert evaluate(normal, normal) == pytest.approx(0.0141423, abs=1e-7)
    assert evaluate(-normal, normal) == pytest.approx(
        math.pi - 0.0141423, abs=1e-7)
    assert evaluate(pixel(1, 0, 0), pixel(0, 1, 0)) == pytest.approx(
        math.pi / 2)
    assert evaluate(normal, 0 * normal) == pytest.approx(math.pi / 2)
    assert evaluate(0 * normal, normal) == pytest.approx(math.pi / 2)


@pytest.mark.parametrize('degrees', [1, 30, 45, 90, 135, 179])
def test_angle_of_rotated_vectors(degrees):
    angle = math.radians(degrees)
    turned = pixel(math.cos(angle), 0, math.sin(angle))
    assert evaluate(turned, pixel(1, 0, 0)) == pytest.approx(angle)


def test_equals_loops():
    pred = np.random.default_rng(1).normal(size=(3, 3, 6, 5))
    target = unit(pred.shape, 2)
    mask = np.random.default_rng(3).random((3, 1, 6, 5)) < 0.6
    angles = []
    for n, y, x in np.ndindex(3, 6, 5):
        if mask[n, 0, y, x]:
            p, g = pred[n, :, y, x], target[n, :, y, x]
            # the half-angle formula of Kahan, unlike an arc cosine
            p = p / np.linalg.norm(p)
            angles.append(2 * math.atan2(
                np.linalg.norm(p - g), np.linalg.norm(p + g)))
    assert evaluate(pred, target, mask, eps=1e-6) == pytest.approx(
        np.mean(angles), abs=1e-6)


def test_lengths_change_nothing():
    pred, target = unit((2, 3, 5, 4), 4), unit((2, 3, 5, 4), 5)
    length = np.random.default_rng(6).uniform(0.1, 9, (2, 1, 5, 4))
    value = evaluate(pred, target)
    assert evaluate(pred * length, target) == pytest.approx(value)
    assert evaluate(pred, target * length) == pytest.approx(value)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('pred', [
    (0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (1e-30, 0, 0),
    (1e-12, 1e-12, 0), (1e15, 1, 0)])
@pytest.mark.parametrize('target', [(0, 0, 0), (1, 0, 0), (0, 0, -1)])
def test_gradient_is_finite_everywhere(dtype, pred, target):
    pred = pixel(*pred).to(dtype).requires_grad_()
    value = AngularLoss(eps=1e-6)(pred, pixel(*target).to(dtype))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(pred.grad).all()
    if not any(target):
        assert not pred.grad.any()


def test_a_step_along_the_gradient_turns_towards_the_target():
    pred = pixel(1, 0, 0).requires_grad_()
    target = pixel(0.6, 0.8, 0)
    AngularLoss()(pred, target).backward()
    # straight across the prediction, slope 1 radian per unit
    np.testing.assert_allclose(
        pred.grad.flatten(), [0, -1, 0], atol=1e-9)


def test_inside_the_clamp_there_is_no_gradient():
    pred = pixel(1, 0.01, 0).requires_grad_()
    AngularLoss()(pred, pixel(1, 0, 0)).backward()
    assert not pred.grad.any()
    AngularLoss(eps=1e-6)(pred, pixel(1, 0, 0)).backward()
    assert pred.grad.any()


def test_a_pixel_with_an_unknown_component_does_not_count():
    pred = torch.cat([pixel(1, 0, 0), pixel(1, 0, 0)], dim=3)
    target = torch.cat([pixel(0, 1, 0), pixel(1, math.nan, 0)], dim=3)
    assert evaluate(pred, target) == pytest.approx(math.pi / 2)


@pytest.mark.parametrize('eps', [0, 1, -1e-4, 1e-9])
def test_eps_is_checked(eps):
    with pytest.raises(ValueError, match='AngularLoss: eps must be in'):
        AngularLoss(eps=eps)
