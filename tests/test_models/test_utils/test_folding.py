"""Folded models predict what the unfolded ones do."""
import copy

import pytest
import torch
from conftest import assert_near
from diffusers.models.attention_processor import Attention
from mmengine.registry import MODELS, init_default_scope

from genpercept_mm.models.utils.folding import (
    CachedAttention,
    TwoTokenAttention,
    switch_to_deploy,
)

DEPTH = dict(type='AffineDepthCodec')
NORMAL = dict(type='NormalCodec')
BACKBONE = dict(type='genpercept_mm.SDUNet', arch='mini', out_indices=(4, ))
HEAD = dict(type='genpercept_mm.VAEDecodeHead', arch='mini', codec=DEPTH)


def estimator(backbone=(), head=(), **more):
    return dict(
        dict(type='genpercept_mm.DenseEstimator',
             data_preprocessor=dict(
                 type='genpercept_mm.OneStepDataPreprocessor',
                 size_divisor=1),
             backbone=dict(BACKBONE, **dict(backbone)),
             decode_head=dict(HEAD, **dict(head))), **more)


UPERNET = dict(
    type='EncoderDecoder', data_preprocessor=dict(
        type='genpercept_mm.OneStepDataPreprocessor', size_divisor=8),
    backbone=dict(type='genpercept_mm.SDUNet', arch='mini'),
    decode_head=dict(
        type='UPerHead', in_channels=[32, 64, 96, 96], in_index=[0, 1, 2, 3],
        pool_scales=(1, 2), channels=16, num_classes=7, norm_cfg=dict(
            type='BN'), align_corners=False),
    test_cfg=dict(mode='whole'))
MARIGOLD = dict(type='genpercept_mm.LatentDiffusionEstimator',
                protocol='marigold')
MODELS_TO_FOLD = {
    'depth': estimator(),
    'normal': estimator(head=dict(codec=NORMAL)),
    'clipped': estimator(head=dict(clip_channels=True)),
    'sample': estimator(backbone=dict(prediction_type='sample')),
    'timestep': estimator(backbone=dict(timestep=261)),
    'lora': estimator(backbone=dict(lora_rank=3)),
    'dpt': estimator(
        backbone=dict(out_indices=(0, 1, 2, 3)), decode_head=dict(
            type='genpercept_mm.DPTDecodeHead', codec=DEPTH,
            in_channels=[32, 64, 96, 96], channels=16, head_channels=8)),
    'readout': estimator(
        backbone=dict(out_indices=(5, )), decode_head=dict(
            type='genpercept_mm.ReadoutHead', codec=NORMAL, in_channels=32)),
    'small-stem': estimator(
        backbone=dict(stem='taesd_mini'), head=dict(arch='taesd_mini')),
    'latent-read-twice': estimator(
        backbone=dict(out_indices=(0, 4))),
    'marigold-1': estimator(backbone=dict(in_channels=8), **MARIGOLD,
                            test_cfg=dict(mode='whole', num_steps=1)),
    'marigold-4': estimator(backbone=dict(in_channels=8), **MARIGOLD,
                            test_cfg=dict(mode='whole', num_steps=4)),
    'upernet': UPERNET,
}


NIGHTLY = ('clipped', 'timestep', 'latent-read-twice', 'marigold-1')


def build(cfg, tokens=2):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # LoRA's second matrix is zero at first, and so are biases
            if 'lora_B' in name or name.endswith('bias'):
                parameter.normal_(0, .1)
    model.backbone.prompt_embeds = torch.randn(1, tokens, 32)
    return model


def outputs(model, size=(43, 70)):
    generator = torch.Generator().manual_seed(1)
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8,
                            generator=generator) for _ in range(2)]
    data = model.data_preprocessor(dict(inputs=images), False)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return model.encode_decode(
            data['inputs'].to(dtype), [dict(
                img_shape=size, ori_shape=size, img_path='a.png')] * 2)


@pytest.mark.parametrize('name, tokens', [
    *(pytest.param(name, 2, marks=[pytest.mark.nightly] if name in NIGHTLY
                   else []) for name in MODELS_TO_FOLD),
    ('depth', 5), pytest.param('upernet', 1, marks=pytest.mark.nightly)])
def test_the_same_to_rounding(name, tokens):
    model = build(MODELS_TO_FOLD[name], tokens)
    expected = outputs(model)
    count = sum(p.numel() for p in model.parameters())
    assert switch_to_deploy(model) is model
    assert_near(outputs(model), expected, rel=1e-5)
    assert sum(p.numel() for p in model.parameters()) < count
    # again changes nothing
    switch_to_deploy(model)
    assert_near(outputs(model), expected, rel=1e-5)
    with pytest.raises(RuntimeError, match='build the model again to train'):
        model.train()


@pytest.mark.parametrize('name', ['depth', 'lora'])
def test_the_same_in_double_precision(name):
    model = build(MODELS_TO_FOLD[name]).double()
    expected = outputs(model)
    assert_near(outputs(switch_to_deploy(model)), expected, rel=1e-12)


@pytest.mark.parametrize('tokens, kind', [
    (2, TwoTokenAttention), (1, CachedAttention), (77, CachedAttention)])
@pytest.mark.parametrize('bias', [False, True])
def test_attention_is_that_of_diffusers(tokens, kind, bias):
    attention = Attention(
        query_dim=24, cross_attention_dim=10, heads=3, dim_head=8, bias=bias)
    prompt, hidden = torch.randn(1, tokens, 10), torch.randn(2, 11, 24)
    with torch.no_grad():
        expected = attention(hidden, prompt.expand(2, -1, -1))
        assert_near(kind(attention, prompt)(hidden), expected)


def test_another_timestep_is_refused():
    model = switch_to_deploy(build(MODELS_TO_FOLD['depth']))
    with pytest.raises(ValueError, match='has folded timestep 1, got 500'):
        model.backbone.run_unet(torch.zeros(1, 4, 8, 8), 500)


def test_nothing_to_fold_is_an_error():
    with pytest.raises(ValueError, match='a Linear has no part'):
        switch_to_deploy(torch.nn.Linear(2, 2))
