import json
import runpy
import sys

import cv2
import pytest

TOOL = 'tools/dataset_converters/mini_people.py'


@pytest.fixture
def tool(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
        runpy.run_path(TOOL, run_name='__main__')
    return run


def test_set_and_sheet_are_written(tool, tmp_path, capfd):
    arguments = ('--out-dir', tmp_path / 'set', '--num-frames', 3, '--seed',
                 4, '--sheet', tmp_path / 'sheet.png', '--sheet-frames', 2)
    tool(*arguments)
    assert 'drew 3 frames' in ''.join(capfd.readouterr())
    for split, count in (('train', 2), ('val', 1)):
        with open(tmp_path / 'set' / 'annotations'
                  / f'person_keypoints_{split}.json') as file:
            assert len(json.load(file)['images']) == count
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape[0] == 640
    with open(tmp_path / 'set' / 'mini_people.json') as file:
        assert json.load(file)['seed'] == 4
    tool(*arguments)
    assert 'nothing to do' in ''.join(capfd.readouterr())


def test_defaults_are_those_of_the_documents(tool, capsys):
    with pytest.raises(SystemExit, match='0'):
        tool('--help')
    shown = ' '.join(capsys.readouterr().out.split())
    for default in ('data/mini_people', '600', '0'):
        assert f'(default: {default})' in shown


def test_bad_arguments_are_named(tool, tmp_path, capsys):
    with pytest.raises(ValueError, match='num_frames must be at least 2'):
        tool('--out-dir', tmp_path / 'set', '--num-frames', 1)
    with pytest.raises(SystemExit, match='2'):
        tool('--num-frames', 'many')
    assert "invalid int value: 'many'" in capsys.readouterr().err
