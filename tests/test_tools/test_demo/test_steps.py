import json
import os

import pytest
from conftest import ROOT
from demo import steps


def test_root_is_the_repository():
    assert steps.ROOT == ROOT


def test_seconds_add_up_over_runs(tmp_path):
    assert steps.add_seconds(str(tmp_path), data=2, train=3) == dict(
        data=2, train=3)
    assert steps.add_seconds(str(tmp_path), train=4, test=1) == dict(
        data=2, train=7, test=1)
    assert steps.add_seconds(str(tmp_path)) == dict(data=2, train=7, test=1)


def test_only_the_last_checkpoint_counts_as_finished(tmp_path):
    for name in ('iter_10.pth', 'best_mIoU_iter_20.pth'):
        (tmp_path / name).touch()
    assert steps.finished_checkpoint(str(tmp_path), 20) is None
    assert steps.finished_checkpoint(str(tmp_path), 10) == str(
        tmp_path / 'iter_10.pth')


def test_evaluation_returns_the_newest_result(tmp_path, monkeypatch):
    commands = []

    def run(step, *command):
        commands.append((step, *command))
        (tmp_path / 'b' / 'b.json').write_text(json.dumps(dict(mIoU=2)))
        return 5.0

    for name in ('a', 'b', 'pictures'):
        (tmp_path / name).mkdir()
    (tmp_path / 'a' / 'a.json').write_text(json.dumps(dict(mIoU=1)))
    os.utime(tmp_path / 'a' / 'a.json', (0, 0))
    monkeypatch.setattr(steps, 'run', run)
    assert steps.evaluate('c.py', 'mIoU', 'w.pth', str(tmp_path),
                          '--show-dir', 'p') == (2, 5.0)
    assert commands == [(
        'evaluate', 'tools/test.py', 'c.py', 'w.pth', '--work-dir',
        str(tmp_path), '--out', str(tmp_path / 'predictions'), '--show-dir',
        'p')]
    assert not (tmp_path / 'pictures').exists()


def test_failing_steps_are_errors(monkeypatch):
    monkeypatch.setattr(steps.subprocess, 'run', _refuse)
    with pytest.raises(RuntimeError, match='refused'):
        steps.run('train', 'tools/train.py', 'c.py')


def _refuse(command, cwd, env, check):
    assert command[1:] == ['tools/train.py', 'c.py'] and cwd == ROOT
    assert env['PYTHONPATH'].split(os.pathsep)[0] == ROOT and check
    raise RuntimeError('refused')
