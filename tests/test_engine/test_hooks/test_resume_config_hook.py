import copy
import logging

import pytest
import torch
from toys import COUNT, Rates, Scores, plain_steps, runner, same, state

from genpercept_mm.engine.hooks.resume_config_hook import ResumeConfigHook
from genpercept_mm.registry import HOOKS

SGD = dict(type='SGD', lr=.1)
ADAM = dict(type='Adam', lr=.01, weight_decay=.1)
POLY = [dict(type='PolyLR', eta_min=1e-3, power=.9, begin=0, end=6,
             by_epoch=False)]
HALF = 4


def run(folder, iters, caplog=None, hook=True, **kwargs):
    """Train; gives the runner, the rates by iteration and the log."""
    rates = Rates()
    kwargs.setdefault('checkpoint', dict(interval=HALF))
    hooks = [dict(type='genpercept_mm.ResumeConfigHook')] * hook + [rates]
    trained = runner(folder, iters, hooks=hooks, **kwargs)
    if caplog is not None:
        caplog.clear()
        trained.logger.addHandler(caplog.handler)
        with caplog.at_level(logging.WARNING):
            trained.train()
        trained.logger.removeHandler(caplog.handler)
    else:
        trained.train()
    return trained, rates.rates


def table(text):
    """The rows of the table in a log, by what differs."""
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in text.splitlines() if line.startswith('|')]
    return {row[0]: tuple(row[1:]) for row in rows[1:]}


def longer(schedule, factor=2):
    changed = copy.deepcopy(schedule)
    for part in changed:
        for key in ('begin', 'end', 'T_max', 'total_steps'):
            if key in part:
                part[key] *= factor
    return changed


SCHEDULES = {
    'poly': POLY,
    'warm-up': [
        dict(type='LinearLR', start_factor=.1, begin=0, end=2,
             by_epoch=False),
        dict(type='CosineAnnealingLR', T_max=4, begin=2, end=6, eta_min=1e-4,
             by_epoch=False)],
    'one cycle': [dict(type='OneCycleLR', eta_max=.3, total_steps=6,
                       by_epoch=False)],
    'steps': [dict(type='StepLR', step_size=2, gamma=.5, begin=0, end=6,
                   by_epoch=False)],
}


@pytest.mark.parametrize('name, optimizer', zip(
    SCHEDULES, (SGD, ADAM, SGD, ADAM)))
def test_a_longer_schedule_is_that_of_an_unbroken_run(
        tmp_path, caplog, name, optimizer):
    short, more = SCHEDULES[name], longer(SCHEDULES[name])
    common = dict(optimizer=optimizer, optim_wrapper=dict(
        optimizer=optimizer, paramwise_cfg=dict(bias_lr_mult=2.)))
    _, before = run(tmp_path / 'a', HALF, param_scheduler=short, **common)
    _, after = run(tmp_path / 'a', 2 * HALF, caplog, param_scheduler=more,
                   resume=True, **common)
    _, whole = run(tmp_path / 'b', 2 * HALF, param_scheduler=more, **common)
    assert sorted(before) == list(range(HALF))
    assert sorted(after) == list(range(HALF, 2 * HALF))
    for iteration, rates in after.items():
        assert rates == pytest.approx(whole[iteration]), iteration
    assert after[HALF] != pytest.approx(before[HALF - 1])
    kind = short[-1]['type']
    assert any(row.startswith(f'{kind}.') for row in table(caplog.text))


def test_the_stock_runner_stays_at_the_end(tmp_path):
    """What the hook is for."""
    run(tmp_path, 6, hook=False, param_scheduler=POLY)
    _, rates = run(tmp_path, 9, hook=False, param_scheduler=longer(POLY),
                   resume=True)
    assert set(map(tuple, rates.values())) == {(1e-3, )}


def test_schedules_by_epochs_and_iterations_together(tmp_path):
    loop = dict(by_epoch=True, max_epochs=2)
    parts = [dict(type='MultiStepLR', milestones=[1, 3], by_epoch=True),
             dict(type='LinearLR', start_factor=.2, begin=0, end=8,
                  by_epoch=False)]
    changed = [dict(parts[0], gamma=.5), dict(parts[1], end=20)]
    run(tmp_path / 'a', None, param_scheduler=parts, train_cfg=loop)
    for folder, options in (('a', dict(resume=True)), ('b', dict())):
        _, rates = run(tmp_path / folder, None, param_scheduler=changed,
                       train_cfg=dict(loop, max_epochs=4), **options)
        if folder == 'a':
            resumed = rates
    assert sorted(resumed) == list(range(COUNT, 2 * COUNT))
    for iteration, value in resumed.items():
        assert value == pytest.approx(rates[iteration])


@pytest.mark.parametrize('schedule, optimizer', [
    (None, ADAM), (POLY, ADAM), (POLY, SGD)])
def test_a_new_rate_counts(tmp_path, caplog, schedule, optimizer):
    changed = dict(optimizer, lr=.5)
    run(tmp_path / 'a', HALF, optimizer=optimizer, param_scheduler=schedule)
    resumed, rates = run(tmp_path / 'a', 6, caplog, optimizer=changed,
                         param_scheduler=schedule, resume=True)
    _, whole = run(tmp_path / 'b', 6, optimizer=changed,
                   param_scheduler=schedule)
    for iteration, value in rates.items():
        assert value == pytest.approx(whole[iteration])
    row = 'initial lr' if schedule else 'lr'
    assert table(caplog.text)[row] == (
        f'{optimizer["lr"]:g}', '0.5', 'config')
    # the optimizer's moments are those of the checkpoint
    saved = torch.load(tmp_path / f'a/iter_{HALF}.pth', weights_only=True)
    for number, moments in saved['optimizer']['state'].items():
        if 'step' in moments:
            now = resumed.optim_wrapper.optimizer.state_dict()['state']
            assert now[number]['step'] == moments['step'] + 2 == 6


def test_a_new_weight_decay_counts(tmp_path, caplog):
    """The steps after the resume are torch's, with the new value and the old
    moments."""
    run(tmp_path, HALF, optimizer=ADAM)
    first = torch.load(tmp_path / f'iter_{HALF}.pth', weights_only=True)
    reference = torch.nn.Linear(3, 1)
    reference.load_state_dict({
        key.removeprefix('linear.'): value
        for key, value in first['state_dict'].items()})
    optimizer = torch.optim.Adam(reference.parameters())
    optimizer.load_state_dict(first['optimizer'])
    optimizer.param_groups[0]['weight_decay'] = .7
    plain_steps(reference, optimizer, range(HALF + 1, 8))
    resumed, rates = run(tmp_path, 7, caplog, resume=True,
                         optimizer=dict(ADAM, weight_decay=.7))
    assert set(map(tuple, rates.values())) == {(.01, )}
    assert same(resumed.model.linear.state_dict(), reference.state_dict())
    assert table(caplog.text) == {
        'weight_decay': ('0.1', '0.7', 'config'),
        'iterations': ('4', '7', 'config')}


@pytest.mark.parametrize('before, after, schedule', [
    (ADAM, dict(SGD, momentum=.9), None), (ADAM, dict(SGD, momentum=.9), POLY),
    (dict(SGD, momentum=.9), ADAM, POLY),
    (ADAM, dict(type='RMSprop', lr=.01), None),
    # fields that are all among those of the other
    (ADAM, dict(type='Adamax', lr=.01), None),
    (dict(type='Adamax', lr=.01), ADAM, POLY),
    (dict(type='ASGD', lr=.1), ADAM, None)])
def test_another_optimizer_begins_anew(
        tmp_path, caplog, before, after, schedule):
    """From the weights and the position of the checkpoint."""
    run(tmp_path, HALF, optimizer=before, param_scheduler=schedule)
    reference = torch.nn.Linear(3, 1)
    reference.load_state_dict({
        key.removeprefix('linear.'): value
        for key, value in state(tmp_path / f'iter_{HALF}.pth').items()})
    resumed, rates = run(tmp_path, 6, caplog, optimizer=after, resume=True,
                         param_scheduler=schedule)
    _, whole = run(tmp_path / 'whole', 6, optimizer=after,
                   param_scheduler=schedule)
    for iteration in (HALF, HALF + 1):
        assert rates[iteration] == pytest.approx(whole[iteration])
    fields = dict(after)
    optimizer = getattr(torch.optim, fields.pop('type'))(
        reference.parameters(), **fields)
    for iteration in (HALF, HALF + 1):
        optimizer.param_groups[0]['lr'] = rates[iteration][0]
        plain_steps(reference, optimizer, [iteration + 1])
    for ours, theirs in zip(
            resumed.model.parameters(), reference.parameters()):
        torch.testing.assert_close(ours, theirs)
    assert table(caplog.text)['optimizer'] == (
        before['type'], after['type'], 'config, without state')


@pytest.mark.parametrize('before, more, lacking', [
    (ADAM, dict(amsgrad=True), 'max_exp_avg_sq'),
    (dict(type='RMSprop', lr=.01), dict(momentum=.9, centered=True),
     'grad_avg, momentum_buffer')])
@pytest.mark.parametrize('known', [True, False])
def test_a_field_that_needs_more_state_begins_anew(
        tmp_path, caplog, before, more, lacking, known):
    """torch alone ends in a KeyError."""
    run(tmp_path, HALF, optimizer=before, hook=known)
    resumed, _ = run(tmp_path, 5, caplog, optimizer=dict(before, **more),
                     resume=True)
    moments = resumed.optim_wrapper.optimizer.state_dict()['state'][0]
    assert moments['step'] == 1
    kind = before['type']
    assert table(caplog.text)['optimizer'] == (
        kind if known else f'a state without {lacking}'[:48],
        f'{kind} with {lacking}' if known else kind, 'config, without state')


def test_a_relative_of_the_optimizer_keeps_the_state(tmp_path, caplog):
    """Adam and AdamW have the same fields and moments."""
    run(tmp_path, HALF, optimizer=ADAM)
    resumed, _ = run(tmp_path, 5, caplog, resume=True,
                     optimizer=dict(ADAM, type='AdamW'))
    assert table(caplog.text)['optimizer'] == ('Adam', 'AdamW', 'config')
    moments = resumed.optim_wrapper.optimizer.state_dict()['state'][0]
    assert moments['step'] == 5


def test_other_groups_of_parameters_begin_anew(tmp_path, caplog):
    run(tmp_path, HALF, optimizer=ADAM)
    resumed, rates = run(tmp_path, 5, caplog, resume=True, optim_wrapper=dict(
        optimizer=ADAM, paramwise_cfg=dict(bias_lr_mult=2.)))
    assert rates[HALF] == [.01, .02]
    assert table(caplog.text)['optimizer'] == (
        '1 groups of 2 parameters', 'Adam, 2 groups of 2 parameters',
        'config, without state')
    moments = resumed.optim_wrapper.optimizer.state_dict()['state'][0]
    assert moments['step'] == 1


@pytest.mark.parametrize('name, optimizer', zip(
    SCHEDULES, (SGD, ADAM, SGD, ADAM)))
def test_an_unchanged_config_changes_and_tells_nothing(
        tmp_path, caplog, name, optimizer):
    """Rates and weights are those of the unbroken run, bit by bit."""
    common = dict(
        optimizer=optimizer, param_scheduler=SCHEDULES[name])
    folders = {}
    for folder in ('whole', 'broken'):
        loop = dict(type='IterBasedTrainLoop', max_iters=6)
        if folder == 'broken':
            # interrupted, with the length of the whole
            first = runner(tmp_path / folder, 6, hooks=[
                dict(type='genpercept_mm.ResumeConfigHook'), Interrupt()],
                train_cfg=loop, **common)
            with pytest.raises(KeyboardInterrupt):
                first.train()
            common['resume'] = True
        folders[folder] = run(tmp_path / folder, 6, caplog, train_cfg=loop,
                              **common)
    assert 'differs from that of the checkpoint' not in caplog.text
    (whole, expected), (broken, rates) = folders.values()
    assert rates == {iteration: expected[iteration] for iteration in rates}
    assert sorted(rates) == [HALF, HALF + 1]
    assert same(state(broken.model), state(whole.model))


class Interrupt(Rates):
    """Ctrl-C in the iteration after the one that is resumed."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == HALF:
            raise KeyboardInterrupt


def test_everything_else_that_differs_is_told_at_once(tmp_path, caplog):
    run(tmp_path, HALF, randomness=dict(seed=3))
    data = [(index, torch.ones(3)) for index in range(5)]
    run(tmp_path, 5, caplog, resume=True, randomness=dict(seed=4),
        loader=dict(batch_size=1, dataset=data), optim_wrapper=dict(
            optimizer=SGD, accumulative_counts=2))
    assert table(caplog.text) == {
        'batch size': ('2', '1', 'config'),
        'accumulated batches': ('1', '2', 'config'),
        'iterations': ('4', '5', 'config'),
        'data': (f'list of {COUNT} samples', 'list of 5 samples', 'config'),
        'seed': ('3', '4', 'config')}
    assert caplog.text.count('differs from that of the checkpoint') == 1


def test_a_checkpoint_of_mmengine_alone_is_adapted_too(tmp_path, caplog):
    run(tmp_path, HALF, hook=False, param_scheduler=POLY,
        checkpoint=dict(type='CheckpointHook', interval=HALF))
    _, rates = run(tmp_path, 6, caplog, param_scheduler=longer(POLY),
                   resume=True)
    _, whole = run(tmp_path / 'whole', 6, param_scheduler=longer(POLY))
    assert rates[5] == pytest.approx(whole[5])
    assert set(table(caplog.text)) == {'PolyLR.end', 'PolyLR.total_iters'}


@pytest.mark.parametrize('before, after', [(None, POLY), (POLY, None)])
def test_a_schedule_comes_or_goes(tmp_path, before, after):
    run(tmp_path, HALF, param_scheduler=before)
    _, rates = run(tmp_path, 6, param_scheduler=after, resume=True)
    _, whole = run(tmp_path / 'whole', 6, param_scheduler=after)
    assert rates[HALF] == pytest.approx(whole[HALF])
    assert rates[5] == pytest.approx(whole[5])


@pytest.mark.parametrize('changes, optimizer', [
    ({}, SGD), (dict(patience=0), SGD), (dict(monitor='y'), SGD),
    # its state is left out, and the scores are not
    ({}, dict(ADAM, lr=.1))])
def test_what_a_schedule_knows_of_scores_is_kept(
        tmp_path, changes, optimizer):
    """Four epochs, then four longer ones; each score but the first is bad."""

    def epochs(folder, first, last, **kwargs):
        plateau = dict(type='ReduceOnPlateauLR', monitor='x', rule='less',
                       patience=2, factor=.5, by_epoch=True)
        plateau.update(kwargs.pop('changes', {}))
        scores = [1., 2, 3, 4, 5, 6, 7, 8][first:]
        return run(folder, None, param_scheduler=[plateau], train_cfg=dict(
            by_epoch=True, max_epochs=last, val_interval=1),
            scores=Scores(plateau['monitor'], scores), **kwargs)

    epochs(tmp_path, 0, 4, optimizer=SGD)
    resumed, rates = epochs(
        tmp_path, 4, 8, optimizer=optimizer, changes=changes, resume=True)
    found = [rates[epoch * COUNT // 2][0] for epoch in (4, 5, 6, 7)]
    # the checkpoint is from before the fourth score, with two bad ones
    assert found == pytest.approx({
        '{}': [.1, .05, .05, .05], "{'patience': 0}": [.1, .05, .025, .0125],
        # its first score is the best
        "{'monitor': 'y'}": [.1, .1, .1, .1]}[str(changes)])
    plateau, = resumed.param_schedulers
    assert plateau.best == (5 if 'monitor' in changes else 1)
    assert plateau.end == 8


def test_weights_alone_are_not_compared(tmp_path, caplog):
    """load_from begins a new training."""
    run(tmp_path / 'a', HALF, optimizer=ADAM)
    _, rates = run(tmp_path / 'b', 2, caplog, optimizer=SGD,
                   load_from=str(tmp_path / f'a/iter_{HALF}.pth'))
    assert 'differs' not in caplog.text and rates[0] == [.1]


def test_is_registered():
    assert HOOKS.get('genpercept_mm.ResumeConfigHook') is ResumeConfigHook
