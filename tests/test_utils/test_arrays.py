import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from genpercept_mm.utils.arrays import channels_last, to_numpy

VALUES = torch.tensor([[[0.5, 1.25, -3.]]])


@pytest.mark.parametrize('hold', [
    lambda data: data, lambda data: PixelData(data=data),
    lambda data: dict(data=data), lambda data: data.clone().requires_grad_()])
def test_content_and_shape_stay_whatever_holds_the_map(hold):
    array = to_numpy(hold(VALUES))
    assert isinstance(array, np.ndarray) and array.shape == (1, 1, 3)
    assert array.tolist() == VALUES.tolist()


@pytest.mark.parametrize('dtype, expected', [
    (torch.bfloat16, np.float32), (torch.float16, np.float32),
    (torch.float32, np.float32), (torch.float64, np.float64),
    (torch.uint8, np.uint8), (torch.bool, bool)])
def test_only_half_precision_changes_its_type(dtype, expected):
    value = torch.ones(1, 2, 2).to(dtype)
    assert to_numpy(value).dtype == expected
    assert (to_numpy(value) == 1).all()


def test_arrays_are_not_copied():
    array = np.arange(4.).reshape(1, 2, 2)
    assert to_numpy(array) is array
    assert to_numpy(dict(data=array)) is array


@pytest.mark.parametrize('channels, shape', [(1, (4, 5)), (3, (4, 5, 3))])
def test_channels_come_last_and_single_ones_go(channels, shape):
    maps = torch.rand(channels, 4, 5)
    found = channels_last(PixelData(data=maps))
    assert found.shape == shape
    for row, column in np.ndindex(4, 5):
        assert np.all(found[row, column] == maps[:, row, column].numpy())
