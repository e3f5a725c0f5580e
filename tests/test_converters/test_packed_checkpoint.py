"""Checkpoints as rounded differences to the small prior."""
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import genpercept_mm
from genpercept_mm.apis import DenseInferencer
from genpercept_mm.converters.conversion import read_checkpoint
from genpercept_mm.converters.packed_checkpoint import save_packed

PRIOR = f'{genpercept_mm.__path__[0]}/weights/mini'
FILE = 'diffusion_pytorch_model.safetensors'


@pytest.fixture(scope='module')
def checkpoint():
    """The prior, a little changed, and two tensors that it lacks."""
    rng = torch.Generator().manual_seed(0)
    state = {}
    for key, value in load_file(f'{PRIOR}/unet/{FILE}').items():
        value = value.float()
        state[f'backbone.unet.{key}'] = value + .01 * value.std(
            correction=0) * torch.randn(value.shape, generator=rng)
    state['backbone.unet.conv_in.weight'] = load_file(
        f'{PRIOR}/unet/{FILE}')['conv_in.weight'].float()
    state['decode_head.conv.weight'] = torch.randn(
        64, 32, 3, 3, generator=rng)
    state['decode_head.bn.num_batches_tracked'] = torch.tensor(700)
    return dict(state_dict=state, meta=dict(cfg='x = 1', iter=3))


def test_weights_come_back_within_half_a_step(checkpoint, tmp_path):
    path = str(tmp_path / 'a.npz')
    save_packed(checkpoint, path, levels=8)
    loaded = read_checkpoint(path)
    assert loaded['meta'] == checkpoint['meta']
    base = load_file(f'{PRIOR}/unet/{FILE}')
    assert set(loaded['state_dict']) == set(checkpoint['state_dict'])
    for key, value in checkpoint['state_dict'].items():
        found = loaded['state_dict'][key]
        assert found.dtype == value.dtype
        if value.numel() < 256:
            # as float16 rounds, whose smallest step is 2 ** -24
            torch.testing.assert_close(found, value, rtol=2**-11,
                                       atol=2**-24)
            continue
        change = value - base.get(
            key.removeprefix('backbone.unet.'), torch.zeros(())).float()
        step = max(change.square().mean().sqrt() / 8,
                   change.abs().max() / 127)
        assert (found - value).abs().max() <= step * .501 + 1e-6
    # what is as in the prior stays exactly so
    assert torch.equal(loaded['state_dict']['backbone.unet.conv_in.weight'],
                       checkpoint['state_dict'][
                           'backbone.unet.conv_in.weight'])


def test_it_takes_a_fifth_of_the_memory(checkpoint, tmp_path):
    path = tmp_path / 'a.npz'
    save_packed(checkpoint, str(path))
    whole = sum(value.numel() * 4 for value
                in checkpoint['state_dict'].values())
    assert path.stat().st_size < whole / 5


def test_other_files_are_refused(tmp_path):
    path = tmp_path / 'a.npz'
    np.savez(path, x=np.zeros(3))
    with pytest.raises(RuntimeError, match='a.npz is not a packed checkpoint'):
        read_checkpoint(str(path))
    path.write_bytes(b'PK')
    with pytest.raises(RuntimeError, match='or damaged'):
        read_checkpoint(str(path))
    with pytest.raises(FileNotFoundError, match='none.npz'):
        read_checkpoint(str(tmp_path / 'none.npz'))


@pytest.mark.slow
def test_a_whole_model_predicts_almost_the_same(tmp_path):
    """The way of the bundled models: train, pack, load."""
    from weights import write_checkpoint
    name = 'configs/mini/genpercept_vae_mini-hypersim-depth.py'
    plain, packed = str(tmp_path / 'a.pth'), str(tmp_path / 'a.npz')
    write_checkpoint(plain, name)
    content = torch.load(plain, weights_only=True)
    parts = {part: load_file(f'{PRIOR}/{part}/{FILE}')
             for part in ('unet', 'vae')}
    for key, value in content['state_dict'].items():
        _, part, *rest = key.split('.')
        if part in parts:
            # a training changes weights by a part of their size
            value.copy_(parts[part]['.'.join(rest)] + value * .1)
    torch.save(content, plain)
    save_packed(read_checkpoint(plain), packed)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    maps = [DenseInferencer(path, device='cpu')(image)['depth']
            for path in (plain, packed)]
    assert maps[0].std() > 0
    error = np.abs(maps[0] - maps[1]).mean() / maps[0].std()
    assert 0 < error < .2


def test_it_belongs_to_one_base(checkpoint, tmp_path):
    base = tmp_path / 'base'
    shutil.copytree(PRIOR, base)
    save_packed(checkpoint, str(tmp_path / 'a.npz'), base=str(base))
    read_checkpoint(str(tmp_path / 'a.npz'))
    state = load_file(f'{base}/unet/{FILE}')
    state['conv_out.bias'] += .5
    save_file(state, f'{base}/unet/{FILE}', metadata=dict(format='pt'))
    with pytest.raises(RuntimeError, match='differences to other weights'):
        read_checkpoint(str(tmp_path / 'a.npz'))
