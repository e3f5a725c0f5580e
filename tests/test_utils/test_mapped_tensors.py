import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from genpercept_mm.utils.mapped_tensors import map_safetensors


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    path = str(tmp_path / 'a.safetensors')
    save_file(dict(
        a=torch.randn(3, 4), b=torch.randn(5).half(),
        c=torch.randn(2, 2).bfloat16(), d=torch.arange(7),
        e=torch.tensor([True, False, True]), f=torch.tensor(2.5),
        g=torch.zeros(0, 3), h=torch.randint(0, 255, (3, )).byte(),
        i=torch.randn(2).double()), path, metadata=dict(x='y'))
    return path


def test_equals_the_library(path):
    ours, fields = map_safetensors(path)
    theirs = load_file(path)
    assert ours.keys() == theirs.keys() and fields == dict(x='y')
    for key, value in theirs.items():
        assert ours[key].dtype == value.dtype
        assert torch.equal(ours[key], value), key


def test_changes_stay_in_memory(path):
    map_safetensors(path)[0]['a'].zero_()
    assert load_file(path)['a'].abs().sum() > 0


def test_all_share_one_mapping(path):
    ours, _ = map_safetensors(path)
    places = {value.untyped_storage().data_ptr() for value in ours.values()
              if value.numel() and value.element_size() > 1}
    assert len(places) == 1


@pytest.mark.parametrize('end', [4, 40, -1])
def test_a_damaged_file_is_refused(path, end):
    with open(path, 'rb') as file:
        content = file.read()
    with open(path, 'wb') as file:
        file.write(content[:end])
    with pytest.raises(SafetensorError):
        map_safetensors(path)
