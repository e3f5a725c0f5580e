import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from reproduction.ablations import row_config
from reproduction.iterations import set_iterations


def rates(cfg):
    """Relative learning rate of every iteration, as mmengine sets it."""
    optimizer = OptimWrapper(torch.optim.SGD(
        [torch.nn.Parameter(torch.zeros(1))], lr=1.))
    schedulers = [
        PARAM_SCHEDULERS.build(phase, default_args=dict(optimizer=optimizer))
        for phase in copy.deepcopy(cfg.param_scheduler)]
    found = []
    for _ in range(cfg.train_cfg.max_iters):
        found.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    return found


def recipe(warmup, end, total):
    """Equal steps up to 1, then down to 0.01 at ``end``."""
    last = end - 1
    return [(n + 1) / warmup if n < warmup else
            .01**((min(n, last) - warmup) / (end - warmup))
            for n in range(total)]


def baseline(scale):
    return row_config('table1/baseline.py', scale)


def test_a_tenth_of_the_papers_schedule():
    """100 of 30,000 steps of warm-up, decay to 1 % at step 25,000."""
    cfg = baseline('paper')
    set_iterations(cfg, 3000)
    assert cfg.train_cfg.max_iters == 3000
    assert rates(cfg) == pytest.approx(recipe(10, 2500, 3000))


def test_twice_the_mini_schedule():
    cfg = baseline('mini')
    before = cfg.train_cfg.max_iters
    warmup, end = (phase.end for phase in cfg.param_scheduler)
    assert rates(cfg) == pytest.approx(recipe(warmup, end, before))
    set_iterations(cfg, 2 * before)
    assert rates(cfg) == pytest.approx(
        recipe(2 * warmup, 2 * end, 2 * before))


@pytest.mark.parametrize('scale', ['mini', 'paper'])
def test_the_same_length_changes_nothing(scale):
    cfg, before = baseline(scale), baseline(scale)
    set_iterations(cfg, before.train_cfg.max_iters)
    assert cfg.to_dict() == before.to_dict()


@pytest.mark.parametrize('total', [1, 2, 3])
def test_a_warm_up_of_no_iteration_is_left_out(total):
    cfg = baseline('mini')
    set_iterations(cfg, total)
    phase, = cfg.param_scheduler
    assert (phase.type, phase.begin, phase.end) == (
        'ExponentialLR', 0, round(total * 5 / 6))
    assert rates(cfg)[0] == 1


def test_a_rate_to_start_from_that_is_no_step_stays():
    cfg = Config(dict(train_cfg=dict(max_iters=100), param_scheduler=[dict(
        type='LinearLR', by_epoch=False, start_factor=.3, begin=0,
        end=50)]))
    set_iterations(cfg, 10)
    assert cfg.param_scheduler == [dict(
        type='LinearLR', by_epoch=False, start_factor=.3, begin=0, end=5)]


def test_no_schedule_stays_none():
    cfg = Config(dict(train_cfg=dict(max_iters=100)))
    set_iterations(cfg, 10)
    assert cfg.to_dict() == dict(train_cfg=dict(max_iters=10))


@pytest.mark.parametrize('phase, message', [
    (dict(type='MultiStepLR', by_epoch=False, milestones=[5]),
     'has MultiStepLR, by_epoch=False'),
    (dict(type='LinearLR', end=5), 'has LinearLR, by_epoch=True')])
def test_what_cannot_be_stretched_is_refused(phase, message):
    cfg = Config(dict(train_cfg=dict(max_iters=100),
                      param_scheduler=[phase]))
    with pytest.raises(ValueError, match=message):
        set_iterations(cfg, 10)
