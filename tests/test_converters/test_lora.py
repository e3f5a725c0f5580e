import pytest
import torch
from conftest import assert_near
from diffusers import UNet2DConditionModel
from weights import build_parts

from genpercept_mm.converters.lora import (
    lora_ranks,
    merge_checkpoint,
    merge_lora,
)
from genpercept_mm.models.utils.sd_archs import ARCHS


def test_merged_lora_equals_the_adapted_network():
    from peft import LoraConfig
    unet, _, prompt = build_parts('mini')
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
    # the sums are in another order
    assert_near(*outs, rel=1e-4)
    assert (without - outs[0]).abs().max() > 0.01


def test_half_a_lora_pair_is_refused():
    state = {'a.to_q.base_layer.weight': torch.zeros(2, 2),
             'a.to_q.lora_A.default.weight': torch.zeros(1, 2)}
    with pytest.raises(ValueError, match='lora_B'):
        merge_lora(state)


def test_a_checkpoint_without_lora_is_refused():
    """What is merged is tested with the script merge_lora.py."""
    with pytest.raises(ValueError, match='plain and whole already'):
        merge_checkpoint(dict(state_dict={'a': torch.zeros(1)}, meta={}))


def test_the_config_of_a_converter_follows():
    """``genpercept2mm --keep-lora`` stores it as a dict."""
    unet, _, _ = build_parts('mini')
    from peft import LoraConfig
    unet.add_adapter(LoraConfig(r=2, target_modules=['to_q']))
    meta = dict(config=dict(model=dict(backbone=dict(lora_rank=2))))
    merged, _ = merge_checkpoint(dict(
        state_dict={f'backbone.unet.{key}': value
                    for key, value in unet.state_dict().items()}, meta=meta))
    assert merged['meta']['config']['model']['backbone']['lora_rank'] == 0
    assert meta['config']['model']['backbone']['lora_rank'] == 2
