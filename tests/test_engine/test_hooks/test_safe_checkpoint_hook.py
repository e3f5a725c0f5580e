import errno
import os
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook
from toys import Scores, Toy, inputs, runner, same, state

from genpercept_mm.engine.hooks.safe_checkpoint_hook import (
    SafeCheckpointHook,
    find_newest_checkpoint,
    is_whole,
    load_where_nothing_resumes,
)
from genpercept_mm.evaluation import (
    AffineDepthMetric,
    DISMetric,
    MattingMetric,
    SegIoUMetric,
    SurfaceNormalMetric,
)
from genpercept_mm.registry import CODECS

LAST = dict(max_keep_ckpts=1)


def checkpoints(folder):
    return sorted(name for name in os.listdir(folder)
                  if name.endswith(('.pth', '.part')))


def contents(folder):
    return {name: (folder / name).read_bytes()
            for name in checkpoints(folder)}


def scored(folder, values, first=0, name='x', **kwargs):
    """Validate after each iteration; ``values`` are those of a whole run."""
    kwargs.setdefault('checkpoint', dict(save_best=name, rule='less'))
    return runner(folder, len(values), scores=Scores(name, values[first:]),
                  **kwargs)


def test_keeps_the_number_that_was_asked_for(tmp_path):
    runner(tmp_path, checkpoint=LAST).train()
    assert checkpoints(tmp_path) == ['iter_4.pth']
    assert torch.load(tmp_path / 'iter_4.pth', weights_only=True)


def test_meta_says_what_is_predicted(tmp_path):
    plain, dense = runner(tmp_path / 'a', 1), runner(tmp_path / 'b', 1)
    cfg = ConfigDict(type='AffineDepthCodec', space='disparity',
                     quantiles=(.1, .9))
    dense.model.codec = CODECS.build(cfg)
    dense.model.backbone = torch.nn.Identity()
    dense.model.backbone.arch = ConfigDict(unet=dict(layers=(1, 2)))
    for each in (plain, dense):
        each.train()
    fields = {'quantity', 'codec', 'arch'}
    meta = torch.load(tmp_path / 'a/iter_1.pth', weights_only=True)['meta']
    assert not fields & set(meta)
    meta = torch.load(tmp_path / 'b/iter_1.pth', weights_only=True)['meta']
    assert meta['quantity'] == 'disparity'
    assert meta['codec'] == dict(cfg, quantiles=[.1, .9])
    assert meta['arch'] == dict(unet=dict(layers=[1, 2]))


# -- what goes wrong while writing --------------------------------------------


@pytest.mark.parametrize('failing', ['write', 'replace'])
def test_full_disk_leaves_the_old_checkpoint_and_no_torn_file(
        tmp_path, monkeypatch, failing):
    runner(tmp_path, 2, checkpoint=LAST).train()
    before = contents(tmp_path)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, 'No space left on device')

    target = 'fsync' if failing == 'write' else 'replace'
    monkeypatch.setattr(os, target, full)
    with pytest.raises(OSError, match=r'cannot write .*iter_3.pth .*No space '
                       r'left.* intact.*--resume') as error:
        runner(tmp_path, 4, checkpoint=LAST, resume=True).train()
    assert error.value.errno == errno.ENOSPC
    assert contents(tmp_path) == before
    monkeypatch.undo()
    resumed = runner(tmp_path, 5, checkpoint=LAST, resume=True)
    resumed.train()
    assert resumed.iter == 5
    assert checkpoints(tmp_path) == ['iter_5.pth']


@pytest.mark.parametrize('iters', [3, 4])
def test_a_constant_file_name_keeps_its_file(tmp_path, iters):
    run = runner(tmp_path, iters, checkpoint=dict(
        LAST, filename_tmpl='latest.pth'))
    run.train()
    assert checkpoints(tmp_path) == ['latest.pth']
    assert torch.load(tmp_path / 'latest.pth', weights_only=True)['meta'][
        'iter'] == iters


def test_what_killed_processes_left_is_removed(tmp_path):
    """And nothing that is another's."""
    names = ['.genpercept_x1.part', '.genpercept_x2.part', 'notes.part',
             '.genpercept_notes', 'iter_7.part']
    for name in names:
        (tmp_path / name).touch()
    runner(tmp_path, 1).train()
    assert set(names) & set(os.listdir(tmp_path)) == set(names[2:])


def spoiled(step):
    """The weights themselves become NaN, without a gradient to show it."""

    def spoil(model, loss, now):
        if now == step:
            with torch.no_grad():
                model.linear.bias.fill_(float('nan'))
        return loss

    torch.manual_seed(0)
    return Toy(spoil)


@pytest.mark.parametrize('options', [
    LAST, dict(LAST, save_best='x', rule='less')])
def test_weights_that_are_not_finite_are_not_saved(tmp_path, options):
    run = scored(tmp_path, [4., 3, 2, 1], model=spoiled(3),
                 checkpoint=options)
    with pytest.raises(ValueError, match=(
            '1 weights are not finite after iteration 3, such as linear.bias,'
            ' .* intact.*--resume')):
        run.train()
    names = ['iter_2.pth']
    if 'save_best' in options:
        names.insert(0, 'best_x_iter_2.pth')
    assert checkpoints(tmp_path) == names
    for name in names:
        assert all(value.isfinite().all()
                   for value in state(tmp_path / name).values())


def test_nothing_is_removed_after_a_step_that_failed(tmp_path):
    """Until one succeeds."""
    torch.manual_seed(0)
    model = Toy(lambda model, loss, step: loss * (
        float('nan') if step in (3, 4) else 1))
    run = runner(tmp_path, 4, model, [
        dict(type='genpercept_mm.FiniteGuardHook')], checkpoint=LAST)
    run.train()
    assert 'iter_2.pth' in checkpoints(tmp_path)
    assert same(state(tmp_path / 'iter_2.pth'), state(tmp_path / 'iter_4.pth'))


# -- folders of other runs, and of this one by another name -------------------


@pytest.mark.parametrize('values', [[4, 3, 2, 1], [4, 3, 5, 6]])
def test_the_best_of_another_run_is_left_alone(tmp_path, caplog, values):
    """Its score does not count either: the file would be missing here."""
    first, second = tmp_path / 'first', tmp_path / 'second'
    scored(first, values[:2]).train()
    before = contents(first)
    assert 'best_x_iter_2.pth' in before
    resumed = scored(second, values, 2, resume=True,
                     load_from=str(first / 'iter_2.pth'))
    resumed.train()
    assert contents(first) == before
    best = 3 + (values[3] < values[2])
    assert [name for name in checkpoints(second) if 'best' in name] == [
        f'best_x_iter_{best}.pth']
    assert same(state(second / f'best_x_iter_{best}.pth'),
                state(second / f'iter_{best}.pth'))


def test_the_stock_hook_removes_it(tmp_path):
    """What the hook is for."""
    stock = dict(type='CheckpointHook', save_best='x', rule='less')
    scored(tmp_path / 'first', [2.], checkpoint=stock).train()
    scored(tmp_path / 'second', [2., 1], 1, checkpoint=stock, resume=True,
           load_from=str(tmp_path / 'first/iter_1.pth')).train()
    assert checkpoints(tmp_path / 'first') == ['iter_1.pth']


def test_a_renamed_folder_is_resumed(tmp_path):
    """Its best checkpoint and score are its own, and are replaced."""
    scored(tmp_path / 'first', [4., 3]).train()
    os.rename(tmp_path / 'first', tmp_path / 'moved')
    resumed = scored(tmp_path / 'moved', [4., 3, 5, 2], 2, resume=True)
    resumed.train()
    whole = scored(tmp_path / 'whole', [4., 3, 5, 2])
    whole.train()
    assert same(state(resumed.model), state(whole.model))
    assert checkpoints(tmp_path / 'moved') == checkpoints(
        tmp_path / 'whole') == ['best_x_iter_4.pth', *(
            f'iter_{step}.pth' for step in (1, 2, 3, 4))]
    assert not (tmp_path / 'first').exists()


def test_a_copied_folder_leaves_the_original_alone(tmp_path):
    scored(tmp_path / 'first', [4., 3], checkpoint=dict(
        LAST, save_best='x', rule='less')).train()
    before = contents(tmp_path / 'first')
    shutil.copytree(tmp_path / 'first', tmp_path / 'copy')
    scored(tmp_path / 'copy', [4., 3, 2], 2, resume=True, checkpoint=dict(
        LAST, save_best='x', rule='less')).train()
    assert contents(tmp_path / 'first') == before
    assert checkpoints(tmp_path / 'copy') == [
        'best_x_iter_3.pth', 'iter_3.pth']


def truncate(path):
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) // 2)


@pytest.mark.parametrize('pointer, damaged, expected', [
    ('{}/iter_2.pth', [], 2), ('iter_2.pth', [], 2),
    # as Windows writes it, and with a line end
    ('/gone/iter_3.pth\n', [], 3),
    (None, [], 10), ('', [], 10), ('{}/iter_10.pth', [10], 3),
    ('{}/iter_11.pth', [], 10), (None, [10, 3], 2), ('\0\0', [3], 10)])
def test_the_newest_whole_checkpoint_is_found(
        tmp_path, pointer, damaged, expected):
    """Iterations are compared as numbers, not as names: 9 < 10."""
    for step in (1, 2, 3, 10):
        torch.save(dict(x=torch.zeros(400)), tmp_path / f'iter_{step}.pth')
    for name in ('best_x_iter_20.pth', 'iter_30.pth.bak'):
        shutil.copy(tmp_path / 'iter_1.pth', tmp_path / name)
    (tmp_path / 'iter_40.pth').touch()
    for step in damaged:
        truncate(tmp_path / f'iter_{step}.pth')
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_text(
            pointer.format(tmp_path))
    assert find_newest_checkpoint(str(tmp_path)) == str(
        tmp_path / f'iter_{expected}.pth')


def test_where_there_is_none(tmp_path):
    assert find_newest_checkpoint(str(tmp_path / 'nowhere')) is None
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_3.pth')
    assert find_newest_checkpoint(str(tmp_path)) is None
    assert find_newest_checkpoint(str(tmp_path), str(tmp_path / 'a')) is None
    (tmp_path / 'a').mkdir()
    torch.save({}, tmp_path / 'a/epoch_3.pth')
    assert find_newest_checkpoint(str(tmp_path), str(tmp_path / 'a')) == str(
        tmp_path / 'a/epoch_3.pth')


@pytest.mark.parametrize('share', [0, .1, .5, .99])
def test_a_part_of_a_checkpoint_is_not_whole(tmp_path, share):
    path = tmp_path / 'iter_1.pth'
    torch.save(dict(x=torch.zeros(1000)), path)
    assert is_whole(path)
    os.truncate(path, int(path.stat().st_size * share))
    assert not is_whole(path)


@pytest.mark.parametrize('damage', ['pointer', 'file', 'folder'])
def test_a_damaged_work_dir_resumes_as_an_unbroken_run(
        tmp_path, caplog, damage):
    runner(tmp_path / 'a', 3).train()
    if damage == 'pointer':
        (tmp_path / 'a/last_checkpoint').write_text('')
    elif damage == 'file':
        truncate(tmp_path / 'a/iter_3.pth')
    else:
        shutil.rmtree(tmp_path / 'a')
    resumed = runner(tmp_path / 'a', 4, resume=True)
    resumed.logger.addHandler(caplog.handler)
    resumed.train()
    whole = runner(tmp_path / 'whole', 4)
    whole.train()
    assert same(state(resumed.model), state(whole.model))
    assert dict(
        pointer='', file='which is missing or truncated; resuming from '
        f'{tmp_path}/a/iter_2.pth', folder='no checkpoint to resume; the '
        'training starts anew')[damage] in caplog.text


def test_another_folder_for_checkpoints(tmp_path):
    """They lie in a folder named like the work dir."""
    out = dict(out_dir=str(tmp_path / 'out'))
    runner(tmp_path / 'a', 2, checkpoint=out).train()
    assert checkpoints(tmp_path / 'out/a') == ['iter_1.pth', 'iter_2.pth']
    resumed = runner(tmp_path / 'a', 3, checkpoint=out, resume=True)
    resumed.train()
    whole = runner(tmp_path / 'whole', 3)
    whole.train()
    assert same(state(resumed.model), state(whole.model))


@pytest.mark.parametrize('resume', [False, True])
def test_pretrained_weights_are_not_read_for_a_resumed_run(tmp_path, resume):
    """The checkpoint has them; they may be gone."""
    runner(tmp_path, 1).train()
    run = runner(tmp_path, 2, resume=resume)
    run.model.linear.skip_pretrained = False
    run.train()
    assert run.model.linear.skip_pretrained == resume


# -- the rule of save_best ----------------------------------------------------


class Errors(Scores):
    """Numbers of which the smaller is the better, and says so."""

    BETTER = dict(mad='less', map='greater')
    prefix = 'mapillary'


def kept(folder):
    name, = [name for name in checkpoints(folder) if 'best' in name]
    return int(name.split('iter_')[1][:-len('.pth')])


@pytest.mark.parametrize('name, best', [('mad', 2), ('map', 3)])
@pytest.mark.parametrize('hook, key', [
    ('genpercept_mm.SafeCheckpointHook', 'mapillary/{}'),
    ('genpercept_mm.SafeCheckpointHook', 'auto')])
def test_the_metric_states_the_rule(tmp_path, caplog, name, best, hook, key):
    run = runner(tmp_path, 4, scores=Errors(
        f'mapillary/{name}', [3., 1, 5, 2]), checkpoint=dict(
            type=hook, save_best=key.format(name)))
    run.logger.addHandler(caplog.handler)
    run.train()
    assert kept(tmp_path) == best
    assert 'guessed' not in caplog.text


def rules(save_best, *metrics, **kwargs):
    hook = SafeCheckpointHook(save_best=save_best, **kwargs)
    if 'rule' not in kwargs:
        hook._set_rules(SimpleNamespace(val_loop=SimpleNamespace(
            evaluator=SimpleNamespace(metrics=metrics))))
    return hook.rules


@pytest.mark.parametrize('metric, less, greater', [
    (AffineDepthMetric, ['abs_rel', 'rmse'], ['delta1']),
    (SurfaceNormalMetric, ['mean', 'median', 'rmse'], ['a5', 'a30']),
    (DISMetric, ['mae'], ['max_f', 's_alpha']),
    (MattingMetric, ['sad', 'mad', 'mse', 'grad', 'conn'], []),
    (SegIoUMetric, [], ['mIoU', 'aAcc'])])
@pytest.mark.parametrize('prefix', [None, 'mapillary', 'topographic/loss'])
def test_all_metrics_state_their_rules(caplog, metric, less, greater, prefix):
    """Whatever the letters of a data set's name are."""
    built = metric(prefix=prefix)
    start = '' if prefix is None else f'{prefix}/'
    for rule, names in (('less', less), ('greater', greater)):
        for name in names:
            assert name in built.BETTER
            assert rules(start + name, Scores('x', []), built) == [rule]
    assert set(built.BETTER.values()) <= {'less', 'greater'}
    if less and greater:
        assert rules([start + less[0], start + greater[0]], built) == [
            'less', 'greater']


def test_mmengine_guesses_the_opposite():
    assert CheckpointHook(save_best='mapillary/mad').rules == ['greater']
    assert rules('mapillary/mad', MattingMetric(
        dataset_name='mapillary')) == ['less']


@pytest.mark.parametrize('key, rule, told', [
    # what mmengine knows exactly, and what it finds in a name
    ('coco/mAP', 'greater', False), ('loss', 'less', False),
    ('val/acc_seg', 'greater', True), ('my_loss', 'less', True),
    # the prefix does not count
    ('mapillary/loss_x', 'less', True)])
def test_a_guess_is_told(caplog, key, rule, told):
    from mmengine.logging import MMLogger
    logger = MMLogger.get_instance('guess')
    logger.addHandler(caplog.handler)
    assert rules(key, MattingMetric(dataset_name='other')) == [rule]
    assert ('guessed' in caplog.text) == told
    if told:
        assert f'({key!r}: {rule!r})' in caplog.text


def test_what_cannot_be_guessed_needs_a_rule():
    with pytest.raises(ValueError, match='Cannot infer the rule for key '
                       'quality'):
        rules('quality')
    assert rules('quality', rule='less') == ['less']


@pytest.mark.parametrize('wrong, rule, best', [
    (float('nan'), 'less', 3), (float('nan'), 'greater', 1),
    (-float('inf'), 'less', 3), (float('inf'), 'greater', 1)])
def test_a_score_that_is_not_finite_is_never_the_best(
        tmp_path, caplog, wrong, rule, best):
    run = scored(tmp_path, [3., wrong, 2, wrong], checkpoint=dict(
        save_best='x', rule=rule))
    run.logger.addHandler(caplog.handler)
    run.train()
    assert kept(tmp_path) == best
    assert f'x is {wrong} at iteration 2' in caplog.text


def test_a_validation_without_save_best(tmp_path):
    scored(tmp_path, [1., 2], checkpoint={}).train()
    assert checkpoints(tmp_path) == ['iter_1.pth', 'iter_2.pth']


def test_unknown_arguments_are_refused_at_once():
    with pytest.raises(TypeError, match=r"unexpected argument\(s\) "
                       r"\['max_keep_ckpt'\]"):
        SafeCheckpointHook(max_keep_ckpt=2)
    SafeCheckpointHook(interval=2, max_keep_ckpts=2)


@pytest.mark.parametrize('out_dir', [False, True])
def test_without_a_checkpoint_the_given_weights_are_loaded(tmp_path, out_dir):
    """A training that is queued again before its first checkpoint."""
    torch.save(dict(state_dict={
        key: torch.full_like(value, 7.)
        for key, value in state(Toy()).items()}), tmp_path / 'given.pth')
    options = dict(out_dir=str(tmp_path / 'out')) if out_dir else None

    def train(iters):
        run = runner(tmp_path / 'a', iters, checkpoint=options, resume=True,
                     optimizer=dict(type='SGD', lr=0.))
        load_where_nothing_resumes(run, str(tmp_path / 'given.pth'))
        run.train()
        return run

    run = train(2)
    assert all((value == 7).all() for value in state(run.model).values())
    assert run.iter == 2
    # from then on, the checkpoint is resumed
    (tmp_path / 'given.pth').unlink()
    assert train(3).iter == 3


# -- what else is resumed -----------------------------------------------------


class Described(list):
    metainfo = dict(classes=('wall', 'floor'), palette=[(1, 2, 3), (4, 5, 6)])


@pytest.mark.parametrize('classes, told', [
    (('wall', 'floor'), False), (('wall', 'ceiling'), True)])
def test_a_resumed_run_warns_of_another_data_set_alone(tmp_path, caplog,
                                                       classes, told):
    loader = dict(dataset=Described(enumerate(inputs())))
    runner(tmp_path, 2, loader=loader).train()
    loader['dataset'].metainfo = dict(Described.metainfo, classes=classes)
    run = runner(tmp_path, 3, loader=loader, resume=True)
    run.logger.addHandler(caplog.handler)
    run.train()
    run.logger.removeHandler(caplog.handler)
    assert ('dataset metainfo' in caplog.text) == told
