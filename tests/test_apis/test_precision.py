import pytest
import torch

from genpercept_mm.apis.precision import autocast, find_dtype

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
    with autocast(layer, dtype):
        assert layer(torch.ones(1, 4)).dtype == dtype
