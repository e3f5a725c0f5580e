"""`SDUNet` and `VAEDecodeHead` with these functions: see their tests."""
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from weights import UNET_FILE, build_parts

from genpercept_mm.models.utils.pretrained_parts import (
    abridge,
    check_checkpoint,
    compare_shapes,
    load_parts,
    require_weights,
    widen_input,
)


@pytest.mark.parametrize('keys, text', [
    ([], ''), (['a'], 'a'), (['a', 'b'], 'a, b'),
    (['a', 'b', 'c', 'd'], 'a, b and 2 more')])
def test_abridge_says_how_many_it_leaves_out(keys, text):
    assert abridge(keys, limit=2) == text


class Encoder(nn.Module):
    """A component that keeps half a VAE."""

    def __init__(self, pretrained=None):
        super().__init__()
        self.pretrained = pretrained
        _, self.vae, _ = build_parts('mini')
        del self.vae.decoder, self.vae.post_quant_conv
        self._has_weights = pretrained is None


@pytest.fixture
def folder(tmp_path):
    _, vae, _ = build_parts('mini', seed=1)
    vae.save_pretrained(tmp_path / 'vae')
    return tmp_path, vae.state_dict()


def test_a_part_is_loaded_as_far_as_it_is_kept(folder):
    root, expected = folder
    encoder = Encoder('somewhere')
    with pytest.raises(RuntimeError, match=(
            "Encoder: pretrained='somewhere' is set but not loaded")):
        require_weights(encoder)
    load_parts(encoder, str(root), ['vae'])
    require_weights(encoder)
    state = encoder.vae.state_dict()
    assert not any(key.startswith('decoder.') for key in state)
    assert all(torch.equal(value, expected[key])
               for key, value in state.items())


def test_what_cannot_be_loaded_is_named(folder):
    root, state = folder
    encoder = Encoder('somewhere')
    path = root / 'vae' / UNET_FILE
    save_file(dict(state, **{'quant_conv.bias': torch.zeros(3)}), path)
    with pytest.raises(RuntimeError, match=(
            "Encoder: vae of pretrained='somewhere' has 1 tensors of another "
            r'shape .*: quant_conv.bias is \(3,\) there, \(8,\) here')):
        load_parts(encoder, str(root), ['vae'])
    state.pop('quant_conv.bias')
    save_file(state, path)
    with pytest.raises(RuntimeError, match='lacks 1 tensors: quant_conv.bi'):
        load_parts(encoder, str(root), ['vae'])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(OSError, match=(
            "cannot read vae of pretrained='somewhere': .*"
            f'{UNET_FILE} cannot be read')):
        load_parts(encoder, str(root), ['vae'])
    assert not encoder._has_weights


def test_checkpoints_are_checked_before_they_are_loaded():
    encoder = Encoder('somewhere')
    state = {f'backbone.{key}': value
             for key, value in encoder.state_dict().items()}
    assert not check_checkpoint(encoder, {'head.weight': 0}, 'backbone.')
    assert not encoder._has_weights
    key = 'backbone.vae.quant_conv.bias'
    with pytest.raises(RuntimeError, match=(
            'Encoder: the checkpoint is of another architecture. 0 tensors '
            r'are missing \(\); 1 have another shape \(' + key
            + r' is \(3,\) there, \(8,\) here\). Set arch, depth as in')):
        check_checkpoint(encoder, {**state, key: torch.zeros(3)},
                         'backbone.', 'vae', fields=('arch', 'depth'))
    other = {**state, key: torch.zeros(3)}
    assert check_checkpoint(encoder, other, 'backbone.', resized=[key[9:]])
    assert encoder._has_weights
    del state[key]
    with pytest.raises(RuntimeError, match='1 tensors are missing'):
        check_checkpoint(encoder, state, 'backbone.')
    assert check_checkpoint(encoder, state, 'backbone.',
                            optional=['quant_conv.'])


def test_shapes_are_compared():
    own = dict(a=torch.zeros(2), b=torch.zeros(1), c=torch.zeros(4))
    own['to_q.lora_A.weight'] = torch.zeros(1)
    assert compare_shapes(dict(a=torch.zeros(3), c=torch.zeros(4)), own) == (
        ['b'], ['a is (3,) there, (2,) here'])


def test_the_first_layer_is_widened_where_it_is_narrower():
    own = {'conv_in.weight': torch.zeros(5, 8, 3, 3)}
    # 2**-24 is fp16's smallest number, half of it is not in fp16
    weight = torch.full((5, 4, 3, 3), 2.**-24, dtype=torch.float16)
    state = {'conv_in.weight': weight}
    widen_input(state, own)
    assert torch.equal(state['conv_in.weight'],
                       torch.full((5, 8, 3, 3), 2.**-25))
    widen_input(state, own)
    assert torch.equal(state['conv_in.weight'],
                       torch.full((5, 8, 3, 3), 2.**-25))
