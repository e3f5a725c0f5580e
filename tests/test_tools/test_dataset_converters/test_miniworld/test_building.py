import functools
import io
import json

import cv2
import numpy as np
import pytest
from miniworld import building
from mmengine.utils import ProgressBar

PARAMETERS = dict(recipe=2, num_frames=6, seed=0)


def claim(folder, **changes):
    building.claim_folder('build', str(folder), 'note.json',
                          {**PARAMETERS, **changes}, ['scene_*', 'train'])


def test_numbers_are_at_least_one_unless_named():
    building.check_numbers('build', dict(width=1, seed=0), seed=0)
    with pytest.raises(ValueError, match='build: width must be at least 1, '
                       'got 0; change the argument'):
        building.check_numbers('build', dict(seed=0, width=0), seed=0)
    with pytest.raises(ValueError, match='num_frames must be at least 2'):
        building.check_numbers('build', dict(num_frames=1), num_frames=2)


@pytest.mark.parametrize('indent', [None, 2])
def test_folder_is_used_again_with_the_same_parameters(tmp_path, indent):
    note = tmp_path / 'set' / 'note.json'
    building.claim_folder('build', str(tmp_path / 'set'), 'note.json',
                          PARAMETERS, [], indent)
    content = note.read_text()
    assert json.loads(content) == PARAMETERS
    assert (content.count('\n') > 1) == (indent is not None)
    (tmp_path / 'set' / 'train').mkdir()
    claim(tmp_path / 'set')
    assert note.read_text() == content


@pytest.mark.parametrize('changes, message', [
    (dict(num_frames=7), 'build: num_frames must be 6, as in .* got 7'),
    (dict(recipe=3), 'recipe must be 2, as in .* got 3'),
    (dict(spp=4), 'spp must be None')])
def test_folder_of_other_parameters_is_refused(tmp_path, changes, message):
    claim(tmp_path)
    with pytest.raises(ValueError, match=message):
        claim(tmp_path, **changes)


@pytest.mark.parametrize('name', ['scene_1', 'train'])
def test_folder_of_something_else_is_refused_and_named(tmp_path, name):
    folder = tmp_path / 'a[b]'
    (folder / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=rf'got .*a\[b\], which has {name} '
                       'but no note.json; choose another folder'):
        claim(folder)
    assert [path.name for path in folder.iterdir()] == [name]
    (folder / name).rename(folder / 'other')
    claim(folder)


def test_frames_with_a_missing_file_are_incomplete(tmp_path):
    for name in ('a.jpg', 'a.png', 'b.jpg', 'c.png'):
        (tmp_path / name).touch()
    assert building.incomplete('abcd', lambda frame: [
        str(tmp_path / f'{frame}.{end}') for end in ('jpg', 'png')]) == [
            'b', 'c', 'd']


def test_progress_is_a_line_per_tenth(capfd):
    assert list(building.tracked(range(40), 'title')) == list(range(40))
    lines = ''.join(capfd.readouterr()).strip().splitlines()
    assert len(lines) == 10
    assert 'title: 4/40 frames, ' in lines[0] and ' s left' in lines[0]
    assert 'title: 40/40 frames, ' in lines[-1]
    assert list(building.tracked([], 'title')) == []


def test_progress_is_a_bar_in_a_terminal(monkeypatch, capsys):
    output = io.StringIO()
    monkeypatch.setattr(building, 'ProgressBar',
                        functools.partial(ProgressBar, file=output))
    monkeypatch.setattr('sys.stdout.isatty', lambda: True)
    assert list(building.tracked('ab', 'title')) == ['a', 'b']
    assert '2/2' in output.getvalue()
    assert capsys.readouterr().out == '\n'


def test_jpeg_is_rgb(tmp_path):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 255
    building.write_jpeg(str(tmp_path / 'new' / 'a.jpg'), picture, 98)
    read = cv2.imread(str(tmp_path / 'new' / 'a.jpg'))
    assert (read[..., 2] > 245).all() and (read[..., :2] < 10).all()
