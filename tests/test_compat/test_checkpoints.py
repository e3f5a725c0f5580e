import json
import os
import pickle
import re
import struct
import types
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub, MMLogger
from mmengine.runner import checkpoint as mmengine_module
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import save_file

from genpercept_mm.compat.checkpoints import (
    load_weights_only,
    mapped_loading,
    save_whole,
)


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


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('mapped', [True, False])
def test_truncated_checkpoints_are_named(tmp_path, zipped, mapped):
    """At any length; torch's errors are of five kinds."""
    path = tmp_path / 'torn.pth'
    torch.save(dict(state_dict=dict(w=torch.ones(2, 3)), meta=dict(iter=3)),
               path, _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(path) == zipped
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 90):
        path.write_bytes(whole[:length])
        with pytest.raises((OSError, RuntimeError, pickle.UnpicklingError),
                           match='torn.pth (cannot be|is (not|empty))'):
            load(path, mapped)


def load(path, mapped=False):
    if not mapped:
        return CheckpointLoader.load_checkpoint(str(path), 'cpu', 'silent')
    with mapped_loading():
        return load(path)


def state():
    generator = torch.Generator().manual_seed(0)
    return dict(a=torch.randn(40, 50, generator=generator),
                b=torch.arange(7), c=torch.ones(3, dtype=torch.bfloat16))


def equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=0)


@pytest.mark.parametrize('mapped', [True, False])
@pytest.mark.parametrize('name', ['x.pth', 'x.safetensors', 'x.bin'])
@pytest.mark.parametrize('form', ['zip', 'old torch', 'safetensors'])
def test_contents_count_and_not_names(tmp_path, mapped, name, form):
    path = tmp_path / name
    if form == 'safetensors':
        save_file(state(), path)
    else:
        torch.save(dict(state_dict=state(), meta=dict(iter=3)), path,
                   _use_new_zipfile_serialization=form == 'zip')
    loaded = load(path, mapped)
    equal(loaded['state_dict'], state())
    assert loaded['meta'] == ({} if form == 'safetensors' else dict(iter=3))


@pytest.mark.parametrize('length', [0x80, 0x8b1f, 0x5a42])
def test_a_header_may_begin_as_another_format(tmp_path, length):
    """Its length does: as a pickle, a gzip or bzip2 archive."""
    header = json.dumps(dict(a=dict(
        dtype='F32', shape=[2], data_offsets=[0, 8]))).ljust(length)
    (tmp_path / 'x.pth').write_bytes(
        struct.pack('<Q', length) + header.encode()
        + struct.pack('<2f', 1, 2))
    equal(load(tmp_path / 'x.pth')['state_dict'],
          dict(a=torch.tensor([1., 2])))


def test_what_is_not_a_checkpoint_is_named_for_what_it_is(tmp_path):
    """Other kinds are in the tests of folders of diffusers."""
    path = tmp_path / 'x.pth'
    path.write_text('version https://git-lfs.github.com/spec/v1\n')
    with pytest.raises(OSError, match='x.pth is a pointer of Git LFS'):
        load(path)


# -- memory -------------------------------------------------------------------


def test_runners_and_models_map_and_others_read(tmp_path, monkeypatch):
    from mmengine.runner import Runner
    from torch.utils import serialization
    options = pytest.importorskip(serialization.__name__ + '.config').load
    seen, stock = [], torch.load

    def spy(*args, **kwargs):
        seen.append(options.mmap)
        return stock(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', spy)
    path = str(tmp_path / 'x.pth')
    model = torch.nn.Linear(2, 3)
    torch.save(dict(state_dict=model.state_dict()), path)
    load(path)
    mmengine_module.load_checkpoint(model, path)
    runner = types.SimpleNamespace(
        model=model, logger=MMLogger.get_current_instance(),
        call_hook=lambda *args, **kwargs: None)
    Runner.load_checkpoint(runner, path)
    load(path)
    assert seen == [False, True, True, False] and not options.mmap


def test_a_runner_resumes_from_the_cpu(tmp_path, monkeypatch):
    """mmengine would load to the device; Adam's step counts would stay on it,
    as torch leaves them where they are."""
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Toy(BaseModel):

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, inputs, mode):
            return dict(loss=self.layer(inputs).mean())

    def build(name, iters, **options):
        return Runner(
            Toy(), str(tmp_path), experiment_name=name,
            train_dataloader=dict(
                dataset=[dict(inputs=torch.ones(2))] * 8, batch_size=1,
                sampler=dict(type='InfiniteSampler'),
                collate_fn=dict(type='default_collate')),
            train_cfg=dict(by_epoch=False, max_iters=iters),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=.1)),
            default_hooks=dict(checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=2)),
            **options)

    build('first', 2).train()
    runner = build('second', 3, resume=True)
    # stands for a GPU: mmengine would load the checkpoint to it
    monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: 'meta')
    runner.train()
    state = runner.optim_wrapper.optimizer.state_dict()['state'][0]
    assert state['step'].device.type == 'cpu' and state['step'] == 3


def test_a_mapped_file_is_not_changed(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict=state()), path)
    before = path.read_bytes()
    loaded = load(path, mapped=True)['state_dict']
    loaded['a'].add_(1)
    assert path.read_bytes() == before
    # a new checkpoint of this name leaves the old one where it is used
    mmengine_module.save_checkpoint(
        dict(state_dict=dict(a=torch.zeros(3))), str(path))
    equal(loaded, dict(state(), a=state()['a'] + 1))
    equal(load(path)['state_dict'], dict(a=torch.zeros(3)))


def test_a_file_may_be_written_again_in_place(run_python, tmp_path):
    """By torch; a process that has mapped it would end without a word."""
    path = str(tmp_path / 'x.pth')
    torch.save(dict(a=torch.ones(1000, 1000)), path)
    run_python('-c', f'''
import genpercept_mm, torch
from mmengine.runner.checkpoint import CheckpointLoader
checkpoint = CheckpointLoader.load_checkpoint({path!r})
checkpoint['a'] *= 3
torch.save(checkpoint, {path!r})''')
    assert load(path)['a'].unique().tolist() == [3]


# -- writing ------------------------------------------------------------------


STOCK_SAVE = mmengine_module.save_checkpoint.__wrapped__


@pytest.mark.parametrize('content', [
    dict(state_dict=state(), meta=dict(iter=3, note='x', nothing=None)),
    dict(state_dict={}), dict(
        optimizer=dict(state={0: dict(step=torch.tensor(3.))},
                       param_groups=[dict(lr=.1, betas=(.9, .99))]))])
def test_a_streamed_file_is_that_of_mmengine(tmp_path, content):
    for name, save in (('ours', mmengine_module.save_checkpoint),
                       ('stock', STOCK_SAVE)):
        save(content, str(tmp_path / f'{name}.pth'))
    assert sorted(os.listdir(tmp_path)) == ['ours.pth', 'stock.pth']
    ours, theirs = (torch.load(tmp_path / f'{name}.pth', weights_only=True)
                    for name in ('ours', 'stock'))
    assert str(ours) == str(theirs)
    if 'a' in content.get('state_dict', ()):
        equal(ours['state_dict'], theirs['state_dict'])
    assert (tmp_path / 'ours.pth').stat().st_mode == (
        tmp_path / 'stock.pth').stat().st_mode


def test_what_shares_memory_is_written_once(tmp_path):
    """As torch does, and not as mmengine's copies."""
    value = torch.ones(10_000)
    mmengine_module.save_checkpoint(
        dict(a=value, b=value[:5000]), str(tmp_path / 'x.pth'))
    assert (tmp_path / 'x.pth').stat().st_size < 1.2 * value.nbytes


@pytest.mark.parametrize('limit', [0, 16, 200_000])
def test_a_full_disk_leaves_the_older_file(run_python, tmp_path, limit):
    """The kernel refuses to write beyond a limit, as on a full disk."""
    path = tmp_path / 'iter_8.pth'
    torch.save(dict(state_dict=state()), path)
    before = path.read_bytes()
    done = run_python('-c', f'''
import resource, genpercept_mm, torch
from mmengine.runner.checkpoint import save_checkpoint
value = torch.ones(1024, 1024, dtype=torch.float32)
limits = {limit}, resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
try:
    save_checkpoint(dict(state_dict=dict(a=value), optimizer=[value / 2]),
                    {str(path)!r})
except OSError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE,
                       (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(error)''')
    # two times four bytes for each of 2^20 numbers
    assert re.search(f'cannot write {path} .*Free 8 MiB and continue with '
                     '--resume', done.stdout)
    assert os.listdir(tmp_path) == ['iter_8.pth']
    assert path.read_bytes() == before


@pytest.mark.parametrize('options', [
    dict(file_client_args=dict(backend='disk')),
    dict(backend_args=dict(backend='http'))])
def test_other_back_ends_are_left_to_mmengine(tmp_path, options):
    calls = []

    def save_checkpoint(checkpoint, filename, file_client_args=None,
                        backend_args=None):
        calls.append((checkpoint, filename, file_client_args, backend_args))

    module = types.SimpleNamespace(save_checkpoint=save_checkpoint)
    save_whole(module)
    # once only
    save_whole(module)
    module.save_checkpoint(dict(a=1), 'x.pth', **options)
    module.save_checkpoint(dict(a=2), 'pavi://x.pth')
    assert calls == [
        (dict(a=1), 'x.pth', options.get('file_client_args'),
         options.get('backend_args')), (dict(a=2), 'pavi://x.pth', None, None)]
    module.save_checkpoint(dict(a=3), str(tmp_path / 'x.pth'))
    assert len(calls) == 2 and torch.load(tmp_path / 'x.pth') == dict(a=3)


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
    module = types.SimpleNamespace(
        get_torch_safe_globals=lambda: [os.mkdir], save_checkpoint=torch.save)

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
