import json
import os.path as osp
import runpy
import sys

import cv2
import miniworld.persons
import miniworld.rooms
import miniworld.subjects
import pytest

FOLDER = 'tools/dataset_converters'
RENDERING = dict(num_frames=100, seed=0, frames_per_room=4, width=128,
                 height=96)
# the older name of each command, its builder and overview, and the arguments
# of the builder by default
COMMANDS = dict(
    rooms=('mini_hypersim', miniworld.rooms, 'build_rooms', 'room_sheet',
           dict(RENDERING, spp=24)),
    subjects=('mini_objects', miniworld.subjects, 'build_subjects',
              'subject_sheet', dict(RENDERING, spp=12, kind='all')),
    persons=('mini_people', miniworld.persons, 'build_persons',
             'skeleton_sheet', dict(num_frames=600, seed=0)))


@pytest.fixture
def run(monkeypatch):
    def run(name, *arguments):
        path = osp.join(FOLDER, f'{name}.py')
        monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
        runpy.run_path(path, run_name='__main__')
    return run


@pytest.mark.parametrize('command', COMMANDS)
@pytest.mark.parametrize('older', [False, True])
def test_options_reach_the_builder_and_the_overview(command, older, run,
                                                    monkeypatch):
    name, module, build, draw, defaults = COMMANDS[command]
    start = (name, ) if older else ('miniworld', command)
    calls = []
    for function in (build, draw):
        monkeypatch.setattr(
            module, function,
            lambda *args, name=function, **kwargs: calls.append(
                (name, args, kwargs)))
    run(*start)
    assert calls == [(build, (f'data/{name}', ), defaults)]
    calls.clear()
    others = {key: value + 1 for key, value in defaults.items()
              if isinstance(value, int)}
    if 'kind' in defaults:
        others['kind'] = 'dis'
    run(*start, '--out-dir', 'a', '--sheet', 'b.png', '--sheet-frames', 3,
        *(part for key, value in others.items()
          for part in (f'--{key.replace("_", "-")}', value)))
    assert calls == [(build, ('a', ), others), (draw, ('a', 'b.png', 3), {})]


def test_set_and_sheet_are_written(run, tmp_path, capfd):
    arguments = ('miniworld', 'persons', '--out-dir', tmp_path / 'set',
                 '--num-frames', 3, '--seed', 4, '--sheet',
                 tmp_path / 'sheet.png', '--sheet-frames', 2)
    run(*arguments)
    assert 'drew 3 frames' in ''.join(capfd.readouterr())
    for split, count in (('train', 2), ('val', 1)):
        with open(tmp_path / 'set' / 'annotations'
                  / f'person_keypoints_{split}.json') as file:
            assert len(json.load(file)['images']) == count
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape[0] == 640
    with open(tmp_path / 'set' / 'mini_people.json') as file:
        assert json.load(file)['seed'] == 4
    run('mini_people', *arguments[2:])
    assert 'nothing to do' in ''.join(capfd.readouterr())


def test_defaults_are_those_of_the_documents(run, capsys):
    with pytest.raises(SystemExit, match='0'):
        run('mini_people', '--help')
    shown = ' '.join(capsys.readouterr().out.split())
    for default in ('data/mini_people', '600', '0'):
        assert f'(default: {default})' in shown


def test_bad_arguments_are_named(run, tmp_path, capsys):
    with pytest.raises(ValueError, match='num_frames must be at least 2'):
        run('miniworld', 'persons', '--out-dir', tmp_path / 'set',
            '--num-frames', 1)
    with pytest.raises(SystemExit, match='2'):
        run('miniworld', 'persons', '--num-frames', 'many')
    assert "invalid int value: 'many'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match='2'):
        run('miniworld')
    assert 'required: {rooms,subjects,persons,patterns}' in (
        capsys.readouterr().err)


def test_persons_need_neither_mitsuba_nor_mmseg(run_python, tmp_path):
    """Importing the data sets of the package takes seconds."""
    run_python('-c', f'''
import runpy, sys
sys.modules['mitsuba'] = None
sys.argv = ['miniworld.py', 'persons', '--out-dir', {str(tmp_path)!r},
            '--num-frames', '2']
sys.path.insert(0, {FOLDER!r})
runpy.run_path({osp.join(FOLDER, 'miniworld.py')!r}, run_name='__main__')
assert 'genpercept_mm.datasets' not in sys.modules
''', hosts=False)
