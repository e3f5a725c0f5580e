import errno
import os
import signal
import threading
import time

import pytest
from fake_tools import load_config, make_trials, write_tools
from reproduction import execution, store
from reproduction.execution import Execution

FIRST = ['train.py bb 0', 'test.py bb 0', 'test.py bb 0', 'train.py cccc 0',
         'test.py cccc 0']


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository whose tools take milliseconds."""
    write_tools(tmp_path / 'root')
    monkeypatch.setenv('TOOL_LOG', str(tmp_path / 'calls.txt'))
    return tmp_path / 'root'


@pytest.fixture
def calls(tmp_path):
    """What the tools were called for since the last look."""
    path = tmp_path / 'calls.txt'

    def read():
        found = path.read_text().splitlines() if path.exists() else []
        path.write_text('')
        return found

    return read


@pytest.fixture
def trials(tmp_path):
    def make(seeds=(0, ), load=load_config, **options):
        return make_trials(tmp_path / 'work', seeds, load, **options)
    return make


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setattr(execution, 'count_train_frames', lambda cfg: 12)
    monkeypatch.setattr(execution, 'count_test_frames', lambda cfg: 4)


def run(root, trials, jobs=1):
    lines = []
    failures = Execution(str(root), jobs, lines.append).run(trials)
    return ({trial.row.id: text for trial, text in failures.items()},
            '\n'.join(lines))


def values(trials):
    return [store.read_result(trial)['metrics']['abs_rel']
            for trial in trials]


def without_threads(calls):
    return [line.rsplit(' ', 1)[0] for line in calls]


def test_one_training_for_two_rows_and_nothing_twice(root, trials, calls):
    assert run(root, trials())[0] == {}
    assert without_threads(calls()) == FIRST
    # 2 letters / 2 steps, / 1 step, 4 letters / 2 steps
    assert values(trials()) == [1, 2, 2]
    result = store.read_result(trials()[0])
    assert (result['train_frames'], result['test_frames']) == (12, 4)
    assert result['metrics'] == dict(abs_rel=1, delta1=.5)
    assert run(root, trials()) == ({}, '')
    assert calls() == []


def test_jobs_share_the_cores(root, trials, calls, monkeypatch):
    monkeypatch.setattr(execution, 'available_cores', lambda: 7)
    failures, text = run(root, trials((0, 1)), jobs=3)
    assert failures == {}
    lines = calls()
    assert sorted(without_threads(lines)) == sorted(
        FIRST + [line[:-1] + '1' for line in FIRST])
    assert {line.split()[-1] for line in lines} == {'2'}
    assert values(trials((0, 1))) == pytest.approx([1, 2, 2, 1.05, 2.1, 2.05])
    assert '[4/4 trainings, ' in text and 'eta 0:00:00]' in text


@pytest.mark.parametrize('visible, names', [
    (None, ['0', '1', '2']), ('5,3,4', ['5', '3', '4']),
    ('MIG-a,MIG-b,MIG-c', ['MIG-a', 'MIG-b', 'MIG-c'])])
def test_jobs_take_the_gpu_that_has_the_fewest(
        root, monkeypatch, visible, names):
    monkeypatch.setattr(execution.torch.cuda, 'device_count', lambda: 3)
    if visible is None:
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    else:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    made = Execution(str(root), 5)

    def choose(name):
        return names.index(made._choose_device(name)['CUDA_VISIBLE_DEVICES'])

    assert [choose(name) for name in 'abcde'] == [0, 1, 2, 0, 1]
    assert choose('f') == 2 and choose('g') == 0
    # two that end on one device
    for name in 'be':
        made._devices[1].remove(name)
    assert [choose(name) for name in 'hi'] == [1, 1]


@pytest.mark.parametrize('count', [0, 2])
def test_gpus_are_free_again_after_the_jobs(
        root, trials, tmp_path, monkeypatch, count):
    monkeypatch.setattr(execution.torch.cuda, 'device_count', lambda: count)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    # an error frees it, too
    monkeypatch.setenv('TOOL_FAILS', 'test_cccc')
    for name in ('train', 'test'):
        tool = root / 'tools' / f'{name}.py'
        tool.write_text(
            f'import os\nwith open({str(tmp_path / "seen")!r}, "a") as file:'
            '\n    print(os.environ.get("CUDA_VISIBLE_DEVICES"), file=file)'
            '\n' + tool.read_text())
    made = Execution(str(root), 1, lambda line: None)
    assert len(made.run(trials())) == 1
    assert made._devices == [[]] * count
    # one job at a time has the first
    assert (tmp_path / 'seen').read_text().split() == [
        '0' if count else 'None'] * 5


@pytest.mark.parametrize('which, failing', [
    ('train_bb', {'bb', 'bb-1'}), ('test_cccc', {'cccc'})])
def test_a_failing_row_leaves_the_others_alone(
        root, trials, monkeypatch, calls, which, failing):
    monkeypatch.setenv('TOOL_FAILS', which)
    failures, text = run(root, trials())
    assert set(failures) == failing
    for message in (*failures.values(), text):
        assert 'no data for ' + which.split('_')[1] in message
        assert 'ended with status 1' in message
    assert {trial.row.id for trial in trials()
            if store.read_result(trial) is None} == failing
    monkeypatch.delenv('TOOL_FAILS')
    calls()
    assert run(root, trials())[0] == {}
    assert without_threads(calls()) == (
        FIRST[:3] if which == 'train_bb' else FIRST[4:])
    assert values(trials()) == [1, 2, 2]


@pytest.mark.parametrize('module, name, message', [
    (execution, 'count_train_frames', 'ValueError: no scenes'),
    (store, 'read_metrics', 'ValueError: no scenes'),
    (store, 'begin_training', "KeyError: 'id'")])
def test_an_unforeseen_error_leaves_the_other_rows_alone(
        root, trials, monkeypatch, module, name, message):
    original = getattr(module, name)

    def fail(thing):
        # a config, a folder or a trial of bb
        if '/bb/' in getattr(thing, 'folder', str(thing)) or (
                getattr(thing, 'name', None) == 'bb'):
            raise KeyError('id') if name == 'begin_training' else (
                ValueError('no scenes'))
        return original(thing)

    monkeypatch.setattr(module, name, fail)
    failures, text = run(root, trials())
    assert failures.pop('bb') == message
    assert f': FAILED\n{message}' in text
    assert set(failures.values()) <= {message} and 'cccc' not in failures
    assert values(trials()[2:]) == [2]


@pytest.mark.parametrize('amp', [False, True])
def test_mixed_precision_is_asked_of_the_training(root, trials, amp):
    for tool in ('train', 'test'):
        path = root / 'tools' / f'{tool}.py'
        path.write_text('import sys\nprint(sys.argv)\n' + path.read_text())
    failures, _ = run(root, trials(amp=amp))
    assert failures == {}
    for name, asked in (('train.log', amp), ('test.log', False)):
        with open(os.path.join(trials()[0].folder, name)) as file:
            assert ("'--amp'" in file.read()) == asked


def test_a_training_without_its_last_checkpoint_is_an_error(root, trials):
    (root / 'tools' / 'train.py').write_text('')
    failures, _ = run(root, trials())
    assert 'left no iter_5.pth' in failures['bb']


def test_changed_settings_are_run_again_and_said(root, trials, calls):
    run(root, trials())
    calls()

    def load(path):
        cfg = load_config(path)
        if cfg.name == 'cccc':
            cfg.lr = 1
        return cfg

    _, text = run(root, trials(load=load))
    assert without_threads(calls()) == FIRST[3:]
    assert '7/cccc seed 0: its config or pretrained weights have' in text
    assert 'train_old1' in text


def start(root, trials, errors):
    """Run the trials in a process group of their own; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        # a shell's background jobs, and what they start, ignore it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        Execution(str(root)).run(trials)
    except BaseException as error:
        errors.write_text(type(error).__name__)
    finally:
        os._exit(0)


def wait_for(condition):
    end = time.time() + 60
    while not condition():
        assert time.time() < end
        time.sleep(.02)


@pytest.mark.parametrize('hangs, finished', [
    ('train_bb', 0), ('test_bb', 1), ('train_cccc', 3), ('test_cccc', 4)])
def test_killed_anywhere_it_goes_on_to_the_same_results(
        root, trials, calls, tmp_path, monkeypatch, hangs, finished):
    monkeypatch.setenv('TOOL_HANGS', hangs)
    pid = start(root, trials(), tmp_path / 'errors.txt')
    log = tmp_path / 'calls.txt'
    wait_for(lambda: log.exists() and 'hangs' in log.read_text())
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    monkeypatch.delenv('TOOL_HANGS')
    calls()
    assert run(root, trials())[0] == {}
    assert without_threads(calls()) == FIRST[finished:]
    assert values(trials()) == [1, 2, 2]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f'/proc/{pid}/stat') as file:
        return file.read().rsplit(')', 1)[1].split()[0] != 'Z'


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs /proc')
def test_ctrl_c_ends_the_running_tool(root, trials, tmp_path, monkeypatch):
    monkeypatch.setenv('TOOL_HANGS', 'train_bb')
    # a child that says who it is, and outlives the signal to its parent
    tool = root / 'tools' / 'train.py'
    tool.write_text(f'open({str(tmp_path / "pid")!r}, "w").write('
                    f'str(__import__("os").getpid()))\n' + tool.read_text())
    errors = tmp_path / 'errors.txt'
    command = start(root, trials(), errors)
    log = tmp_path / 'calls.txt'
    wait_for(lambda: log.exists() and 'hangs' in log.read_text())
    pid = int((tmp_path / 'pid').read_text())
    assert alive(pid)
    os.kill(command, signal.SIGINT)
    wait_for(lambda: os.waitpid(command, os.WNOHANG)[0])
    assert errors.read_text() == 'KeyboardInterrupt'
    assert not alive(pid)


def test_two_commands_wait_for_each_other(root, trials, tmp_path, calls):
    fcntl = pytest.importorskip('fcntl')
    folder = trials()[0].train_folder
    os.makedirs(folder)
    with open(os.path.join(folder, 'lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = []
        thread = threading.Thread(target=Execution(
            str(root), 1, lines.append).run, args=[trials()])
        thread.start()
        wait_for(lambda: lines)
        assert 'another command works there' in lines[0]
        assert calls() == []
    thread.join(60)
    assert values(trials()) == [1, 2, 2]


def test_progress_is_what_the_log_says_last(tmp_path):
    log = tmp_path / 'train.log'
    log.write_text('a\nIter(train) [  2/40]\nIter(train) [ 10/40] eta\n')
    assert execution._share_done(str(log), 40) == .25
    assert execution._share_done(str(tmp_path / 'none'), 40) == 0


def test_a_full_disk_fails_the_row_and_the_next_run_goes_on(
        root, trials, calls, monkeypatch):
    from genpercept_mm.utils import files
    full = [True]

    def write_bytes(path, content):
        if full[0] and path.endswith('bb/seed0/result.json'):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        files.write_bytes(path, content)

    monkeypatch.setattr(store, 'write_bytes', write_bytes)
    failures, text = run(root, trials())
    assert set(failures) == {'bb'}
    assert 'No space left on device' in failures['bb'] and (
        'No space left on device' in text)
    full[0] = False
    calls()
    assert run(root, trials())[0] == {}
    assert without_threads(calls()) == FIRST[1:2]
    assert values(trials()) == [1, 2, 2]
