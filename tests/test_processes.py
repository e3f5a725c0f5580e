"""A forked process is like a started one."""
import json
import os
import signal
import subprocess

import processes
import pytest
from conftest import ROOT, run_python

pytestmark = pytest.mark.skipif(
    not hasattr(os, 'pidfd_open'), reason='no fork server on this system')
WAYS = pytest.mark.parametrize('fresh', [False, True])
SAY = '''
import json, os, sys
print(json.dumps([sys.argv, os.getcwd(), __name__, os.environ['PYTHONPATH'],
                  sys.stdin.read(), [p for p in sys.path if 'site' not in p]]))
os.system('echo from C >&2')
'''


@pytest.mark.parametrize('way', ['-c', '-m', 'script'])
def test_a_fork_sees_what_a_started_process_sees(tmp_path, way):
    (tmp_path / 'say.py').write_text(SAY)
    command = {'-c': ['-c', SAY], '-m': ['-m', 'say'],
               'script': [tmp_path / 'say.py']}[way]
    forked, started = (run_python(
        *command, 'a b', 'c', fresh=fresh, python_path=[tmp_path])
        for fresh in (False, True))
    assert forked.stdout == started.stdout
    assert forked.stderr == started.stderr == 'from C\n'
    assert json.loads(forked.stdout)[:2] == [
        [{'-c': '-c'}.get(way, str(tmp_path / 'say.py')), 'a b', 'c'], ROOT]


@WAYS
@pytest.mark.parametrize('code, status, message', [
    ('sys.exit()', 0, ''), ('sys.exit(7)', 7, ''),
    ('sys.exit("why")', 1, 'why\n'), ('print("x", end="")', 0, ''),
    ('os.kill(os.getpid(), 9)', -signal.SIGKILL, ''),
    ('atexit.register(print, "bye", file=sys.stderr)', 0, 'bye\n')])
def test_exit_status_and_output(fresh, code, status, message):
    done = run_python('-c', f'import atexit, os, sys; {code}', fresh=fresh,
                      check=False)
    assert done.returncode == status
    assert done.stderr == message
    assert done.stdout == ('x' if 'print("x"' in code else '')


@WAYS
def test_an_error_is_shown(fresh):
    with pytest.raises(AssertionError, match='(?s)failed.*ValueError: why'):
        run_python('-c', 'raise ValueError("why")', fresh=fresh)


@WAYS
def test_a_hang_ends_with_its_output(fresh):
    code = ('import os, time; print("here", os.getpid(), flush=True);'
            'time.sleep(500)')
    with pytest.raises(AssertionError, match='longer than 2 s') as caught:
        run_python('-c', code, fresh=fresh, timeout=2)
    assert 'here' in str(caught.value)
    if not fresh:
        assert 'most recent call first' in str(caught.value)


def test_what_a_fork_has_imported():
    code = 'import sys; print(*sys.modules)'
    ours = {'genpercept_mm', 'mmengine', 'mmcv', 'mmseg', 'mmdet', 'mmpose'}
    libraries = set(run_python('-c', code, hosts=False).stdout.split())
    assert not ours & libraries and {'torch', 'diffusers'} < libraries
    assert ours & set(run_python('-c', code).stdout.split()) >= {
        'genpercept_mm', 'mmseg'}


def test_forks_are_independent_and_seeded():
    code = ('import random, numpy, torch; print(random.random(),'
            'numpy.random.rand(), torch.rand(1), hasattr(torch, "mark"));'
            'torch.mark = 1')
    outputs = [run_python('-c', code).stdout for _ in range(2)]
    assert all(output.endswith('False\n') for output in outputs)
    assert outputs[0] != outputs[1]


def test_what_a_fork_starts_is_forked(tmp_path):
    """Through the program that it takes for the interpreter."""
    processes.start()
    python = processes.write_executable(str(tmp_path / 'python'))
    code = ('import os, subprocess, sys; print(sys.argv, os.getcwd(),'
            '"mmseg" in sys.modules, flush=True);'
            'sys.exit(subprocess.run([sys.executable, "-c", "import sys;'
            'print(sys.argv, \'mmseg\' in sys.modules); sys.exit(3)",'
            '"b c"]).returncode)')
    done = subprocess.run([python, '-c', code, 'a'], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.stdout == f"['-c', 'a'] {tmp_path} True\n['-c', 'b c'] True\n"
    assert done.returncode == 3
