import os.path as osp

import pytest
from mmengine.config import Config
from reproduction.ablations import read_tables
from reproduction.plan import (
    by_training,
    plan,
    read_rows,
    select_rows,
    training_fingerprint,
    weights_identity,
)


def entry(name, train_as=None):
    return dict(id=name, name=name, config=f'{name}.py', train_as=train_as,
                paper=[.1, .9])


TABLES = {
    '1': dict(rows=[entry('multi'), entry('multi-1', 'multi'),
                    entry('baseline')]),
    '2': dict(rows=[entry('baseline', '1/baseline'), entry('same'),
                    entry('same-again'), entry('other')])
}


def config(lr=1e-4, num_steps=1, **model):
    return Config(dict(
        model=dict(backbone=dict(type='Net', **model),
                   test_cfg=dict(num_steps=num_steps)),
        optim_wrapper=dict(lr=lr), train_cfg=dict(max_iters=5),
        test_evaluator=dict(type='Metric'), work_dir='a'))


CONFIGS = {
    'multi.py': dict(num_steps=10), 'multi-1.py': dict(),
    'baseline.py': dict(lr=2e-4), 'same.py': dict(lr=3e-4),
    'same-again.py': dict(lr=3e-4, num_steps=2), 'other.py': dict(lr=4e-4)
}


def load(path):
    return config(**CONFIGS[path])


def planned(table, seeds=(0, ), load=load, **options):
    return plan(read_rows(TABLES), table, seeds, 'w', load, **options)


def test_rows_know_who_trains_them_across_tables():
    rows = read_rows(TABLES)
    assert {row.key: '/'.join(row.trained_by) for row in rows.values()} == {
        '1/multi': '1/multi', '1/multi-1': '1/multi',
        '1/baseline': '1/baseline', '2/baseline': '1/baseline',
        '2/same': '2/same', '2/same-again': '2/same-again',
        '2/other': '2/other'}


def test_rows_of_the_paper():
    """24 + 6 + 6 + 7 + 2 + 5 rows; Our baseline is trained once."""
    rows = read_rows(read_tables()['tables'])
    assert len(rows) == 50
    baselines = [row for row in rows.values() if row.id == 'baseline']
    assert {row.trained_by for row in baselines} == {('1', 'baseline')}
    assert len(baselines) == 6
    assert rows['1', 'dmp_beta-1-1'].trained_by == ('1', 'baseline')


@pytest.mark.parametrize('rows, message', [
    ([entry('a'), entry('a')], "two rows with the id 'a'"),
    ([entry('a', 'b')], 'train_as of 3/a leads to 3/b, which does not exist'),
    ([entry('a', 'b'), entry('b', '3/a')], 'or leads back')])
def test_mistakes_in_the_tables(rows, message):
    with pytest.raises(ValueError, match=message):
        read_rows({'3': dict(rows=rows)})


def test_what_does_not_exist_is_answered_with_what_does():
    rows = read_rows(TABLES)
    with pytest.raises(ValueError, match="no table '9'; choose from 1, 2, or"):
        select_rows(rows, '9')
    with pytest.raises(ValueError, match='has no row x, y; its rows are:\n'
                       '  multi\n  multi-1\n  baseline'):
        select_rows(rows, '1', ['y', 'multi', 'x'])
    assert [row.id for row in select_rows(
        rows, '1', ['baseline', 'multi'])] == ['multi', 'baseline']


def test_folders_and_order():
    trials = planned('1', (3, 4))
    assert [trial.name for trial in trials] == [
        f'1/{name} seed {seed}' for seed in (3, 4)
        for name in ('multi', 'multi-1', 'baseline')]
    assert trials[1].folder == osp.join('w', '1', 'multi-1', 'seed3')
    assert trials[1].train_folder == osp.join('w', '1', 'multi', 'seed3')
    assert trials[1].max_iters == 5
    assert [[trial.row.id for trial in group]
            for group in by_training(trials)] == [
                ['multi', 'multi-1'], ['baseline']] * 2


def test_equal_settings_are_trained_once_and_tested_once():
    baseline, same, again, other = planned('2')
    # the row of another table, with its result
    assert baseline.folder == baseline.train_folder == osp.join(
        'w', '1', 'baseline', 'seed0')
    # only testing differs
    assert again.train_folder == same.train_folder == same.folder
    assert again.folder == osp.join('w', '2', 'same-again', 'seed0')
    assert other.train_folder == other.folder == osp.join(
        'w', '2', 'other', 'seed0')


def test_the_noise_of_an_evaluation_follows_the_seed():
    loaded = {}

    def load_once(path):
        return loaded.setdefault(path, load(path))

    trials = planned('1', (3, 4), load=load_once)
    for trial in trials:
        assert trial.cfg.model.test_cfg.seed == trial.seed
        assert trial.train_cfg.model.test_cfg.seed == trial.seed
    # the rest stays, and so do the configs that all seeds are made of
    assert trials[0].cfg.model.test_cfg == dict(num_steps=10, seed=3)
    assert trials[3].cfg.model.backbone == trials[0].cfg.model.backbone
    assert loaded['multi.py'].to_dict() == load('multi.py').to_dict()


def changed(field, value):
    def load_changed(path):
        cfg = load(path)
        cfg.merge_from_dict({field: value})
        return cfg
    return load_changed


@pytest.mark.parametrize('field, value, training, result', [
    ('work_dir', 'b', False, False),
    ('log_level', 'ERROR', False, False),
    ('model.test_cfg.num_steps', 7, False, True),
    ('test_evaluator.type', 'Other', False, True),
    ('model.backbone.type', 'Other', True, True),
    ('train_cfg.max_iters', 6, True, True)])
def test_what_a_changed_config_makes_invalid(field, value, training, result):
    before = planned('1')[2]
    after = planned('1', load=changed(field, value))[2]
    assert (before.train_fingerprint != after.train_fingerprint) == training
    assert (before.fingerprint != after.fingerprint) == result


@pytest.mark.parametrize('options', [
    dict(seeds=(1, )), dict(data=dict(num_frames=8)), dict(amp=True)])
def test_seed_data_and_precision_make_other_results(options):
    before, after = planned('1')[2], planned('1', **options)[2]
    assert before.train_fingerprint != after.train_fingerprint
    assert before.fingerprint != after.fingerprint


def test_other_pretrained_weights_make_other_trainings(tmp_path):
    weights = tmp_path / 'weights'
    (weights / 'unet').mkdir(parents=True)
    file = weights / 'unet' / 'model.safetensors'
    found = []
    for content in (b'one', b'two', b'one'):
        file.write_bytes(content)
        weights_identity.cache_clear()
        found.append(training_fingerprint(config(pretrained=str(weights))))
    assert found[0] == found[2] != found[1]


def test_identity_of_weights_is_their_content_not_their_place(tmp_path):
    for name in 'ab':
        (tmp_path / name / 'unet').mkdir(parents=True)
        (tmp_path / name / 'unet' / 'x').write_bytes(b'1')
    (tmp_path / 'b' / 'README.md').write_text('How they were made.')
    first, second = (weights_identity(str(tmp_path / name)) for name in 'ab')
    assert first == second
    (tmp_path / 'b' / 'unet' / 'x').rename(tmp_path / 'b' / 'unet' / 'y')
    weights_identity.cache_clear()
    assert weights_identity(str(tmp_path / 'b')) != first
    # a file, and a name on the hub
    file = weights_identity(str(tmp_path / 'a' / 'unet' / 'x'))
    assert file not in (first, str(tmp_path / 'a' / 'unet' / 'x'))
    assert weights_identity('someone/something') == 'someone/something'
