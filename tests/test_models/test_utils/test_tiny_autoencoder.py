"""The small stem and the small decoder, against diffusers' AutoencoderTiny."""
import shutil

import pytest
import torch
from conftest import assert_near
from diffusers import AutoencoderTiny

from genpercept_mm.models import SDUNet, VAEDecodeHead
from genpercept_mm.models.utils import tiny_autoencoder
from genpercept_mm.models.utils.tiny_autoencoder import TINY_ARCHS

CODEC = dict(type='AffineDepthCodec')
ARCHS = list(TINY_ARCHS)


@pytest.fixture(scope='module', params=ARCHS)
def saved(request, tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    model = AutoencoderTiny(**TINY_ARCHS[request.param])
    model.save_pretrained(folder)
    return request.param, str(folder), model


def stem(arch, weights, **more):
    model = SDUNet(arch='mini', pretrained='mini', stem=arch,
                   stem_weights=weights, **more)
    model.init_weights()
    return model


def decoder(arch, weights, **more):
    head = VAEDecodeHead(CODEC, arch=arch, pretrained=weights, **more)
    head.init_weights()
    return head


@pytest.mark.parametrize('size', [(96, 128), (100, 130), (41, 9)])
@torch.no_grad()
def test_latents_and_maps_are_those_of_diffusers(saved, size):
    arch, folder, reference = saved
    images = torch.rand(2, 3, *size) * 2 - 1
    latents = stem(arch, folder).encode(images)
    expected = reference.encode(images).latents
    assert torch.equal(latents, expected)
    assert latents.shape[2:] == tuple(-(-length // 8) for length in size)
    head = decoder(arch, folder)
    maps = reference.decode(expected).sample.mean(1, keepdim=True)
    assert torch.equal(head.decode(latents), maps)
    head.switch_to_deploy()
    assert_near(head.decode(latents), maps)


def test_parameters_of_taesd():
    """The counts of github.com/madebyollin/taesd."""
    backbone = SDUNet(arch='mini', stem='taesd')
    assert sum(p.numel() for p in backbone.vae.parameters()) == 1222532
    head = VAEDecodeHead(CODEC, arch='taesd')
    assert sum(p.numel() for p in head.parameters()) == 1222531


def test_gradient_checkpointing_changes_nothing(saved, monkeypatch):
    """diffusers' encoder forgets to scale the image with it."""
    arch, folder, reference = saved
    stock, calls = tiny_autoencoder.checkpoint, []
    monkeypatch.setattr(
        tiny_autoencoder, 'checkpoint',
        lambda *args, **kwargs: calls.append(args) or stock(*args, **kwargs))
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    for with_cp in (False, True):
        model = stem(arch, folder, with_cp=with_cp, freeze_vae=False).train()
        latents = model.encode(images)
        latents.sum().backward()
        reference.zero_grad()
        expected = reference.encode(images).latents
        expected.sum().backward()
        assert torch.equal(latents, expected)
        for own, other in zip(model.vae.parameters(),
                              reference.encoder.parameters()):
            assert_near(own.grad, other.grad)
        assert len(calls) == with_cp


def test_files_of_taesds_repository(saved, tmp_path):
    """Its encoder counts layers as diffusers does, its decoder from one."""
    arch, folder, reference = saved
    files = {}
    for side, shift in (('encoder', 0), ('decoder', 1)):
        state = getattr(reference, side).layers.state_dict()
        files[side] = str(tmp_path / f'taesd_{side}.pth')
        torch.save({f'{int(key.split(".")[0]) + shift}.'
                    + key.split('.', 1)[1]: value
                    for key, value in state.items()}, files[side])
    images = torch.rand(1, 3, 24, 16) * 2 - 1
    with torch.no_grad():
        latents = stem(arch, files['encoder']).encode(images)
        assert torch.equal(latents, reference.encode(images).latents)
        assert torch.equal(
            decoder(arch, files['decoder'], clip_channels=False).decode(
                latents),
            reference.decode(latents).sample.mean(1, keepdim=True))
    with pytest.raises(RuntimeError, match='SDUNet: the small encoder of .*'
                       'taesd_decoder.pth.* lacks'):
        stem(arch, files['decoder'])


def test_from_the_hub(saved, tmp_path, monkeypatch):
    from huggingface_hub import constants
    arch, folder, reference = saved
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
    repo, commit = tmp_path / 'models--owner--taesd', '0123456789' * 4
    (repo / 'refs').mkdir(parents=True)
    (repo / 'refs/main').write_text(commit)
    shutil.copytree(folder, repo / 'snapshots' / commit)
    model = stem(arch, 'owner/taesd')
    assert torch.equal(model.vae.encoder.layers[0].weight,
                       reference.encoder.layers[0].weight)


@pytest.mark.parametrize('options, message', [
    (dict(stem='small'), "stem must be one of .*'taesd'"),
    (dict(stem='taesd', pretrained='mini'), 'set stem_weights'),
    (dict(stem_weights='a'), "set stem='taesd'")])
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        SDUNet(arch='mini', **options)
