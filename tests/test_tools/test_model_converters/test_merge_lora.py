import os
import sys

import merge_lora
import numpy as np
import pytest
import torch
from conftest import assert_near, run_python
from diffusers import AutoencoderKL, UNet2DConditionModel
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from genpercept_mm.models.utils.sd_archs import ARCHS
from genpercept_mm.utils.trained_weights import frozen_checksums, strip_frozen

TOOL = 'tools/model_converters/merge_lora.py'


@pytest.fixture(scope='module')
def prior(tmp_path_factory):
    """Pretrained weights, without a text encoder, and a config on them."""
    root = tmp_path_factory.mktemp('prior')
    torch.manual_seed(1)
    UNet2DConditionModel(**ARCHS['mini']['unet']).save_pretrained(
        root / 'unet')
    AutoencoderKL(**ARCHS['mini']['vae']).save_pretrained(root / 'vae')
    np.save(root / 'prompt.npy', np.ones((3, 32), np.float32))
    (root / 'config.py').write_text(f"""
custom_imports = dict(imports=['genpercept_mm'])
default_scope = 'mmseg'
model = dict(
    type='genpercept_mm.DenseEstimator',
    data_preprocessor=dict(type='genpercept_mm.OneStepDataPreprocessor'),
    backbone=dict(
        type='genpercept_mm.SDUNet', arch='mini', out_indices=(4, ),
        pretrained='{root}', prompt_embeds='{root}/prompt.npy', lora_rank=2),
    decode_head=dict(
        type='genpercept_mm.VAEDecodeHead', arch='mini',
        pretrained='{root}', codec=dict(type='MatteCodec')))
""")
    return root


def build(cfg):
    init_default_scope('mmseg')
    return MODELS.build(cfg.model).eval()


@pytest.fixture(scope='module')
def model(prior):
    """Make a model whose LoRA matrices are not zero."""
    model = build(Config.fromfile(prior / 'config.py'))
    model.init_weights()
    torch.manual_seed(2)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def save(model, path, small, cfg):
    checkpoint = dict(
        state_dict=model.state_dict(), meta=dict(iter=7),
        optimizer=dict(state={}))
    if cfg is not None:
        checkpoint['meta']['cfg'] = cfg.pretty_text
    if small:
        strip_frozen(checkpoint, frozen_checksums(model))
    torch.save(checkpoint, path)
    return path


@pytest.fixture
def run(monkeypatch):

    def run_tool(*args):
        monkeypatch.setattr(sys, 'argv', ['', *map(str, args)])
        merge_lora.main()

    return run_tool


def check(model, path):
    """A plain model that computes the same."""
    merged = torch.load(path, weights_only=True)
    assert set(merged) == {'state_dict', 'meta'}
    assert merged['meta']['iter'] == 7 and 'left_out' not in merged['meta']
    state, original = merged['state_dict'], model.state_dict()
    wrapped = 0
    for key, value in state.items():
        if key in original:
            assert torch.equal(value, original[key]), key
            continue
        name = key.removesuffix('.weight')
        if key.endswith('.bias'):
            name = key.removesuffix('.bias')
            assert torch.equal(value, original[f'{name}.base_layer.bias'])
            continue
        base, low, high = (original[f'{name}.{part}.weight'] for part in (
            'base_layer', 'lora_A.default', 'lora_B.default'))
        assert torch.equal(value, base + high @ low), key
        wrapped += 1
    # four projections, two attentions, ten transformers
    assert wrapped == 80
    cfg = Config.fromstring(merged['meta']['cfg'], '.py')
    assert cfg.model.backbone.lora_rank == 0
    plain = build(cfg)
    plain.load_state_dict(state)
    assert not any('lora' in name for name in plain.state_dict())
    x = torch.rand(2, 3, 48, 64) * 2 - 1
    with torch.no_grad():
        ours, theirs = (net.decode_head(net.extract_feat(x))
                        for net in (plain, model))
    # the sums are in another order
    assert_near(ours, theirs, rel=1e-4)
    return state


def test_a_small_checkpoint_through_the_command_line(prior, model, tmp_path):
    cfg = Config.fromfile(prior / 'config.py')
    path = save(model, tmp_path / 'small.pth', True, cfg)
    done = run_python(TOOL, path, tmp_path / 'out.pth')
    assert 'model = dict(backbone=dict(lora_rank=0))' in done.stdout
    assert 'rank [2]' in done.stdout
    check(model, tmp_path / 'out.pth')


def test_a_whole_checkpoint_with_a_config_file(prior, model, tmp_path, run):
    path = save(model, tmp_path / 'whole.pth', False, None)
    run(path, tmp_path / 'out.pth', '--config', prior / 'config.py')
    state = check(model, tmp_path / 'out.pth')
    # the same without any config
    run(path, tmp_path / 'bare.pth')
    bare = torch.load(tmp_path / 'bare.pth', weights_only=True)
    assert 'cfg' not in bare['meta']
    assert set(bare['state_dict']) == set(state)
    assert all(torch.equal(bare['state_dict'][key], value)
               for key, value in state.items())


def test_a_small_checkpoint_without_lora_is_filled_up(prior, tmp_path, run):
    cfg = Config.fromfile(prior / 'config.py')
    cfg.merge_from_dict({'model.backbone.lora_rank': 0})
    model = build(cfg)
    model.init_weights()
    path = save(model, tmp_path / 'small.pth', True, cfg)
    assert 'decode_head.vae.decoder.conv_in.weight' not in torch.load(
        path)['state_dict']
    run(path, tmp_path / 'out.pth')
    state = torch.load(tmp_path / 'out.pth')['state_dict']
    assert set(state) == set(model.state_dict())
    assert all(torch.equal(state[key], value)
               for key, value in model.state_dict().items())


def test_nothing_is_written_when_something_is_wrong(
        prior, model, tmp_path, run):
    cfg = Config.fromfile(prior / 'config.py')
    out = tmp_path / 'out.pth'
    path = save(model, tmp_path / 'small.pth', True, None)
    with pytest.raises(SystemExit, match='nothing written.*give its config'):
        run(path, out)
    cfg.model.backbone.pretrained = cfg.model.decode_head.pretrained = None
    path = save(model, path, True, cfg)
    with pytest.raises(SystemExit, match='nothing written.*backbone has no '
                       'pretrained weights'):
        run(path, out)
    torch.save(dict(state_dict=dict(weight=torch.zeros(1))), path)
    with pytest.raises(SystemExit, match='plain and whole already'):
        run(path, out)
    torch.save(dict(weight=torch.zeros(1)), path)
    with pytest.raises(SystemExit, match='has no state_dict'):
        run(path, out)
    with pytest.raises(SystemExit, match='must end in .pth'):
        run(path, tmp_path / 'out')
    assert os.listdir(tmp_path) == ['small.pth']
