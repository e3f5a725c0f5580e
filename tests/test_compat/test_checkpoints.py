import os
import os.path as osp
import pickle
import re
import types
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

from genpercept_mm.compat.checkpoints import load_weights_only


class Evil:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path, )


class Allowed:
    """A class that a user trusts."""


class GetattrAttack:
    """A pickle that uses mmengine's getattr for a method that runs."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, 'register_statistics')


class ForgedArray:
    """An array of objects whose addresses come from the file."""

    def __reduce__(self):
        return np.ndarray, ((1, ), 'O', b'AAAAAAAA')


class ForgedHistory:
    """A history that touches those objects when it is made."""

    def __reduce__(self):
        return HistoryBuffer, (ForgedArray(), [1])


@pytest.mark.parametrize('place', ['state_dict', 'message_hub', 'optimizer'])
def test_no_code_from_a_file_runs(tmp_path, place):
    path, trace = str(tmp_path / 'evil.pth'), tmp_path / 'ran'
    torch.save({'state_dict': {}, place: Evil(trace)}, path)
    with pytest.raises(pickle.UnpicklingError, match='evil.pth is not loaded: '
                       'it holds objects that would run code'):
        CheckpointLoader.load_checkpoint(path)
    assert not trace.exists()


def test_getattr_gives_nothing(tmp_path):
    path = str(tmp_path / 'getattr.pth')
    torch.save(dict(x=GetattrAttack()), path)
    assert CheckpointLoader.load_checkpoint(path) == dict(x=None)


def test_forged_arrays_are_refused(run_python, tmp_path):
    """It runs in its own process, which would crash if they were loaded."""
    for name, forged in (('array', ForgedArray()),
                         ('history', ForgedHistory())):
        torch.save(dict(x=forged), str(tmp_path / f'{name}.pth'))
    done = run_python('-c', f'''
import os, genpercept_mm
from mmengine.runner.checkpoint import CheckpointLoader
for name in ('array', 'history'):
    try:
        CheckpointLoader.load_checkpoint(
            os.path.join({str(tmp_path)!r}, name + '.pth'))
    except Exception as error:
        print(name, type(error).__name__)''', hosts=False)
    refused = re.findall(
        r'^(array|history) (?:UnpicklingError|TypeError)$', done.stdout, re.M)
    assert refused == ['array', 'history']


@pytest.mark.parametrize('array', [
    np.array(['text']), np.array([None]), np.zeros(2, 'f4,i4')])
def test_only_arrays_of_numbers_load(tmp_path, array):
    path = str(tmp_path / 'array.pth')
    torch.save(dict(x=array), path)
    with pytest.raises(pickle.UnpicklingError, match='array.pth is not'):
        CheckpointLoader.load_checkpoint(path)


@pytest.mark.parametrize('array', [
    np.arange(6, dtype='>i2').reshape(2, 3), np.float32([[1, 2], [3, 4]]).T,
    np.array([True, False]), np.zeros((0, 3)), np.uint64(2**63)])
def test_arrays_of_numbers_come_back(tmp_path, array):
    path = str(tmp_path / 'array.pth')
    torch.save(dict(x=[array, (array, )]), path)
    loaded = CheckpointLoader.load_checkpoint(path)['x']
    for value in (loaded[0], loaded[1][0]):
        assert type(value) is type(array) and value.dtype == array.dtype
        np.testing.assert_array_equal(value, array)


def test_what_is_allowed_inside_is_not_allowed_outside(tmp_path):
    path = str(tmp_path / 'x.pth')
    torch.save(dict(x=np.zeros(2)), path)
    CheckpointLoader.load_checkpoint(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_what_the_user_allowed_stays_allowed(tmp_path):
    path = str(tmp_path / 'x.pth')
    torch.save(dict(x=Allowed(), y=np.zeros(2)), path)
    with torch.serialization.safe_globals([Allowed, np.ndarray]):
        before = set(torch.serialization.get_safe_globals())
        loaded = CheckpointLoader.load_checkpoint(path)
        assert set(torch.serialization.get_safe_globals()) == before
    assert isinstance(loaded['x'], Allowed) and loaded['y'].tolist() == [0, 0]


def test_torchs_escape_hatch_does_not_open_it(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path, trace = str(tmp_path / 'evil.pth'), tmp_path / 'ran'
    torch.save(dict(x=Evil(trace)), path)
    with pytest.raises(pickle.UnpicklingError, match='would run code'):
        CheckpointLoader.load_checkpoint(path)
    assert not trace.exists()
    assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '1'
    torch.save(dict(x=1), path)
    assert CheckpointLoader.load_checkpoint(path) == dict(x=1)


def test_checkpoints_of_stock_mmengine_load(run_python, tmp_path):
    """Written in a process that never imports us."""
    path = str(tmp_path / 'stock.pth')
    run_python('-c', f'''
import sys, numpy as np, torch
from mmengine.logging import MessageHub
hub = MessageHub.get_instance('x')
for value in (3.0, 1.0, 2.0):
    hub.update_scalar('train/loss', value, 2)
hub.update_info('best_score', np.float64(0.5))
torch.save(dict(state_dict=dict(w=torch.ones(2)),
                message_hub=hub.state_dict(),
                meta=dict(dataset_meta=dict(sigmas=np.arange(3.)))),
           {path!r})
assert 'genpercept_mm' not in sys.modules
''', hosts=False)
    state = CheckpointLoader.load_checkpoint(path)
    assert state['state_dict']['w'].tolist() == [1, 1]
    assert state['meta']['dataset_meta']['sigmas'].tolist() == [0, 1, 2]
    hub = MessageHub.get_instance('resumed')
    hub.load_state_dict(state['message_hub'])
    history = hub.get_scalar('train/loss')
    assert history.data[0].tolist() == [3, 1, 2]
    assert (history.min(), history.mean(), history.current()) == (1, 1, 2)
    assert hub.get_info('best_score') == 0.5


def test_truncated_checkpoint_is_named(tmp_path):
    path = str(tmp_path / 'torn.pth')
    torch.save(dict(w=torch.rand(1000)), path)
    assert zipfile.is_zipfile(path)
    with open(path, 'r+b') as file:
        file.truncate(osp.getsize(path) // 2)
    with pytest.raises(RuntimeError, match='torn.pth cannot be read .*'
                       'truncated'):
        CheckpointLoader.load_checkpoint(path)


def test_the_environment_of_other_loads_is_not_changed(tmp_path):
    path = str(tmp_path / 'own.pth')
    torch.save(dict(x=Evil(tmp_path / 'ran')), path)
    with pytest.raises(pickle.UnpicklingError):
        CheckpointLoader.load_checkpoint(path)
    # a user's own explicit choice, outside mmengine, is theirs
    torch.load(path, weights_only=False)
    assert (tmp_path / 'ran').exists()


def test_what_mmengine_allows_itself_stays_forbidden(tmp_path):
    """OneDL's mmengine has such a list, with getattr in it."""
    path, trace = str(tmp_path / 'evil.pth'), tmp_path / 'ran'
    torch.save(dict(x=Evil(trace)), path)
    module = types.SimpleNamespace(get_torch_safe_globals=lambda: [os.mkdir])

    class CheckpointLoader:

        @classmethod
        def load_checkpoint(cls, filename):
            with torch.serialization.safe_globals(
                    module.get_torch_safe_globals()):
                return torch.load(filename, weights_only=True)

    module.CheckpointLoader = CheckpointLoader
    load_weights_only(module)
    with pytest.raises(pickle.UnpicklingError, match='would run code'):
        CheckpointLoader.load_checkpoint(path)
    assert not trace.exists()
