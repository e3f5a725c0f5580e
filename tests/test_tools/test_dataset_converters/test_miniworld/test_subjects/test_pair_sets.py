import json
import os
import shutil
import sys

import cv2
import numpy as np
import pytest
from miniworld.rooms.furnishing import make_room
from miniworld.rooms.primitives import NYU40_IDS
from miniworld.subjects import build_subjects, pair_sets, subject_sheet
from miniworld.subjects.pair_sets import (
    compose_shot,
    plan_frames,
    split_frames,
)

TINY = dict(width=16, height=12, spp=2)
MATTING = ('P3M-10k/train/blurred_image',
           'P3M-10k/validation/P3M-500-P/blurred_image',
           'P3M-10k/validation/P3M-500-NP/original_image')
DIS = tuple(f'DIS5K/{name}/im' for name in (
    'DIS-TR', 'DIS-VD', 'DIS-TE1', 'DIS-TE2', 'DIS-TE3', 'DIS-TE4'))


@pytest.fixture(scope='module', autouse=True)
def bare_rooms_for_dis():
    """Rooms of DIS5K without furniture, which are built much faster."""

    def bare(seed, index, views):
        room = make_room(seed, index, views)
        if index >= 200000:
            shell = [NYU40_IDS[name] for name in ('wall', 'floor', 'ceiling')]
            room.primitives = [part for part in room.primitives
                               if part.semantic in shell
                               or part.material.emission]
        return room

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_sets, 'make_room', bare)
        yield


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    pytest.importorskip('mitsuba')
    root = str(tmp_path_factory.mktemp('objects') / 'set')
    assert build_subjects(root, 'matting', 3, **TINY) == 3
    assert build_subjects(root, 'dis', 6, **TINY) == 6
    return root


def _files(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names)


def _read(path):
    with open(path, 'rb') as file:
        return file.read()


def test_folders_are_those_of_the_publishers(finished):
    expected = []
    for folder in MATTING + DIS:
        parent, images = os.path.split(folder)
        labels = 'gt' if images == 'im' else 'mask'
        names = [name[:-4] for name in os.listdir(
            os.path.join(finished, folder))]
        assert len(names) == 1
        expected += [f'{folder}/{names[0]}.jpg',
                     f'{parent}/{labels}/{names[0]}.png']
    expected += ['P3M-10k/mini_objects.json', 'DIS5K/mini_objects.json']
    assert _files(finished) == sorted(expected)


def test_pictures_are_rgb_and_labels_are_8_bit_grey(finished):
    for name in _files(finished):
        image = cv2.imread(os.path.join(finished, name),
                           cv2.IMREAD_UNCHANGED)
        if name.endswith('.jpg'):
            assert image.shape == (12, 16, 3) and image.dtype == np.uint8
            assert image.std() > 5
        elif name.endswith('.png'):
            assert image.shape == (12, 16) and image.dtype == np.uint8
            assert 0.01 < image.mean() / 255 < 0.9
            assert image.max() > 60


def test_names_are_in_the_style_of_the_publishers():
    for frame in plan_frames('matting', 20, 0, 4):
        stem = os.path.basename(frame.image)
        assert stem[:2] == 'p_' and int(stem[2:-4], 16) == frame.number
    for frame in plan_frames('dis', 20, 0, 4):
        group, _, number, title, last = os.path.basename(
            frame.image)[:-4].split('#')
        assert group == '1' and title and int(number) == frame.subject + 1
        assert int(last) == frame.number


@pytest.mark.parametrize('kind, counts', [
    ('matting', [70, 15, 15]), ('dis', [70, 10, 5, 5, 5, 5])])
def test_shares_of_the_splits(kind, counts):
    assert split_frames(kind, 100) == counts
    frames = plan_frames(kind, 100, 0, 4)
    assert len(frames) == len({f.image for f in frames}) == 100
    folders = [os.path.dirname(f.image) for f in frames]
    assert [folders.count(f) for f in dict.fromkeys(folders)] == counts
    for number in range(len(counts), 40):
        shared = split_frames(kind, number)
        assert sum(shared) == number and min(shared) >= 1


@pytest.mark.parametrize('kind', ['matting', 'dis'])
def test_no_room_and_no_subject_is_in_two_splits(kind):
    frames = plan_frames(kind, 60, 0, 4)
    rooms, views = {}, set()
    for frame in frames:
        rooms.setdefault(os.path.dirname(frame.image), set()).add(
            frame.room)
        views.add((frame.room, frame.view))
    assert len(views) == len(frames)
    splits = list(rooms.values())
    for k, one in enumerate(splits):
        assert all(not one & other for other in splits[k + 1:])
    # the number of the frame seeds its subject
    assert [f.number for f in frames] == list(range(60))
    room = make_room(0, frames[0].room, 4)
    one, two = (compose_shot(kind, frames[0]._replace(number=number), room,
                             0, 4 / 3) for number in (0, 1))
    assert len(one.subject) != len(two.subject) or not np.allclose(
        [p.to_world for p in one.subject], [p.to_world for p in two.subject])


def test_kinds_and_mini_hypersim_have_different_rooms():
    rooms = [{f.room for f in plan_frames(kind, 100, 0, 4)}
             for kind in ('matting', 'dis')]
    assert not rooms[0] & rooms[1]
    assert min(rooms[0] | rooms[1]) > 10000


def test_test_sets_of_dis_get_more_complex():
    frames = plan_frames('dis', 100, 0, 4)
    for level in (1, 2, 3, 4):
        assert {f.detail for f in frames
                if f'DIS-TE{level}/' in f.image} == {level}
    assert {f.detail for f in frames if 'DIS-TR' in f.image} == {1, 2, 3, 4}
    subjects = [f.subject for f in frames if 'DIS-TE' in f.image]
    assert subjects[:5] * 4 == subjects and len(set(subjects[:5])) == 5


def test_every_subject_is_in_training_and_not_seldom():
    for kind, number, least in (('dis', 14, 1), ('matting', 7, 1)):
        seen = [f.subject for f in plan_frames(kind, 100, 0, 4)
                if 'DIS-TR' in f.image or 'train' in f.image]
        assert set(seen) == set(range(number))
        assert min(map(seen.count, seen)) >= least


def test_three_of_four_subjects_of_dis_are_solid_and_sharp():
    frames = plan_frames('dis', 100, 0, 4)
    training = [f for f in frames if 'DIS-TR' in f.image]
    assert [f.subject >= 11 for f in training] == (
        [False, True, True, True] * 18)[:70]
    shot = compose_shot('dis', training[1], make_room(
        0, training[1].room, 4), 0, 4 / 3)
    assert shot.aperture == 0 and not np.any(shot.slide)


@pytest.mark.parametrize('kind', ['matting', 'dis'])
def test_frames_depend_on_their_plan_only(kind):
    for frame in plan_frames(kind, 100, 0, 4)[5::31]:
        # an interrupted build composes a frame without those before it
        room = make_room(0, frame.room, 4)
        shots = [compose_shot(kind, frame, room, 0, 4 / 3) for _ in range(2)]
        for name in ('subject', 'room'):
            one, two = (np.array([part.to_world for part in getattr(
                shot, name)]) for shot in shots)
            assert len(one) and np.array_equal(one, two)
        assert np.array_equal(shots[0].camera.position,
                              shots[1].camera.position)


def test_finished_sets_are_left_alone_without_mitsuba(finished, capfd,
                                                      monkeypatch):
    monkeypatch.setitem(sys.modules, 'mitsuba', None)
    before = {name: os.stat(os.path.join(finished, name)).st_mtime_ns
              for name in _files(finished)}
    assert build_subjects(finished, 'matting', 3, **TINY) == 0
    assert build_subjects(finished, 'dis', 6, **TINY) == 0
    shown = ''.join(capfd.readouterr())
    assert 'already holds all 3 frames' in shown
    assert 'already holds all 6 frames' in shown
    assert before == {name: os.stat(os.path.join(finished, name)).st_mtime_ns
                      for name in _files(finished)}


def test_only_missing_frames_are_rendered_and_become_the_same(finished,
                                                              tmp_path):
    root = str(tmp_path / 'set')
    shutil.copytree(finished, root)
    lost = [name for name in _files(root) if 'train/mask' in name
            or 'DIS-TE3/im' in name]
    assert len(lost) == 2
    for name in lost:
        os.remove(os.path.join(root, name))
    assert build_subjects(root, 'matting', 3, **TINY) == 1
    assert build_subjects(root, 'dis', 6, **TINY) == 1
    assert _files(root) == _files(finished)
    # labels are the same on every run, bit by bit
    for name in _files(root):
        if name.endswith('.png'):
            assert _read(os.path.join(root, name)) == _read(
                os.path.join(finished, name)), name


def test_other_parameters_are_refused(finished):
    for name, value in (('width', 20), ('seed', 5), ('num_frames', 4)):
        with pytest.raises(ValueError, match=f'{name} must be .*another '
                                             'folder or delete'):
            build_subjects(finished, **{
                **TINY, 'kind': 'matting', 'num_frames': 3, name: value})


def test_foreign_data_sets_are_not_touched(tmp_path):
    (tmp_path / 'DIS5K' / 'DIS-TR').mkdir(parents=True)
    with pytest.raises(ValueError, match='must not hold another data set'):
        build_subjects(str(tmp_path), 'dis', 6, **TINY)
    assert _files(tmp_path) == []


@pytest.mark.parametrize('arguments, message', [
    (dict(kind='dis', num_frames=5), 'num_frames must be at least 6'),
    (dict(kind='matting', num_frames=2), 'num_frames must be at least 3'),
    (dict(width=0), 'width must be at least 1'),
    (dict(seed=-1), 'seed must be at least 0'),
    (dict(kind='pose'), "kind must be 'all', 'matting' or 'dis'")])
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_subjects(str(tmp_path / 'set'), **arguments)
    assert not (tmp_path / 'set').exists()


def test_parameters_are_noted(finished):
    with open(os.path.join(finished, 'DIS5K', 'mini_objects.json')) as file:
        noted = json.load(file)
    assert noted['num_frames'] == 6 and noted['spp'] == 2
    assert noted['frames_per_room'] == 4 and 'recipe' in noted


def test_sheet_shows_picture_and_label_of_both_kinds(finished, tmp_path):
    path = str(tmp_path / 'out' / 'sheet.png')
    subject_sheet(finished, path)
    sheet = cv2.imread(path)
    # 3 frames of one kind, then 6 of the other, four per row
    assert sheet.shape == (3 * 12, 4 * 2 * 16, 3)
    folder = os.path.join(finished, 'P3M-10k', 'train', 'mask')
    label = cv2.imread(os.path.join(folder, os.listdir(folder)[0]))
    assert np.array_equal(sheet[:12, 16:32], label)
    assert (sheet[:12, 96:] == 0).all()


def test_sheet_of_nothing_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='neither P3M-10k nor DIS5K'):
        subject_sheet(str(tmp_path), 'sheet.png')
