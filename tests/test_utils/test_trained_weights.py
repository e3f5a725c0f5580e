import binascii
import struct

import pytest
import torch
from torch import nn

from genpercept_mm.utils.trained_weights import (
    checksum,
    frozen_checksums,
    restore_frozen,
    source_of,
    strip_frozen,
    weight_sources,
)


class Part(nn.Module):
    """Reads its weights, all of one value, from "pretrained"."""

    def __init__(self, pretrained=None):
        super().__init__()
        self.pretrained = pretrained
        self.linear = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.reads = 0
        self.requires_grad_(False)

    def init_weights(self):
        self.reads += 1
        for parameter in self.parameters():
            nn.init.constant_(parameter, float(self.pretrained))


def net(pretrained='3', **more):
    return nn.ModuleDict(dict(
        part=Part(pretrained), head=nn.Linear(2, 1), **more))


def saved(model):
    """A small checkpoint, through a file's types."""
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    strip_frozen(checkpoint, frozen_checksums(model))
    return dict(checkpoint, state_dict={
        key: value.clone() for key, value
        in checkpoint['state_dict'].items()})


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_checksum_is_that_of_the_bytes_in_fp32(dtype):
    values = torch.tensor([[1., -2.], [.5, 4.]], dtype=dtype)
    # little-endian IEEE 754
    content = struct.pack('<4f', 1, -2, .5, 4)
    assert checksum(values) == binascii.crc32(content)
    assert checksum(values.t()) == binascii.crc32(
        struct.pack('<4f', 1, .5, -2, 4))
    assert checksum(torch.tensor(1., dtype=dtype)) == binascii.crc32(
        struct.pack('<f', 1))


def test_checksum_sees_the_last_bit():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    other = values.clone()
    other[7] = torch.nextafter(other[7], torch.tensor(9.))
    assert checksum(other) != checksum(values)


def test_the_innermost_module_brings_a_tensor():
    model = nn.ModuleDict(dict(a=net(), b=Part()))
    model.a.init_cfg = dict(type='Pretrained', checkpoint='x.pth')
    model.a.head.init_cfg = [dict(type='Normal', layer='Linear')]
    sources = weight_sources(model)
    assert set(sources) == {'a', 'a.part'}
    assert source_of('a.part.linear.weight', sources) == 'a.part'
    assert source_of('a.head.weight', sources) == 'a'
    assert source_of('a.party.weight', sources) == 'a'
    assert source_of('b.linear.weight', sources) is None
    assert source_of('b', {'': model}) == ''


def test_only_fixed_parameters_from_elsewhere_are_left_out():
    model = net(other=Part())
    checkpoint = saved(model)
    left = {f'part.{layer}.{kind}' for layer in ('linear', 'norm')
            for kind in ('weight', 'bias')}
    assert set(checkpoint['meta']['left_out']) == left
    assert set(checkpoint['state_dict']) == set(model.state_dict()) - left
    # buffers stay, and what is random and fixed
    assert 'part.norm.running_mean' in checkpoint['state_dict']
    assert 'other.linear.weight' in checkpoint['state_dict']


def test_what_was_left_out_is_read_again():
    model = net()
    model.part.init_weights()
    checkpoint = saved(model)
    fresh = net()
    assert restore_frozen(checkpoint, fresh)
    assert fresh.part.reads == 1
    fresh.load_state_dict(checkpoint['state_dict'])
    for key, value in model.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value), key


def test_nothing_is_read_where_it_is_there_already():
    model = net()
    model.part.init_weights()
    checkpoint = saved(model)
    assert restore_frozen(checkpoint, model)
    assert model.part.reads == 1
    assert set(checkpoint['state_dict']) == set(model.state_dict())


def test_a_whole_checkpoint_stays_as_it_is():
    model = net()
    state = dict(model.state_dict())
    assert not restore_frozen(dict(state_dict=state), model)
    assert not restore_frozen(state, model)
    assert model.part.reads == 0


@pytest.mark.parametrize('pretrained, reason', [
    (None, 'part has no pretrained weights'),
    ('4', "part has others, pretrained='4'")])
def test_other_weights_are_refused(pretrained, reason):
    model = net()
    model.part.init_weights()
    with pytest.raises(RuntimeError, match='4 of the 4 others .*' + reason):
        restore_frozen(saved(model), net(pretrained))


def test_another_model_is_refused():
    with pytest.raises(RuntimeError, match=r'4 tensors that this one lacks '
                       r"\(\['part.linear.weight'"):
        restore_frozen(saved(net()), nn.ModuleDict(dict(head=nn.Linear(2, 1))))
