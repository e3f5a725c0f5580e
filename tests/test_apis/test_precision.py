import copy

import pytest
import torch
from conftest import assert_near
from mini_models import build

from genpercept_mm.apis.precision import PRECISIONS, find_dtype, use_precision

CPU = torch.device('cpu')


def test_names_and_types():
    assert find_dtype(None, CPU) == torch.float32
    assert find_dtype('bf16', CPU) == torch.bfloat16
    assert find_dtype(torch.float16, CPU) == torch.float16
    with pytest.raises(ValueError, match="dtype must be one of .*'fp32'"):
        find_dtype('int8', CPU)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_the_network_runs_in_it(dtype):
    layer = torch.nn.Linear(4, 4)
    with use_precision(layer, dtype)():
        assert layer(torch.ones(1, 4)).dtype == dtype
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize('dtype', PRECISIONS.values())
@pytest.mark.parametrize('kind', [
    'depth', pytest.param('upernet', marks=pytest.mark.nightly)])
def test_maps_are_those_of_fp32(kind, dtype):
    """Whether the weights are cast or the operations."""
    model = build(kind)
    images = [torch.randint(0, 256, (3, 64, 48), dtype=torch.uint8,
                            generator=torch.Generator().manual_seed(0))]
    results = []
    for precision in (torch.float32, dtype):
        network = copy.deepcopy(model).eval()
        with use_precision(network, precision)(), torch.no_grad():
            results.append(network.encode_decode(
                network.data_preprocessor(dict(inputs=images))['inputs'],
                [dict(ori_shape=(64, 48), img_shape=(64, 48))]))
        weight = network.backbone.unet.conv_in.weight
        assert weight.dtype == (
            dtype if precision == torch.bfloat16 else torch.float32)
    expected, given = results
    # errors of single operations add up over some dozen layers
    assert_near(given.float(), expected, rel=20 * torch.finfo(dtype).eps)
