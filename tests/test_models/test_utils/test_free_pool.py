"""Adaptive pooling as matrix products against torch's."""
import pytest
import torch
from torch import nn

from genpercept_mm.models.utils.free_pool import (
    FreeAveragePool,
    use_free_pools,
)


@pytest.mark.parametrize('output', [1, 2, 3, 6, (2, 5)])
@pytest.mark.parametrize('size', [(9, 10), (17, 25), (2, 3), (6, 6), (1, 1)])
def test_equals_torch(output, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(
        FreeAveragePool(output)(x), nn.AdaptiveAvgPool2d(output)(x))


def test_pools_of_a_model_are_replaced():
    model = nn.Sequential(
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.ReLU()),
        nn.AdaptiveAvgPool2d((None, 2)), nn.AdaptiveMaxPool2d(2))
    x = torch.randn(1, 2, 7, 5)
    expected = model[0](x)
    use_free_pools(model)
    torch.testing.assert_close(model[0](x), expected)
    assert isinstance(model[0][0], FreeAveragePool)
    assert not isinstance(model[1], FreeAveragePool)
    assert not isinstance(model[2], FreeAveragePool)
