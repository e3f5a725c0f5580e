import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file

from genpercept_mm.models.released_weights import (
    TASKS,
    detect_arch,
    from_mm,
    lora_ranks,
    merge_lora,
    model_config,
    modernize_vae,
    replace_vae_decoder,
    to_mm,
)
from genpercept_mm.models.utils.sd_archs import ARCHS
from genpercept_mm.registry import MODELS

ODD = dict(
    unet=dict(
        ARCHS['mini']['unet'], block_out_channels=[8, 16, 24, 32],
        norm_num_groups=4, cross_attention_dim=12, attention_head_dim=2),
    vae=dict(
        ARCHS['mini']['vae'], block_out_channels=[8, 8, 16, 16],
        norm_num_groups=4))


def build(arch, device='cpu'):
    """U-Net, VAE and a prompt, by diffusers."""
    arch = ARCHS.get(arch, arch) if isinstance(arch, str) else arch
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(**arch['unet'])
        vae = AutoencoderKL(**arch['vae'])
    prompt = torch.randn(1, 2, arch['unet']['cross_attention_dim'])
    return unet, vae, prompt


def dpt_tensors(widths=(32, 64, 96, 96), channels=16, last=8,
                device='cpu'):
    """The official head's tensors, from its published table of shapes."""
    shapes = {'feature_upsample_0.conv': (widths[0], widths[0], 3, 3)}
    biased = ['feature_upsample_0.conv']
    for i, width in enumerate(widths):
        shapes[f'neck.convs.{i}'] = (channels, width, 3, 3)
        layer = f'neck.fusion_stage.layers.{i}'
        shapes[f'{layer}.projection'] = (channels, channels, 1, 1)
        biased.append(f'{layer}.projection')
        for unit in (1, 2) if i else (2, ):
            for conv in (1, 2):
                shapes[f'{layer}.residual_layer{unit}.convolution{conv}'] = (
                    channels, channels, 3, 3)
    for name, shape in (('projection', (channels, channels, 3, 3)),
                        ('head.0', (channels // 2, channels, 3, 3)),
                        ('head.2', (last, channels // 2, 3, 3)),
                        ('head.4', (1, last, 1, 1))):
        shapes[f'head.{name}'] = shape
        biased.append(f'head.{name}')
    tensors = {f'{k}.weight': torch.randn(v, device=device) / 10
               for k, v in shapes.items()}
    tensors.update({f'{k}.bias': torch.randn(shapes[k][0], device=device)
                    for k in biased})
    return tensors


def with_old_names(vae, convolutions):
    new = {}
    for key, value in vae.items():
        if 'attentions' in key and convolutions and value.dim() == 2:
            value = value[..., None, None].clone()
        for old, name in (('query', 'to_q'), ('key', 'to_k'),
                          ('value', 'to_v'), ('proj_attn', 'to_out.0')):
            key = key.replace(f'attentions.0.{name}.', f'attentions.0.{old}.')
        new[key] = value
    return new


@pytest.mark.parametrize('convolutions', [False, True])
def test_old_attention_names_become_what_diffusers_makes_of_them(
        tmp_path, convolutions):
    _, vae, _ = build('mini')
    old = with_old_names(vae.state_dict(), convolutions)
    assert sum('query' in key for key in old) == 4
    new = modernize_vae(old)
    vae.save_config(tmp_path)
    save_file(with_old_names(vae.state_dict(), False),
              tmp_path / 'diffusion_pytorch_model.safetensors',
              metadata=dict(format='pt'))
    expected = AutoencoderKL.from_pretrained(tmp_path).state_dict()
    assert set(new) == set(expected)
    for key, value in expected.items():
        assert torch.equal(new[key], value), key


def test_merged_lora_equals_the_adapted_network():
    from peft import LoraConfig
    unet, _, prompt = build('mini')
    unet.add_adapter(LoraConfig(
        r=3, lora_alpha=3, init_lora_weights=False,
        target_modules=['to_q', 'to_k', 'to_v', 'to_out.0']))
    state = unet.state_dict()
    assert lora_ranks(state) == [3]
    plain = UNet2DConditionModel(**ARCHS['mini']['unet'])
    plain.load_state_dict(merge_lora(state))
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        outs = [net(x, 1, encoder_hidden_states=prompt).sample
                for net in (unet, plain)]
        unet.disable_adapters()
        without = unet(x, 1, encoder_hidden_states=prompt).sample
    torch.testing.assert_close(*outs, atol=1e-5, rtol=0)
    assert (without - outs[0]).abs().max() > 0.01


def test_half_a_lora_pair_is_refused():
    state = {'a.to_q.base_layer.weight': torch.zeros(2, 2),
             'a.to_q.lora_A.default.weight': torch.zeros(1, 2)}
    with pytest.raises(ValueError, match='lora_B'):
        merge_lora(state)


@pytest.mark.parametrize('name', sorted(ARCHS))
def test_named_archs_are_found_by_config_and_by_shapes(name):
    unet, vae, _ = build(name, 'meta')
    states = unet.state_dict(), vae.state_dict()
    # as written beside weights: all fields, other picture sizes
    configs = dict(unet.config, sample_size=77), dict(
        vae.config, sample_size=512)
    assert detect_arch(*states, *configs) == name
    assert detect_arch(*states) == name
    trained = {k: v for k, v in states[0].items()
               if not k.startswith(('conv_out', 'conv_norm_out'))}
    assert detect_arch(trained, states[1]) == name


def test_other_archs_come_from_the_config_alone():
    unet, vae, prompt = build(ODD)
    states = unet.state_dict(), vae.state_dict()
    arch = detect_arch(*states, dict(unet.config), dict(vae.config))
    assert arch['unet']['block_out_channels'] == [8, 16, 24, 32]
    # defaults of diffusers need no mention
    assert 'act_fn' not in arch['unet']
    state, notes = to_mm(*states, prompt, arch)
    model = MODELS.build(model_config(state, arch, 'depth'))
    model.load_state_dict(state)
    assert notes == []
    with pytest.raises(ValueError, match='no config tells'):
        detect_arch(*states)


def test_sizes_of_stable_diffusion_2_1():
    """Published counts: 686 tensors, 682 with the DPT head's 18.5 million."""
    unet, vae, prompt = build('sd21', 'meta')
    state, _ = to_mm(unet.state_dict(), vae.state_dict(), prompt, 'sd21')
    assert len(state) == 686 + 248 + 1
    own = [v.numel() for k, v in state.items()
           if k.startswith('backbone.unet.')]
    assert (len(own), sum(own)) == (686, 865_910_724)
    head = dpt_tensors((320, 640, 1280, 1280), 256, 32, 'meta')
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
    unet, vae, prompt = build('mini')
    states = unet.state_dict(), vae.state_dict()
    state, _ = to_mm(*states, prompt, 'mini')
    assert set(state) == set(
        MODELS.build(model_config(state, 'mini', 'normal')).state_dict())
    parts = from_mm(state, 'mini')
    assert parts['dpt_head'] is None
    head = dpt_tensors()
    state, _ = to_mm(*states, prompt, 'mini', dpt_head=head)
    assert set(state) == set(
        MODELS.build(model_config(state, 'mini', 'depth')).state_dict())
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


def test_half_precision_becomes_fp32():
    unet, vae, prompt = build('mini')
    state, _ = to_mm(
        unet.state_dict(), vae.half().state_dict(), prompt.half(), 'mini')
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_a_trained_decoder_replaces_the_other():
    _, vae, _ = build('mini')
    _, other, _ = build('mini')
    for value in other.parameters():
        value.data += 1
    new = replace_vae_decoder(
        vae.state_dict(), other.decoder.state_dict(),
        other.post_quant_conv.state_dict())
    assert set(new) == set(vae.state_dict())
    for key, value in new.items():
        source = other if key.startswith(('decoder', 'post_')) else vae
        assert torch.equal(value, source.state_dict()[key])


def test_all_that_does_not_fit_is_named():
    unet, vae, prompt = build('mini')
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


def test_heads_that_are_no_dpt_head_are_refused():
    unet, vae, prompt = build('mini')
    head = dpt_tensors()
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
    unet, vae, prompt = build('mini')
    state = unet.state_dict()
    state['conv_in.weight'] = state['conv_in.weight'].repeat(1, 2, 1, 1)
    own, _ = to_mm(state, vae.state_dict(), prompt, 'mini', in_channels=8)
    for call in (lambda: to_mm(state, vae.state_dict(), prompt, 'mini'),
                 lambda: from_mm(own, 'mini'),
                 lambda: detect_arch(state, vae.state_dict())):
        with pytest.raises(ValueError, match='Marigold'):
            call()


def test_configs_of_all_tasks_build():
    unet, vae, prompt = build('mini', 'meta')
    state, _ = to_mm(unet.state_dict(), vae.state_dict(), prompt, 'mini')
    channels = {}
    for task in TASKS:
        head = MODELS.build(model_config(state, 'mini', task)['decode_head'])
        channels[task] = head.out_channels
    assert channels == dict(
        depth=1, disparity=1, normal=3, dis=1, matting=1, seg=3)
