"""The comparison of heads, without its trainings."""
import json
from types import SimpleNamespace

import compare_heads
import pytest
from compare_heads import (
    RATES,
    TASKS,
    Trainings,
    compare,
    describe,
    heads_of,
    make_config,
)
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope


@pytest.mark.parametrize('task, head', [
    (task, head) for task in TASKS for head in heads_of(task)])
def test_configs_build_and_share_all_but_the_head(task, head, tmp_path):
    cfg = make_config(task, head, 3e-3, 7, 40)
    own = Config.fromfile(
        f'configs/mini/genpercept_{TASKS[task][0]}.py')
    cfg.dump(tmp_path / 'config.py')
    assert Config.fromfile(tmp_path / 'config.py').model == cfg.model
    for part in ('train_dataloader', 'val_dataloader', 'val_evaluator'):
        assert cfg[part] == own[part]
    assert cfg.optim_wrapper.optimizer.lr == 3e-3 and cfg.randomness.seed == 7
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters == 40
    cfg.model.backbone.pretrained = None
    if 'pretrained' in cfg.model.decode_head:
        cfg.model.decode_head.pretrained = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    assert model.out_channels == dict(normal=3, seg=40).get(task, 1)


def test_the_best_rate_is_taken_and_minutes_are_equal(monkeypatch, tmp_path):
    """With a made-up world: a head's score falls with the distance of its
    rate from 1e-3, and grows with steps; heads differ in time."""
    seconds = dict(vae=3., dpt=2., readout=1., readout_4=1.5)
    asked = []

    def train(self, setting):
        asked.append(setting)
        error = (abs(setting['rate'] - 1e-3) + 10 / setting['steps']
                 + setting['seed'] / 100)
        return dict(setting, value=error, seconds=seconds[setting['head']])

    monkeypatch.setattr(Trainings, '_one', train)
    rows = compare('depth', list(seconds), [0, 1], 300,
                   Trainings(str(tmp_path), 1))
    assert [row[1:3] for row in rows] == [
        [head, '0.001'] for head in seconds]
    assert [row[5] for row in rows] == ['300', '450', '900', '600']
    expected = describe([10 / 300, 10 / 300 + .01])
    assert all(row[3] == expected for row in rows)
    assert rows[2][6] == describe([10 / 900, 10 / 900 + .01])
    assert {setting['rate'] for setting in asked
            if setting['steps'] != 300} == {1e-3}


def test_more_is_better_for_classes(monkeypatch, tmp_path):
    monkeypatch.setattr(Trainings, '_one', lambda self, setting: dict(
        setting, value=setting['rate'], seconds=1.))
    rows = compare('seg', ['upernet', 'readout'], [0], 10,
                   Trainings(str(tmp_path), 1))
    assert {row[2] for row in rows} == {f'{max(RATES["seg"]):g}'}


def test_finished_trainings_are_not_repeated(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(
        compare_heads.subprocess, 'run', lambda *args, **kwargs: (
            calls.append(args), SimpleNamespace(returncode=len(calls) - 1))[1])
    monkeypatch.setattr(compare_heads, 'read_scores', lambda *_: (.5, 2.))
    setting = dict(task='depth', head='dpt', rate=1e-3, seed=0, steps=4)
    first = Trainings(str(tmp_path), 1).run([setting])
    again = Trainings(str(tmp_path), 1).run([setting])
    assert first == again == [dict(setting, value=.5, seconds=2.)]
    assert len(calls) == 1
    assert json.loads((tmp_path / 'heads.json').read_text())['rows'] == first
    failed, = Trainings(str(tmp_path), 1).run([dict(setting, rate=9.)])
    assert failed['value'] is None and len(calls) == 2


@pytest.mark.parametrize('failed', [None, float('nan')])
def test_rates_that_are_too_high_are_passed_over(monkeypatch, tmp_path,
                                                 failed):
    monkeypatch.setattr(Trainings, '_one', lambda self, setting: dict(
        setting, value=failed if setting['rate'] < 1e-3 else setting['rate'],
        seconds=1.))
    row, = compare('depth', ['vae'], [0], 10, Trainings(str(tmp_path), 1))
    assert row[2] == '0.001'
