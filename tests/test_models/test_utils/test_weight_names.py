import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from weights import UNET_FILE, build_parts, with_old_names

from genpercept_mm.models.utils.weight_names import (
    modernize_vae,
    to_lora_names,
    without_lora,
)


@pytest.mark.parametrize('convolutions', [False, True])
def test_old_attention_names_become_what_diffusers_makes_of_them(
        tmp_path, convolutions):
    unet, vae, _ = build_parts('mini')
    old = with_old_names(vae.state_dict(), convolutions)
    assert sum('query' in key for key in old) == 4
    new = modernize_vae(old)
    vae.save_config(tmp_path)
    save_file(with_old_names(vae.state_dict(), False),
              tmp_path / UNET_FILE,
              metadata=dict(format='pt'))
    expected = AutoencoderKL.from_pretrained(tmp_path).state_dict()
    assert set(new) == set(expected)
    for key, value in expected.items():
        assert torch.equal(new[key], value), key
    # a U-Net's attention layers never had these names
    state = unet.state_dict()
    assert all(value is state[key]
               for key, value in modernize_vae(state).items())


def test_names_are_those_that_peft_gives():
    from peft import LoraConfig, inject_adapter_in_model
    plain = torch.nn.ModuleDict(dict(
        to_q=torch.nn.Linear(2, 2), norm=torch.nn.LayerNorm(2)))
    state = {key: value.clone() for key, value in plain.state_dict().items()}
    own = inject_adapter_in_model(
        LoraConfig(r=1, target_modules=['to_q']), plain).state_dict()
    to_lora_names(state, own)
    assert {key for key in own if '.lora_' not in key} == set(state)
    for key, value in state.items():
        assert torch.equal(value, own[key])
    names = {'to_q.weight', 'to_q.bias', 'norm.weight', 'norm.bias'}
    assert without_lora(own).keys() == names
    # again: names that are peft's stay
    again = dict(state)
    to_lora_names(again, own)
    assert again.keys() == state.keys()
