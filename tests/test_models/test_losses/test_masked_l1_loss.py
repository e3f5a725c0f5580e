import numpy as np
import pytest
import torch

from genpercept_mm.models.losses import MaskedL1Loss


def test_by_hand():
    pred = torch.tensor([[[[1., 2.], [3., 9.]]]])
    target = torch.tensor([[[[0., 4.], [3., 0.]]]])
    mask = torch.tensor([[[1, 1], [1, 0]]])
    assert MaskedL1Loss()(pred, target, mask) == 1
    assert MaskedL1Loss()(pred, target) == 3


def test_pools_the_pixels_of_the_batch():
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 3, 3, 5, 4)).astype(np.float32)
    mask = rng.random((3, 5, 4)) < 0.5
    total, number = 0, 0
    for n, c, y, x in np.ndindex(pred.shape):
        if mask[n, y, x]:
            total += abs(pred[n, c, y, x] - target[n, c, y, x])
            number += 1
    loss = MaskedL1Loss()(*map(torch.from_numpy, (pred, target, mask)))
    assert loss.item() == pytest.approx(total / number, rel=1e-5)


def test_gradient_is_the_sign_and_zero_without_error():
    pred = torch.tensor([[[[1., -2., 3.]]]], requires_grad=True)
    MaskedL1Loss()(pred, torch.tensor([[[[0., 0., 3.]]]])).backward()
    np.testing.assert_allclose(pred.grad[0, 0, 0], [1 / 3, -1 / 3, 0])
