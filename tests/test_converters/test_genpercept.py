import pytest
import torch
from weights import ODD, build_parts, random_head

from genpercept_mm.converters.genpercept import (
    TASKS,
    from_mm,
    replace_vae_decoder,
    to_mm,
)
from genpercept_mm.converters.layout import model_config
from genpercept_mm.converters.marigold import marigold_to_mm
from genpercept_mm.registry import MODELS


def test_sizes_of_stable_diffusion_2_1():
    """Published counts: 686 tensors, 682 with the DPT head's 18.5 million."""
    unet, vae, prompt = build_parts('sd21', 'meta')
    state, _ = to_mm(unet.state_dict(), vae.state_dict(), prompt, 'sd21')
    assert len(state) == 686 + 248 + 1
    own = [v.numel() for k, v in state.items()
           if k.startswith('backbone.unet.')]
    assert (len(own), sum(own)) == (686, 865_910_724)
    with torch.device('meta'):
        head = random_head((320, 640, 1280, 1280), 256, 32)
    state, notes = to_mm(unet.state_dict(), vae.state_dict(), prompt, 'sd21',
                         dpt_head=head)
    own = [v.numel() for k, v in state.items()
           if k.startswith('backbone.unet.')]
    assert (len(own), sum(own)) == (682, 865_898_560)
    assert sum(v.numel() for k, v in state.items()
               if k.startswith('decode_head.')) == 18_474_753
    assert any('conv_norm_out.weight' in note for note in notes)
    # 138 of the decoder and post_quant_conv
    assert any('140 tensors of the decoder' in note for note in notes)


def test_both_directions_are_inverse():
    unet, vae, prompt = build_parts('mini')
    states = unet.state_dict(), vae.state_dict()
    state, _ = to_mm(*states, prompt, 'mini')
    model = MODELS.build(model_config(state, 'mini', TASKS['normal']))
    assert set(state) == set(model.state_dict())
    parts = from_mm(state, 'mini')
    assert parts['dpt_head'] is None
    head = random_head()
    state, _ = to_mm(*states, prompt, 'mini', dpt_head=head)
    model = MODELS.build(model_config(state, 'mini', TASKS['depth']))
    assert set(state) == set(model.state_dict())
    with_head = from_mm(state, 'mini', base_vae=states[1])
    for given, expected in ((parts['unet'], states[0]),
                            (parts['vae'], states[1]),
                            (with_head['vae'], states[1]),
                            (with_head['dpt_head'], head)):
        assert set(given) == set(expected)
        for key, value in expected.items():
            assert torch.equal(given[key], value), key
    assert torch.equal(parts['prompt_embeds'], prompt)
    encoder = from_mm(state, 'mini')['vae']
    assert not any(key.startswith('decoder') for key in encoder)


def test_a_nameless_arch_converts():
    unet, vae, prompt = build_parts(ODD)
    state, notes = to_mm(unet.state_dict(), vae.state_dict(), prompt, ODD)
    model = MODELS.build(model_config(state, ODD, TASKS['depth']))
    model.load_state_dict(state)
    assert notes == []


def test_half_precision_becomes_fp32():
    unet, vae, prompt = build_parts('mini')
    state, _ = to_mm(
        unet.state_dict(), vae.half().state_dict(), prompt.half(), 'mini')
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_a_trained_decoder_replaces_the_other():
    _, vae, _ = build_parts('mini')
    _, other, _ = build_parts('mini', seed=1)
    new = replace_vae_decoder(
        vae.state_dict(), other.decoder.state_dict(),
        other.post_quant_conv.state_dict())
    assert set(new) == set(vae.state_dict())
    for key, value in new.items():
        source = other if key.startswith(('decoder', 'post_')) else vae
        assert torch.equal(value, source.state_dict()[key])


def test_all_that_does_not_fit_is_named():
    unet, vae, prompt = build_parts('mini')
    unet, vae = unet.state_dict(), vae.state_dict()
    del unet['mid_block.resnets.0.conv1.bias']
    unet['time_embedding.cond_proj.weight'] = torch.zeros(1)
    vae['quant_conv.bias'] = torch.zeros(3)
    with pytest.raises(ValueError) as info:
        to_mm(unet, vae, prompt[..., :-1], 'mini')
    for words in ('4 tensors do not fit',
                  'unet: mid_block.resnets.0.conv1.bias is missing',
                  'unet: time_embedding.cond_proj.weight has no place',
                  'vae: quant_conv.bias is (3,), must be (8,)',
                  'prompt_embeds: (1, 2, 31), must be (1, L, 32)'):
        assert words in str(info.value)


def test_heads_other_than_dpt_are_refused():
    unet, vae, prompt = build_parts('mini')
    head = random_head()
    states = unet.state_dict(), vae.state_dict(), prompt, 'mini'
    for key in ('head.head.4.weight', 'neck.convs.3.weight'):
        with pytest.raises(ValueError, match=key):
            to_mm(*states, {k: v for k, v in head.items() if k != key})
    state, _ = to_mm(*states)
    state = {k: v for k, v in state.items() if 'decode_head' not in k}
    state['decode_head.conv_seg.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match='conv_seg.weight has no place'):
        from_mm(state, 'mini')


def test_marigold_is_refused():
    unet, vae, prompt = build_parts('mini')
    state = unet.state_dict()
    state['conv_in.weight'] = state['conv_in.weight'].repeat(1, 2, 1, 1)
    own, _ = marigold_to_mm(state, vae.state_dict(), prompt)
    for call in (lambda: to_mm(state, vae.state_dict(), prompt, 'mini'),
                 lambda: from_mm(own, 'mini')):
        with pytest.raises(ValueError, match='Marigold'):
            call()


def test_configs_of_all_tasks_build():
    unet, vae, prompt = build_parts('mini', 'meta')
    state, _ = to_mm(unet.state_dict(), vae.state_dict(), prompt, 'mini')
    channels = {}
    for task, codec in TASKS.items():
        head = MODELS.build(model_config(state, 'mini', codec)['decode_head'])
        channels[task] = head.out_channels
    assert channels == dict(
        depth=1, disparity=1, normal=3, dis=1, matting=1, seg=3)
