import pytest
import torch

from genpercept_mm.models.utils.sd_state_dict import abridge, to_lora_names


@pytest.mark.parametrize('keys, text', [
    ([], ''), (['a'], 'a'), (['a', 'b'], 'a, b'),
    (['a', 'b', 'c', 'd'], 'a, b and 2 more')])
def test_abridge_says_how_many_it_leaves_out(keys, text):
    assert abridge(keys, limit=2) == text


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
    # again: names that are peft's stay
    again = dict(state)
    to_lora_names(again, own)
    assert again.keys() == state.keys()
