import json
import os

import pytest
from fake_tools import load_config, make_trials
from reproduction import store


@pytest.fixture
def trials(tmp_path):
    def make(load=load_config):
        return make_trials(tmp_path, load=load)
    return make


def touch(trial):
    path = os.path.join(trial.train_folder, 'train', 'iter_5.pth')
    os.makedirs(os.path.dirname(path))
    open(path, 'w').close()
    return path


def other(trials):
    def load(path):
        cfg = load_config(path)
        cfg.lr = 1
        return cfg
    return trials(load=load)[0]


def test_a_result_is_read_back(trials):
    trial = trials()[0]
    assert store.read_result(trial) is None
    assert store.begin_training(trial) is None
    store.write_result(trial, metrics=dict(abs_rel=.25), date='today')
    found = store.read_result(trial)
    assert (found['metrics'], found['date']) == (dict(abs_rel=.25), 'today')
    # the row that is tested with another number of steps
    assert store.read_result(trials()[1]) is None


def test_a_result_is_void_after_a_new_training_or_other_settings(trials):
    trial = trials()[0]
    store.begin_training(trial)
    store.write_result(trial, metrics={})
    assert store.read_result(other(trials)) is None
    note = os.path.join(trial.train_folder, 'training.json')
    kept = open(note).read()
    with open(note, 'w') as file:
        json.dump(dict(json.loads(kept), id='another'), file)
    assert store.read_result(trial) is None
    # copied from another machine, without the training
    os.remove(note)
    assert store.read_result(trial) is not None


def test_only_the_last_checkpoint_of_the_same_settings_is_finished(trials):
    trial = trials()[0]
    path = touch(trial)
    # of unknown origin
    assert store.finished_checkpoint(trial) is None
    aside = store.begin_training(trial)
    assert os.listdir(aside) == ['iter_5.pth']
    touch(trial)
    assert store.finished_checkpoint(trial) == path
    assert store.finished_checkpoint(other(trials)) is None


def test_old_trainings_are_kept_and_interrupted_ones_go_on(trials):
    first, second = trials()[0], other(trials)
    store.begin_training(first)
    path = touch(first)
    assert store.begin_training(first) is None
    assert os.path.exists(path)
    asides = [store.begin_training(second)]
    touch(second)
    asides.append(store.begin_training(first))
    assert [os.path.basename(aside) for aside in asides] == [
        'train_old1', 'train_old2']
    assert all(os.listdir(aside) == ['iter_5.pth'] for aside in asides)


def test_a_config_is_read_back(trials, tmp_path):
    trial = trials()[0]
    path = store.write_config(str(tmp_path / 'a' / 'c.py'), trial.cfg)
    from mmengine.config import Config
    assert Config.fromfile(path).to_dict() == trial.cfg.to_dict()


def test_metrics_of_the_only_test(tmp_path):
    for name in ('20260101', '20260102'):
        folder = tmp_path / '[a]' / name
        folder.mkdir(parents=True)
        (folder / f'{name}.json').write_text(
            '{"abs_rel": 0.5, "time": 1, "data_time": 2}')
        if name == '20260101':
            assert store.read_metrics(str(tmp_path / '[a]')) == {
                'abs_rel': .5}
    with pytest.raises(ValueError):
        store.read_metrics(str(tmp_path / '[a]'))
