import os

import pytest

from genpercept_mm.cli.main import main


@pytest.mark.parametrize('arguments, message', [
    (['none.pth', '--out', 'a.onnx'], 'none.pth'),
    (['a.pth', '--out', 'a.jpg'], 'suffix must be one of'),
    (['a.pth', '--out', 'a.pt2', '--size', '64', '90'], 'multiples of 8')])
def test_errors_are_one_line(arguments, message, tmp_path, monkeypatch,
                             capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['export', *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith('genpercept export: ') and message in error
    assert error.count('\n') == 1
    assert not os.listdir(tmp_path)


@pytest.mark.nightly
def test_a_checkpoint_becomes_a_file(trained_mini, tmp_path, capsys):
    out = str(tmp_path / 'model.pt2')
    assert main(['export', os.path.join(trained_mini, 'iter_2.pth'),
                 '--out', out, '--size', '64', '96']) == 0
    printed = capsys.readouterr().out
    assert '64 x 96, batch 1: largest difference' in printed
    assert os.path.getsize(out) > 1e6
