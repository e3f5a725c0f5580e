import shutil
import sys

import pytest
import torch
from benchmarking import protocols
from benchmarking.protocols import SETTINGS, build_models, measure


@pytest.fixture(scope='module')
def models():
    return build_models('mini', 'cpu')


def parameters(model):
    return {id(parameter) for parameter in model.parameters()}


def test_rows_are_the_protocols_of_the_table(models):
    assert {key: (model.backbone.in_channels,
                  getattr(model, 'num_steps', 1),
                  getattr(model, 'ensemble_size', 1),
                  type(model.decode_head).__name__)
            for key, model in models.items()} == {
        'ensemble': (8, 10, 10, 'VAEDecodeHead'),
        'multi-step': (8, 10, 1, 'VAEDecodeHead'),
        'deterministic': (4, 10, 1, 'VAEDecodeHead'),
        'one-step': (4, 1, 1, 'VAEDecodeHead'),
        'one-step-dpt': (4, 1, 1, 'DPTDecodeHead')}
    assert not any(model.training for model in models.values())


def test_rows_share_weights_where_they_can(models):
    assert parameters(models['ensemble']) == parameters(models['multi-step'])
    assert parameters(models['one-step']) == parameters(
        models['deterministic'])
    assert not parameters(models['one-step']) & parameters(
        models['one-step-dpt'])


@pytest.mark.parametrize('key, calls, batch, dtype', [
    ('ensemble', 10, 10, 'fp32'), ('multi-step', 10, 1, 'fp32'),
    ('deterministic', 10, 1, 'fp32'), ('one-step', 1, 1, 'fp32'),
    ('one-step-dpt', 1, 1, 'fp32'), ('one-step', 1, 1, 'bf16'),
    ('one-step-dpt', 1, 1, 'bf16')])
def test_a_prediction_runs_the_unet_as_often_as_the_row_says(
        models, key, calls, batch, dtype):
    inputs = []
    unet = models[key].backbone.unet
    with torch.no_grad():
        handle = unet.conv_in.register_forward_hook(
            lambda module, args, output: inputs.append(output))
        seconds = protocols.time_prediction(
            models[key], (24, 40), dtype, 'cpu')
        handle.remove()
    assert [output.shape[0] for output in inputs] == [batch] * calls
    assert inputs[0].shape[2:] == (3, 5)
    assert inputs[0].dtype == (
        torch.bfloat16 if dtype == 'bf16' else torch.float32)
    assert seconds > 0


def test_times_are_taken_in_turns_after_the_memory(monkeypatch):
    """Memory first: a large parent would be counted by some systems."""
    log = []

    def in_child(key, *settings):
        log.append(('memory', key))
        return 2., 8.

    def prediction(model, shape, dtype, device):
        log.append(('time', model))
        return float(len(log))

    monkeypatch.setattr(protocols, '_measure_in_child', in_child)
    monkeypatch.setattr(protocols, 'time_prediction', prediction)
    monkeypatch.setattr(protocols, 'build_models',
                        lambda arch, device: {key: key for key in SETTINGS})
    lines = []
    found = measure('mini', (8, 8), 'fp32', 'cpu', 2, lines.append)
    assert log == [(kind, key) for kind in ('memory', 'time', 'time')
                   for key in SETTINGS]
    assert found['ensemble'].seconds == [6, 11]
    assert found['one-step-dpt'] == ([10, 15], 2)
    assert lines[4].startswith('[5/15] memory, One step, DPT head: 2.00 GiB')
    # five rows twice, eight seconds each
    assert lines[4].endswith('(at least 80 s to go)')


@pytest.mark.nightly
def test_memory_is_that_of_a_process_that_predicts(models):
    """More than its weights, less than with another gigabyte."""
    peak, seconds = protocols._measure_in_child(
        'one-step', 'mini', (24, 40), 'fp32', 'cpu')
    weights = sum(parameter.numel() * 4 for parameter
                  in models['one-step'].parameters()) / 2**30
    assert weights < peak < 2
    assert seconds > 0


def test_a_process_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(sys, 'executable', shutil.which('false'))
    with pytest.raises(RuntimeError, match="memory of 'One step' ended with "
                       'status 1'):
        protocols._measure_in_child(
            'one-step', 'mini', (24, 40), 'fp32', 'cpu')
