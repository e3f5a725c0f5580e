import numpy as np
import pytest
import torch

from genpercept_mm.models.losses import MaskedMSELoss


def test_by_hand():
    pred = torch.tensor([[[[1., 2.], [3., 9.]]]])
    target = torch.tensor([[[[0., 4.], [3., 0.]]]])
    mask = torch.tensor([[[1, 1], [1, 0]]])
    assert MaskedMSELoss()(pred, target, mask) == pytest.approx((1 + 4) / 3)
    assert MaskedMSELoss()(pred, target) == (1 + 4 + 81) / 4


def test_pools_the_pixels_of_the_batch():
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 3, 3, 5, 4)).astype(np.float32)
    mask = rng.random((3, 5, 4)) < 0.5
    total, number = 0, 0
    for n, c, y, x in np.ndindex(pred.shape):
        if mask[n, y, x]:
            total += (pred[n, c, y, x] - target[n, c, y, x])**2
            number += 1
    loss = MaskedMSELoss()(*map(torch.from_numpy, (pred, target, mask)))
    assert loss.item() == pytest.approx(total / number, rel=1e-5)


def test_a_grey_prediction_equals_one_repeated_to_three_channels():
    """Which is how GenPercept trains mattes."""
    pred, target = torch.rand(2, 2, 1, 6, 6)
    assert MaskedMSELoss()(pred, target).item() == pytest.approx(
        MaskedMSELoss()(pred.repeat(1, 3, 1, 1),
                        target.repeat(1, 3, 1, 1)).item())


def test_one_unknown_component_leaves_the_others():
    pred, target = torch.zeros(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)
    target[0, :, 0, 0] = torch.tensor([1., torch.nan, 2.])
    assert MaskedMSELoss()(pred, target) == 2.5
