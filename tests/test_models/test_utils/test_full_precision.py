"""Models in half precision; their last layers stay in fp32."""
import copy

import pytest
import torch
import torch.nn.functional as F
from conftest import assert_near
from test_folding import MODELS_TO_FOLD, build, estimator, outputs
from torch import nn

from genpercept_mm.models.utils.full_precision import (
    FullPrecisionConv2d,
    keep_full_precision,
)

HALF = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize('dtype', HALF)
def test_the_layer_ignores_half_precision(dtype):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), FullPrecisionConv2d(8, 2, 3))
    last = model[1]
    expected = copy.deepcopy(last.state_dict())
    model.to(dtype, memory_format=torch.channels_last)
    assert model[0].weight.dtype == dtype
    assert last.weight.is_contiguous(memory_format=torch.channels_last)
    for key, value in last.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[key])
    x = torch.randn(1, 8, 6, 6, dtype=dtype)
    reference = F.conv2d(x.float(), expected['weight'], expected['bias'])
    with torch.no_grad():
        assert_near(last(x), reference)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert_near(last(x), reference)
    assert model.double()[1].weight.dtype == torch.float64
    assert model.to(dtype)[1].weight.dtype == torch.float64
    assert model.to('meta')[1](x.to('meta')).shape == reference.shape


def test_a_layer_of_another_library():
    conv = nn.Conv2d(2, 3, 1)
    keep_full_precision(conv)
    assert conv.half().weight.dtype == torch.float32
    with pytest.raises(TypeError, match='expected a torch.nn.Conv2d, got Lin'):
        keep_full_precision(nn.Linear(2, 3))


KINDS = dict(
    {name: MODELS_TO_FOLD[name] for name in (
        'depth', 'normal', 'dpt', 'readout', 'upernet', 'marigold-4')},
    windows=estimator(test_cfg=dict(
        mode='slide', crop_size=(32, 48), stride=(24, 32))))


@pytest.mark.parametrize('dtype', HALF)
@pytest.mark.parametrize('name', [
    pytest.param(name, marks=[pytest.mark.nightly] if name in (
        'normal', 'windows') else []) for name in KINDS])
def test_a_whole_model(name, dtype):
    """As diffusers' pipelines, ``model.to(dtype)`` is all that it takes."""
    model = build(KINDS[name])
    expected = outputs(model)
    model.to(dtype)
    assert model.backbone.unet.conv_in.weight.dtype == dtype
    given = outputs(model)
    # 8 and 11 bits, over some hundred layers
    tolerance = 20 * torch.finfo(dtype).eps
    error = (given.float() - expected).square().mean().sqrt()
    assert 0 < error < tolerance * expected.std()
    if name != 'upernet':
        assert given.dtype == torch.float32
        # in bf16 a picture like this has some hundred values
        assert len(given.unique()) > .5 * len(expected.unique())
