import io
import os
import os.path as osp
import pickle
import re
import shutil
import zipfile
from importlib import metadata

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

from genpercept_mm import compat

IMPORT_HOSTS = ('import genpercept_mm, mmseg.models, mmdet.models, '
                'mmpose.models, mmpose.visualization, sys;')


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


# -- mmcv._ext ----------------------------------------------------------------


def test_hosts_import_without_compiled_ops_and_ops_say_what_to_do(run_python):
    if not any(d.name == 'mmcv-lite' for d in metadata.distributions()):
        pytest.skip('compiled mmcv is installed here')
    done = run_python(
        '-c', IMPORT_HOSTS + 'from mmcv.ops import carafe, nms; import torch;'
        'print(type(sys.modules["mmcv._ext"]).__name__);'
        'print(nms(torch.tensor([[0, 0, 2, 2.], [0, 0, 2, 1.9]]),'
        'torch.tensor([.3, .9]), 0.5)[1]);'
        'x = torch.rand(1, 4, 2, 2);'
        'carafe(x, torch.rand(1, 9, 4, 4), 3, 1, 2)', check=False, hosts=False)
    assert done.stdout.split('\n')[:2] == ['MissingOps', 'tensor([1])']
    assert done.returncode
    assert ("NotImplementedError: mmcv op 'carafe_forward' needs compiled "
            'mmcv, and mmcv-lite has none. Install it with: pip install') in (
        done.stderr)


def test_compiled_mmcv_is_left_alone(run_python, full_mmcv):
    done = run_python(
        '-c', IMPORT_HOSTS + 'import mmcv.ops; ext = sys.modules["mmcv._ext"];'
        'print(ext.__file__); print(ext.carafe_forward)',
        python_path=[full_mmcv], hosts=False)
    first, second = done.stdout.strip().split('\n')[-2:]
    assert first.startswith(full_mmcv) and 'built-in method' in second


def test_compiled_mmcv_that_does_not_load_is_replaced(
        run_python, full_mmcv, tmp_path):
    broken = str(tmp_path / 'broken')
    shutil.copytree(full_mmcv, broken)
    extension, = [name for name in os.listdir(osp.join(broken, 'mmcv'))
                  if name.startswith('_ext') and name.endswith('.so')]
    with open(osp.join(broken, 'mmcv', extension), 'wb') as file:
        file.write(b'not a library')
    done = run_python('-W', 'ignore', '-m', 'genpercept_mm.env',
                      python_path=[broken])
    line, = [row for row in done.stdout.split('\n')
             if row.startswith('mmcv ops')]
    assert 'stand-in' in line and 'the installed one does not load' in line


# -- mmpose's visualizer ------------------------------------------------------


def test_simcc_drawing_explains_itself_without_torchvision(run_python):
    if compat.torchvision_problem() is None:
        pytest.skip('torchvision works here')
    done = run_python(
        '-c', IMPORT_HOSTS + 'from mmpose.visualization.local_visualizer '
        'import SimCCVisualizer; SimCCVisualizer()', check=False,
        hosts=False)
    assert 'ImportError: SimCCVisualizer needs torchvision' in done.stderr
    assert 'torchvision' not in done.stdout


def test_a_broken_torchvision_is_reported_not_fatal(run_python, tmp_path):
    (tmp_path / 'torchvision').mkdir()
    (tmp_path / 'torchvision/__init__.py').write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")')
    done = run_python('-m', 'genpercept_mm.env', python_path=[str(tmp_path)])
    line, = [row for row in done.stdout.split('\n')
             if row.startswith('torchvision')]
    assert 'BROKEN' in line and 'nms does not exist' in line
    run_python('-c', 'import genpercept_mm, mmpose.visualization',
               python_path=[str(tmp_path)])


# -- checkpoints --------------------------------------------------------------


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


@pytest.mark.parametrize('forged', [ForgedArray(), ForgedHistory()])
def test_forged_arrays_are_refused(run_python, tmp_path, forged):
    """In a process of its own: where it works, it crashes."""
    path = str(tmp_path / 'forged.pth')
    torch.save(dict(x=forged), path)
    done = run_python('-c', f'''
import genpercept_mm
from mmengine.runner.checkpoint import CheckpointLoader
CheckpointLoader.load_checkpoint({path!r})''', check=False)
    assert done.returncode == 1 and re.search(
        'UnpicklingError|TypeError', done.stderr)


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


def test_scheduler_state_is_plain_and_comes_back():
    """OneCycleLR stores its annealing function in stock mmengine."""
    from mmengine.optim import OneCycleLR

    def build():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
        return optimizer, OneCycleLR(optimizer, eta_max=1., total_steps=10)

    optimizer, scheduler = build()
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    buffer = io.BytesIO()
    torch.save(scheduler.state_dict(), buffer)
    buffer.seek(0)
    other_optimizer, other = build()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    other_optimizer.load_state_dict(optimizer.state_dict())
    for _ in range(4):
        for o, s in ((optimizer, scheduler), (other_optimizer, other)):
            o.step()
            s.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(
        other_optimizer.param_groups[0]['lr'])


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


def test_our_history_is_plain_and_comes_back(tmp_path):
    hub = MessageHub.get_instance('plain')
    for value in (3.0, 1.0, 2.0):
        hub.update_scalar('train/loss', value, 2)
    buffer = io.BytesIO()
    torch.save(hub.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    other = MessageHub.get_instance('plain again')
    other.load_state_dict(state)
    for ours, theirs in zip(other.get_scalar('train/loss').data,
                            hub.get_scalar('train/loss').data):
        assert ours.tolist() == theirs.tolist()
    other.update_scalar('train/loss', 5.0)
    assert other.get_scalar('train/loss').max() == 5


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


def test_import_is_cheap(run_python):
    """Nothing heavy is imported with the package itself."""
    done = run_python('-c', 'import sys, genpercept_mm;'
                      'print(sorted({"torch", "cv2", "diffusers", "mmcv",'
                      '"mmseg", "transformers"} & set(sys.modules)))',
                      fresh=True)
    assert set(eval(done.stdout)) <= {'torch'}
