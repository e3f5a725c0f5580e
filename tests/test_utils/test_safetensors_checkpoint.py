import json
import math

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from genpercept_mm.utils.safetensors_checkpoint import (
    load_from_safetensors,
    save_safetensors,
)


def tensors():
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    return {
        'half': torch.randn(3).half(),
        'bf16': torch.randn(2, 2).bfloat16(),
        'steps': torch.tensor(7),
        'mask': torch.tensor([True, False]),
        'none': torch.zeros(0, 3),
        'base': base,
        'tied': base,
        'column': base[:, 2],
        'transposed': base.t(),
        'parameter': torch.nn.Parameter(torch.ones(2)),
    }


META = {
    'cfg': 'a = dict(\n    b="ü")',
    'iter': 3,
    'lr': 0.1,
    'best': math.inf,
    'nothing': None,
    'dataset_meta': {
        'classes': ['wall', 'floor'],
        'keypoint_id2name': {0: 'nose', 1: 'eye'},
        'flip': True,
        '': 'no name',
        'only': {'': 1},
        'empty': {},
    },
}


def test_a_checkpoint_comes_back_through_mmengine(tmp_path):
    path = str(tmp_path / 'x.safetensors')
    state = tensors()
    save_safetensors(
        dict(state_dict=state, meta=META, optimizer=dict(lr=1)), path)
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    assert set(loaded) == {'state_dict', 'meta'}
    assert loaded['meta'] == META
    assert set(loaded['state_dict']) == set(state)
    for key, value in state.items():
        assert loaded['state_dict'][key].dtype == value.dtype
        assert torch.equal(loaded['state_dict'][key], value), key


def test_other_programs_read_it(tmp_path):
    path = tmp_path / 'x.safetensors'
    state = tensors()
    save_safetensors(dict(state_dict=state, meta=dict(iter=3)), path)
    loaded = load_file(path)
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    with safe_open(path, 'pt') as file:
        assert json.loads(file.metadata()['meta']) == dict(iter=3)


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path):
    path = tmp_path / 'x.safetensors'
    contents = set()
    for _ in range(10):
        save_safetensors(dict(state_dict=tensors(), meta=META), path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_tensors_of_other_programs_are_a_checkpoint(tmp_path):
    path = tmp_path / 'X.SafeTensors'
    weight = torch.randn(2, 3)
    save_file(dict(weight=weight, bias=torch.zeros(2)), path,
              metadata=dict(format='pt'))
    layer = torch.nn.Linear(3, 2)
    checkpoint = load_checkpoint(layer, str(path), strict=True)
    assert checkpoint['meta'] == {}
    assert torch.equal(layer.weight, weight)
    # no suffix in the way of other files
    torch.save(dict(a=1), tmp_path / 'x.safetensors.pth')
    assert CheckpointLoader.load_checkpoint(
        str(tmp_path / 'x.safetensors.pth')) == dict(a=1)


def test_what_cannot_be_read_is_named(tmp_path):
    path = tmp_path / 'x.safetensors'
    with pytest.raises(FileNotFoundError, match='x.safetensors can not be'):
        load_from_safetensors(str(path))
    save_safetensors(dict(state_dict=tensors()), path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RuntimeError, match='x.safetensors cannot be read .*'
                       'truncated'):
        load_from_safetensors(str(path))
    for meta in ('{', '{"": 3}'):
        save_file(dict(a=torch.ones(1)), path, metadata=dict(meta=meta))
        with pytest.raises(RuntimeError, match='x.safetensors cannot be read'):
            load_from_safetensors(str(path))


def test_meta_of_other_kinds_is_refused(tmp_path):
    with pytest.raises(ValueError, match='meta must hold text.*Tensor'):
        save_safetensors(
            dict(state_dict={}, meta=dict(mean=torch.ones(1))),
            tmp_path / 'x.safetensors')
