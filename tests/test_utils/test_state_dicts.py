"""Misfits of weights and model are found and named."""
import torch
from torch import nn

from genpercept_mm.utils.state_dicts import find_misfits


def model():
    layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    layers.register_buffer('prompt_embeds', torch.zeros(1, 2, 4))
    return layers


def test_what_load_state_dict_takes_fits():
    state = model().state_dict()
    assert find_misfits(state, state) == ''
    assert not model().load_state_dict(state).missing_keys
    del state['1.num_batches_tracked']
    state['prompt_embeds'] = torch.zeros(1, 77, 4)
    state['more'] = torch.zeros(1)
    assert find_misfits(state, model().state_dict()) == ''


def test_misfits_are_named():
    state = model().state_dict()
    del state['0.bias']
    state['1.weight'] = torch.zeros(5)
    assert find_misfits(state, model().state_dict()) == (
        '1 of 8 tensors are missing (0.bias), 1 have another shape '
        '(1.weight: (5,) there, (3,) here)')
