import numpy as np
import pytest
import torch

from genpercept_mm.utils.finite import is_finite, not_finite


@pytest.mark.parametrize('kind', [np.float16, np.float32, np.float64,
                                  np.complex64, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize('make', [
    np.asarray, torch.as_tensor,
    lambda values: torch.as_tensor(values).view(1, -1)[:, ::2]])
def test_every_type_of_finite_numbers(kind, make):
    assert is_finite(make(np.arange(5).astype(kind)))
    assert is_finite(make(np.zeros(0, kind)))


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16,
                                  torch.float32, torch.float64,
                                  torch.complex64])
def test_one_bad_value_is_found_anywhere(bad, kind):
    for index in range(4):
        values = torch.zeros(2, 2, dtype=kind)
        values.view(-1)[index] = bad
        assert not is_finite(values)
        if kind is not torch.bfloat16:  # NumPy has no such type
            assert not is_finite(values.numpy())


def test_largest_numbers_are_finite():
    for kind in (torch.float16, torch.bfloat16, torch.float32):
        assert is_finite(torch.full((3, ), torch.finfo(kind).max, dtype=kind))


def test_names_of_what_is_not_finite():
    named = dict(a=torch.ones(2), b=np.array([1, np.nan]), text='nan',
                 number=float('nan'), c=torch.tensor(float('inf')), none=None)
    assert not_finite(named) == ['b', 'c']
    assert not_finite({}) == []


def test_tensors_without_values_are_not_looked_at():
    assert is_finite(torch.empty(3, device='meta'))
