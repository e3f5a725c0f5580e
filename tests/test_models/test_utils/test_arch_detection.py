import pytest
import torch
from weights import ODD, build_parts

from genpercept_mm.models.utils.arch_detection import (
    check_config,
    detect_arch,
    part_shapes,
)
from genpercept_mm.models.utils.sd_archs import ARCHS, resolve_arch


@pytest.mark.parametrize('name', sorted(ARCHS))
def test_named_archs_are_found_by_config_and_by_shapes(name):
    unet, vae, _ = build_parts(name, 'meta')
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
    unet, vae, _ = build_parts(ODD)
    states = unet.state_dict(), vae.state_dict()
    arch = detect_arch(*states, dict(unet.config), dict(vae.config))
    assert arch['unet']['block_out_channels'] == [16, 24, 32, 40]
    # defaults of diffusers need no mention
    assert 'act_fn' not in arch['unet']
    for model, config in zip((unet, vae), resolve_arch(arch)):
        shapes = part_shapes(type(model), config)
        assert shapes == {key: tuple(value.shape) for key, value
                          in model.state_dict().items()}
    with pytest.raises(ValueError, match='no config tells'):
        detect_arch(*states)


@pytest.mark.parametrize('arch', ['mini', ODD])
def test_input_channels_are_not_part_of_an_arch(arch):
    """Models that start from noise take two latents."""
    unet, vae, _ = build_parts(arch, 'meta', in_channels=8)
    states = unet.state_dict(), vae.state_dict()
    assert states[0]['conv_in.weight'].shape[1] == 8
    found = detect_arch(*states, dict(unet.config), dict(vae.config))
    if arch == 'mini':
        assert found == detect_arch(*states) == 'mini'
    else:
        assert 'in_channels' not in found['unet']


def test_lora_does_not_hide_the_arch():
    unet, vae, _ = build_parts('mini')
    state = unet.state_dict()
    name = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q'
    state[f'{name}.base_layer.weight'] = state.pop(f'{name}.weight')
    state[f'{name}.lora_A.default.weight'] = torch.zeros(2, 96)
    assert detect_arch(state, vae.state_dict()) == 'mini'


def test_configs_that_shape_another_network_are_refused():
    unet, vae, _ = build_parts('mini', 'meta')
    check_config(unet, dict(unet.config), 'unet', 'folder')
    with pytest.raises(ValueError, match=(
            "Head: pretrained='folder' has another vae than arch says "
            r'\(layers_per_block is 2 there, 1 here\)')):
        check_config(vae, dict(vae.config, layers_per_block=2), 'vae',
                     'folder', 'Head')
    # the weights of four channels are widened to eight, not the reverse
    eight, _, _ = build_parts('mini', 'meta', in_channels=8)
    check_config(eight, dict(unet.config), 'unet', 'folder')
    with pytest.raises(ValueError, match='in_channels is 8 there, 4 here'):
        check_config(unet, dict(eight.config), 'unet', 'folder')
    assert resolve_arch('mini', in_channels=8)[0]['in_channels'] == 8
    assert ARCHS['mini']['unet']['in_channels'] == 4
