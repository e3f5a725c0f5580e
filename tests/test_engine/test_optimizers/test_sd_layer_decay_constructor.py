import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from genpercept_mm.models.backbones import SDUNet


class Model(nn.Module):

    def __init__(self, **changes):
        super().__init__()
        self.backbone = SDUNet(arch='mini', **changes)
        self.head = nn.Conv2d(32, 2, 1)


def learning_rates(model, **paramwise_cfg):
    """Read the rate of each parameter from the optimizer itself."""
    wrapper = build_optim_wrapper(model, dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
        constructor='genpercept_mm.SDLayerDecayOptimWrapperConstructor',
        paramwise_cfg=paramwise_cfg))
    names = {id(param): name for name, param in model.named_parameters()}
    return {names[id(param)]: group
            for group in wrapper.optimizer.param_groups
            for param in group['params']}


def test_rates_grow_along_the_unet():
    groups = learning_rates(
        Model(out_indices=(0, 4), feature_type='pyramid'),
        layer_decay_rate=0.5, norm_decay_mult=0., bias_decay_mult=0.)
    # the image meets these parts in this order
    path = ['conv_in.', 'down_blocks.0.', 'down_blocks.1.', 'down_blocks.2.',
            'down_blocks.3.', 'mid_block.', 'up_blocks.0.', 'up_blocks.1.',
            'up_blocks.2.', 'up_blocks.3.', 'conv_out.']
    for height, part in enumerate(reversed(path), 1):
        found = [group['lr'] for name, group in groups.items()
                 if name.startswith('backbone.unet.' + part)]
        assert found and set(found) == {0.5**height}, part
    assert groups['backbone.unet.time_embedding.linear_1.weight'][
        'lr'] == 0.5**11
    assert groups['backbone.pyramid_up.weight']['lr'] == 0.5
    assert groups['head.weight']['lr'] == groups['head.bias']['lr'] == 1
    # and mmengine's own keys act
    unet = 'backbone.unet.down_blocks.0.resnets.0.'
    assert groups[unet + 'conv1.weight']['weight_decay'] == 0.1
    assert groups[unet + 'conv1.bias']['weight_decay'] == 0
    assert groups[unet + 'norm1.weight']['weight_decay'] == 0


def test_custom_keys_multiply():
    groups = learning_rates(
        Model(), layer_decay_rate=0.5,
        custom_keys={'backbone.unet.mid_block': dict(lr_mult=10.)})
    rates = {group['lr'] for name, group in groups.items()
             if 'mid_block' in name}
    assert rates == {10 * 0.5**5}


def test_lora_matrices_have_the_rate_of_their_block():
    groups = learning_rates(Model(lora_rank=2), layer_decay_rate=0.5)
    rates = {group['lr'] for name, group in groups.items()
             if 'up_blocks.1.' in name and '.lora_' in name}
    assert rates == {0.5**3}


def test_a_step_moves_parameters_as_far_as_their_rate():
    """Adam's first step is lr * sign(gradient)."""
    torch.manual_seed(0)
    model = Model()
    wrapper = build_optim_wrapper(model, dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2),
        constructor='genpercept_mm.SDLayerDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=0.75)))
    before = {name: param.detach().clone()
              for name, param in model.named_parameters()}
    out = model.head(model.backbone(torch.rand(1, 3, 32, 32))[0])
    wrapper.update_params(out.square().sum())
    for name, height in (('backbone.unet.conv_in.weight', 10),
                         ('backbone.unet.up_blocks.3.resnets.0.conv1.weight',
                          1), ('head.weight', 0)):
        moved = (dict(model.named_parameters())[name] - before[name]).abs()
        assert moved.median().item() == pytest.approx(
            1e-2 * 0.75**height, rel=1e-2), name


@pytest.mark.parametrize('paramwise_cfg, message', [
    (dict(layer_decay_rate=0.9, num_layers=12), "has \\['num_layers'\\]"),
    (dict(norm_decay_mult=0.), 'layer_decay_rate must be in .* got None'),
    (dict(layer_decay_rate=1.5), 'got 1.5'),
])
def test_keys_that_would_do_nothing_are_refused(paramwise_cfg, message):
    with pytest.raises(ValueError, match=message):
        learning_rates(Model(), **paramwise_cfg)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match='has no SDUNet'):
        learning_rates(nn.Conv2d(1, 1, 1), layer_decay_rate=0.9)
