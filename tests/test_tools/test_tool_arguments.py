import argparse

import pytest
import torch
from mmengine.config import Config
from tool_arguments import (
    add_amp,
    add_common_arguments,
    add_hooks,
    amp_dtype,
    prepare_config,
)
from train import set_precision

from genpercept_mm.engine import hooks
from genpercept_mm.registry import HOOKS


@pytest.mark.parametrize('flag, in_config, expected', [
    ('from/flag', 'from/config', 'from/flag'),
    (None, 'from/config', 'from/config'),
    (None, None, './work_dirs/my_config'),
])
def test_work_dir_priority(flag, in_config, expected):
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    args = parser.parse_args(
        (['--work-dir', flag] if flag else [])
        + ['--cfg-options', 'a.b=3', 'c=[1,2]'])
    args.config = 'some/my_config.py'
    cfg = Config(dict(a=dict(b=1), c=None, work_dir=in_config))
    prepare_config(cfg, args)
    assert cfg.work_dir == expected
    assert (cfg.a.b, cfg.c, cfg.launcher) == (3, [1, 2], 'none')


@pytest.mark.parametrize('given', [
    {}, dict(custom_hooks=None, default_hooks=None),
    dict(custom_hooks=[dict(type='EMAHook')]),
    dict(default_hooks=dict(timer=dict(type='IterTimerHook'), logger=None))])
def test_hooks_are_there_whatever_a_config_sets(given):
    """A config's custom_hooks replaces that of its base."""
    names = ['FiniteGuardHook', 'ResumeConfigHook']
    cfg = Config(given)
    add_hooks(cfg, *names)
    found = [HOOKS.build(hook) for hook in cfg.default_hooks.values()
             if hook and hook.type not in ('IterTimerHook', )]
    assert [type(hook).__name__ for hook in found] == names
    # what there was is there still
    for key, value in (given.get('default_hooks') or {}).items():
        assert cfg.default_hooks[key] == value
    assert cfg.get('custom_hooks') == given.get('custom_hooks')


@pytest.mark.parametrize('kind', [
    'FiniteGuardHook', 'genpercept_mm.FiniteGuardHook',
    hooks.FiniteGuardHook])
@pytest.mark.parametrize('place', ['custom', 'default'])
def test_hooks_are_not_there_twice(kind, place):
    """Nor do they lose the options that a config gives them."""
    hook = dict(type=kind, patience=3)
    cfg = Config(dict(custom_hooks=[hook]) if place == 'custom'
                 else dict(default_hooks=dict(guard=hook)))
    add_hooks(cfg, 'FiniteGuardHook', 'StrictLoadHook')
    found = [*cfg.get('custom_hooks', ()), *cfg.default_hooks.values()]
    assert len(found) == 2
    assert [one.patience for one in found if 'patience' in one] == [3]
    assert found[-1] == dict(type='genpercept_mm.StrictLoadHook')


@pytest.mark.parametrize('flags, bf16, expected', [
    (['--amp'], True, 'bfloat16'), (['--amp'], False, 'float16'),
    (['--amp', 'fp16'], True, 'float16'),
    (['--amp', 'bf16'], False, 'bfloat16')])
def test_mixed_precision(monkeypatch, flags, bf16, expected):
    """bf16 where the GPU has it, and then without loss scaling."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.is_bf16_supported',
                        lambda including_emulation=True: (
                            bf16 or including_emulation))
    parser = argparse.ArgumentParser()
    add_amp(parser, 'train')
    assert parser.parse_args([]).amp is None
    dtype = amp_dtype(parser.parse_args(flags).amp)
    assert dtype == expected
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    set_precision(cfg, parser.parse_args(flags).amp)
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.dtype) == ('AmpOptimWrapper', expected)
    assert wrapper.loss_scale == dict(enabled=expected == 'float16')
    hook, = cfg.default_hooks.values()
    assert hook == dict(type='genpercept_mm.AutocastHook', dtype=expected)
    # a config's own scale stays
    cfg = Config(dict(optim_wrapper=dict(loss_scale=512., dtype='float16')))
    set_precision(cfg, 'auto')
    assert cfg.optim_wrapper.loss_scale == 512.
    assert cfg.optim_wrapper.dtype == 'float16'
    # boxes are not rounded
    cfg = Config(dict(optim_wrapper=dict(), default_scope='mmdet'))
    set_precision(cfg, 'auto')
    assert cfg.optim_wrapper.dtype == 'float16' and not cfg.get(
        'default_hooks')


@pytest.mark.parametrize('options, expected', [
    ([], False), (['find_unused_parameters=True'], True)])
def test_distribution_over_cpus_keeps_what_the_config_says(
        monkeypatch, options, expected):
    """mmengine reads it only without a wrapper of the config."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    args = parser.parse_args([
        'x.py', '--launcher', 'pytorch', '--work-dir', 'x',
        *(['--cfg-options', *options] if options else [])])
    cfg = Config(dict())
    prepare_config(cfg, args)
    assert cfg.model_wrapper_cfg.find_unused_parameters is expected
