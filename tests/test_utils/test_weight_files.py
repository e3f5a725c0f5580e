import bz2
import gzip
import io
import lzma
import os
import re

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from genpercept_mm.utils.weight_files import (
    PICKLE,
    SAFETENSORS,
    ZIP,
    kind_of,
    local_file,
    unwrap_state,
)

WEIGHTS = dict(w=torch.arange(4.))


def written(tmp_path, content, name='weights.bin'):
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def hdf5():
    content = io.BytesIO()
    with h5py.File(content, 'w') as file:
        file['w'] = np.zeros(3)
    return content.getvalue()


def npy():
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


@pytest.mark.parametrize('name', ['a.bin', 'a.pth', 'a.safetensors', 'a'])
@pytest.mark.parametrize('kind, write', [
    (ZIP, lambda path: torch.save(WEIGHTS, path)),
    (PICKLE, lambda path: torch.save(
        WEIGHTS, path, _use_new_zipfile_serialization=False)),
    (SAFETENSORS, lambda path: save_file(WEIGHTS, path)),
    (SAFETENSORS, lambda path: save_file(
        WEIGHTS, path, metadata=dict(long='x' * 999)))])
def test_weights_are_told_by_content_whatever_the_name(
        tmp_path, name, kind, write):
    path = str(tmp_path / name)
    write(path)
    assert kind_of(path) == kind


@pytest.mark.parametrize('content, message', [
    (b'', r'is empty \(0 bytes\); download or copy'),
    (bytes(1000), r'is empty \(1000 bytes\)'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\n'
     b'size 12345\n', 'is a pointer of Git LFS.*git lfs pull'),
    (b'<!DOCTYPE html>\n<html lang="en">', 'is an HTML page that begins with '
     "'<!DOCTYPE html>', not weights; the download"),
    (b'\xef\xbb\xbf\r\n<HTML><body>404</body>', 'is an HTML page'),
    (b'<?xml version="1.0"?><Error>', 'is a text file that begins with .*xml'),
    (b'{"error": "Repository not found"}', 'is a text file that begins'),
    (b'Entry not found', "is a text file that begins with 'Entry not found'"),
    (gzip.compress(b'x', mtime=0), 'is a gzip archive, not .*; unpack it'),
    (bz2.compress(b'x'), 'is a bzip2 archive'),
    (lzma.compress(b'x'), 'is an xz archive'),
    (b'7z\xbc\xaf\x27\x1c\x00\x04', 'is a 7z archive'),
    (b'Rar!\x1a\x07\x01\x00', 'is a RAR archive'),
    (hdf5(), 'is an HDF5 file.*PyTorch version'),
    (b'GGUF\x03\x00\x00\x00', 'is a GGUF file'),
    (npy(), 'is a NumPy array'),
])
def test_what_is_not_weights_is_named_for_what_it_is(
        tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(OSError, match=f'^{re.escape(path)} {message}'):
        kind_of(path)


def test_unknown_bytes_are_left_to_the_reader(tmp_path):
    assert kind_of(written(tmp_path, b'\x01\x02\xff\xfe' * 9)) is None


@pytest.mark.parametrize('length', [9, 20, 60])
def test_the_beginning_of_safetensors_is_still_safetensors(tmp_path, length):
    """What is torn is told by the reader of its format."""
    path = written(tmp_path, save(WEIGHTS)[:length])
    assert kind_of(path) == SAFETENSORS


def test_local_files(tmp_path, monkeypatch):
    path = written(tmp_path, b'x')
    assert local_file(path) == local_file(tmp_path / 'weights.bin') == path
    monkeypatch.setenv('HOME', str(tmp_path))
    assert local_file('~/weights.bin') == path
    for other in ('https://host/weights.bin', 'open-mmlab://vgg',
                  str(tmp_path), os.path.join(path, 'no')):
        assert local_file(other) is None


@pytest.mark.parametrize('wrap', [
    lambda w: w,
    lambda w: dict(state_dict=w, epoch=3, optimizer=dict(state={})),
    lambda w: dict(model=w, args=None),
    lambda w: dict(module=w),
    lambda w: dict(model_state_dict=w),
    lambda w: dict(params_ema=w, params=w),
    lambda w: {f'module.{key}': value for key, value in w.items()},
    lambda w: dict(state_dict={
        f'module.{key}': value for key, value in w.items()}),
    lambda w: dict(w, global_step=7, name='x', none=None, lr=.1)])
def test_tensors_are_found_however_they_are_wrapped(wrap):
    state = {'a.weight': torch.rand(2), 'a.bias': torch.rand(3),
             'module_list.0': torch.rand(1)}
    found = unwrap_state(wrap(state), 'a.bin')
    assert found.keys() == state.keys()
    assert all(found[key] is state[key] for key in state)


def test_only_a_prefix_of_all_names_is_removed():
    state = {'module.a': torch.ones(1), 'b': torch.ones(1)}
    assert unwrap_state(state, 'a.bin').keys() == state.keys()


@pytest.mark.parametrize('state, message', [
    ([1, 2], 'must hold a dict of tensors, got list'),
    (torch.ones(2), 'must hold a dict of tensors, got Tensor'),
    ({}, 'must hold a dict of tensors, got {}'),
    (dict(epoch=3, best=None), "got {'epoch': 'int', 'best': 'NoneType'}"),
    (dict(w=torch.ones(1), other=dict(a=1)), "'other': 'dict'"),
    (dict(w=np.ones(1)), "'w': 'ndarray'"),
    ({'model.diffusion_model.input_blocks.0.0.weight': torch.ones(1),
      'first_stage_model.x': torch.ones(1)}, 'original layout of Stable '
     'Diffusion.*from_single_file'),
])
def test_what_holds_no_tensors_is_named(state, message):
    with pytest.raises(ValueError, match=f'^a.bin .*{message}'):
        unwrap_state(state, 'a.bin')
