import os
import os.path as osp
import re
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from glob import glob

import cv2
import h5py
import numpy as np
import pytest
import torch
from benchmarking import protocols
from conftest import ROOT, write_hypersim
from reproduction import store

from genpercept_mm.datasets.io.hypersim_io import frame_path

TOOL = 'tools/analysis_tools/reproduce.py'
# one training for both
ROWS = ('dmp_beta-1-1', 'baseline')
READING = '<!-- reading -->\nAs expected.\n<!-- /reading -->'
RESULT = dict(
    metrics=dict(abs_rel=.1, delta1=.9), hardware='CPU', torch='2',
    train_frames=8, test_frames=8, date='2026-01-01', train_seconds=1,
    test_seconds=1)
DATES = re.compile(r'^- (date|seconds).*\n', re.M)


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    """A checkout with eight tiny frames in each split of its mini data."""
    copy = tmp_path_factory.mktemp('copy')
    for name in ('genpercept_mm', 'configs', 'tools'):
        shutil.copytree(osp.join(ROOT, name), copy / name,
                        ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    data = str(copy / 'data' / 'mini_ablations')
    write_hypersim(data, frames=8)
    rng = np.random.default_rng(0)
    for scene in ('ai_001_001', 'ai_002_001', 'ai_003_001'):
        for frame in range(8):
            path = frame_path(data, scene, 'cam_00', frame, 'depth_meters')
            with h5py.File(path, 'w') as file:
                file['dataset'] = np.add.outer(
                    np.linspace(rng.uniform(2, 4), 1, 48),
                    np.linspace(0, rng.uniform(0, 2), 64)).astype(np.float16)
    return copy


def arguments(work_dir):
    return ['1', '--max-iters', '2', '--rows', *ROWS, '--work-dir',
            str(work_dir), '--out', str(work_dir / 'table.md')]


def start(copy, work_dir):
    return subprocess.Popen(
        [sys.executable, TOOL, *arguments(work_dir)], cwd=copy,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
        env=dict(os.environ, PYTHONPATH=str(copy), PYTHONWARNINGS='ignore',
                 OMP_NUM_THREADS='1'))


def finish(process):
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output[-5000:]
    return output


def table(work_dir):
    """The written table without what differs between runs."""
    with open(work_dir / 'table.md') as file:
        text, count = DATES.subn('', file.read())
    assert count
    return text.replace(READING, '<!-- reading -->\n<!-- /reading -->')


@contextmanager
def files_of_at_most(size):
    """Let writes of this process fail as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def call(monkeypatch, *options, tool=TOOL):
    """Run the tool in this process; returns its exit status."""
    monkeypatch.setattr(signal, 'signal', lambda *args: None)
    monkeypatch.setattr(sys, 'argv', [str(tool), *options])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(tool), run_name='__main__')
    return stop.value.code


@pytest.mark.nightly
@pytest.mark.slow
def test_a_killed_run_gives_the_table_of_an_unbroken_one(
        copy, tmp_path, monkeypatch):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    output = finish(start(copy, whole))
    assert '[1/1 trainings, ' in output and '- 2 of 24 rows have' in output
    expected = table(whole)
    cells = [line.split(' | ') for line in expected.splitlines()
             if line.startswith(('| DMP, (1, 1) |', '| Our baseline |'))]
    # ten steps equal one, as in the paper
    assert cells[0][2:4] == cells[1][2:4] and 0 < float(cells[0][2]) < 2
    assert '- frames: 8 for training, 16 for testing\n' in expected
    assert '- training: 2 iterations with batches of ' in expected
    assert cv2.imread(str(whole / 'table.png')) is not None

    process = start(copy, broken)
    pattern = str(broken / '*' / '1' / 'baseline' / 'seed0' / 'train'
                  / 'iter_2.pth')
    while not glob(pattern):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not glob(str(broken / '*' / '1' / '*' / 'seed0' / 'result.json'))
    checkpoint, = glob(pattern)
    before = os.stat(checkpoint).st_mtime_ns
    path = broken / 'table.md'
    path.write_text(f'# Old\n{READING}\n')
    finish(start(copy, broken))
    assert os.stat(checkpoint).st_mtime_ns == before
    assert READING in path.read_text()
    assert table(broken) == expected

    # Python would keep the beginning of a module's bytecode
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    with files_of_at_most(1000):
        assert '[Errno 27] File too large' in call(
            monkeypatch, *arguments(broken), '--no-run', tool=copy / TOOL)
    assert table(broken) == expected
    assert not glob(str(broken / '*.part'))


@pytest.mark.parametrize('options, message', [
    (['7'], "there is no table '7'; choose from 1, 2, 3, 4, 5, 12, or 11"),
    (['5', '--rows', 'x'], 'table 5 has no row x; its rows are:\n  baseline\n'
     '  taskonomy-cityscapes'),
    (['5', '--no-run', '--out', 'LICENSE'], 'LICENSE exists and has 0')])
def test_bad_input_is_refused_before_anything_runs(
        monkeypatch, options, message):
    assert message in call(monkeypatch, *options)


@pytest.mark.parametrize('option, values', [
    ('--jobs', ['0']), ('--max-iters', ['-1']), ('--repeats', ['0']),
    ('--shape', ['64', '0'])])
def test_counts_below_one_are_usage_errors(
        monkeypatch, capsys, option, values):
    assert call(monkeypatch, '5', '--list', option, *values) == 2
    assert re.search(rf'error: argument {option}.*: -?\d is not above 0',
                     capsys.readouterr().err)


def head(path):
    """Return what stands above the rows of a table."""
    return path.read_text().split('## Rows')[0]


def test_a_seed_given_twice_counts_once(monkeypatch, tmp_path):
    out = tmp_path / 'table.md'
    assert call(monkeypatch, '5', '--no-run', '--seeds', '1', '0', '1',
                '--out', str(out), '--work-dir', str(tmp_path)) == 0
    assert '- results: 0 of 4, rows times seeds\n- seeds: 1, 0\n' in head(out)
    assert '--seeds 1 0`' in head(out)


def test_a_richer_table_is_not_replaced_by_a_narrower_run(
        monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(store, 'read_result', lambda trial: RESULT)
    out, beside = tmp_path / 'table.md', tmp_path / 'table.new.md'
    options = ['5', '--no-run', '--out', str(out), '--seeds']
    assert call(monkeypatch, *options, '0', '1', '2') == 0
    assert '- results: 6 of 6, ' in head(out)
    rich = out.read_text().replace(
        '<!-- reading -->\n<!-- /reading -->', READING)
    out.write_text(rich)
    capsys.readouterr()
    assert call(monkeypatch, *options, '1') == 0
    assert out.read_text() == rich
    assert '- results: 2 of 2, ' in head(beside)
    assert READING in beside.read_text()
    assert (f'{out} has 6 results and is left as it is, as this table has 2. '
            'Give --seeds all') in capsys.readouterr().out
    # as many are no loss
    beside.unlink()
    assert call(monkeypatch, *options, '3', '4', '5') == 0
    assert '- seeds: 3, 4, 5\n' in head(out) and READING in out.read_text()
    assert not beside.exists()


def test_a_plot_goes_with_its_table(monkeypatch, tmp_path):
    monkeypatch.setattr(store, 'read_result', lambda trial: RESULT)
    out = tmp_path / 'table.md'
    out.write_text(f'# Old\n- results: 99 of 99\n{READING}\n')
    assert call(monkeypatch, '12', '--no-run', '--out', str(out)) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        'table.md', 'table.new.md', 'table.new.png'}
    assert '](table.new.png)' in (tmp_path / 'table.new.md').read_text()


@pytest.mark.parametrize('scale, cuda, precision', [
    ('paper', True, 'mixed precision (fp16)'), ('paper', False, 'fp32'),
    ('mini', True, 'fp32')])
def test_the_papers_scale_trains_in_mixed_precision(
        monkeypatch, tmp_path, scale, cuda, precision):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    out = tmp_path / 'table.md'
    assert call(monkeypatch, '5', '--no-run', '--scale', scale, '--out',
                str(out), '--work-dir', str(tmp_path)) == 0
    assert re.search(r'^- training: .*, in (.*)$', head(out), re.M)[1] == (
        precision)


@pytest.mark.parametrize('scale', ['mini', 'paper'])
def test_fewer_iterations_shorten_the_learning_rates_schedule(scale):
    load_config = runpy.run_path(TOOL)['load_config']
    whole = load_config('table1/baseline.py', scale, None)
    total = whole.train_cfg.max_iters
    short = load_config('table1/baseline.py', scale, total // 4)
    assert short.train_cfg.max_iters == total // 4
    assert [phase.end for phase in short.param_scheduler] == [
        round(phase.end / 4) for phase in whole.param_scheduler]


def test_the_runtime_table_through_the_command_line(tmp_path, monkeypatch):
    """Measuring itself has tests of its own."""
    out = tmp_path / 'table.md'
    calls = []

    def measure(*args):
        calls.append(args[:5])
        return dict.fromkeys(
            protocols.SETTINGS, protocols.Measurement([1., 2., 4.], 3.))

    monkeypatch.setattr(protocols, 'measure', measure)
    assert call(monkeypatch, '11', '--arch', 'mini', '--shape', '64', '96',
                '--device', 'cpu', '--out', str(out)) == 0
    assert calls == [('mini', [64, 96], 'fp32', 'cpu', 3)]
    text = out.read_text()
    assert '| One step | 2.000 | 1.000 to 4.000 | 1.00 | 0.43 |' in text
    assert '--shape 64 96 --dtype fp32 --arch mini --repeats 3' in text
