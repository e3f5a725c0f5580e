import csv
import json
import os
import shutil
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from miniworld.rooms import (
    build_rooms,
    room_sheet,
)
from miniworld.rooms.furnishing import make_room
from miniworld.rooms.hypersim_set import (
    FRAME_KINDS,
    plan_frames,
    split_rooms,
)
from miniworld.rooms.primitives import Material
from miniworld.rooms.render import RoomRenderer

from genpercept_mm.datasets.io.hypersim_io import (
    SPLIT_CSV,
    frame_path,
    read_hdf5,
    tone_map,
)

TINY = dict(num_frames=3, width=16, height=12, spp=2, frames_per_room=2)
PALETTE = np.arange(120).reshape(40, 3)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    pytest.importorskip('mitsuba')
    root = str(tmp_path_factory.mktemp('mini') / 'set')
    assert build_rooms(root, **TINY) == 3
    return root


def _mtimes(root):
    return {os.path.join(folder, name):
            os.stat(os.path.join(folder, name)).st_mtime_ns
            for folder, _, names in os.walk(root) for name in names}


def _rows(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def test_layout_is_that_of_hypersim(finished):
    geometry = os.path.join(finished, 'ai_900_001', 'images',
                            'scene_cam_00_geometry_hdf5')
    assert sorted(os.listdir(geometry))[:6] == [
        f'frame.0000.{kind}.hdf5' for kind in (
            'depth_meters', 'normal_cam', 'normal_world', 'position',
            'render_entity_id', 'semantic')]
    expected = dict(
        color=((12, 16, 3), 'float32'), depth_meters=((12, 16), 'float32'),
        normal_cam=((12, 16, 3), 'float32'),
        normal_world=((12, 16, 3), 'float32'),
        position=((12, 16, 3), 'float32'), semantic=((12, 16), 'int16'),
        semantic_instance=((12, 16), 'int32'),
        render_entity_id=((12, 16), 'int32'))
    for kind, (shape, dtype) in expected.items():
        array = read_hdf5(frame_path(finished, 'ai_900_002', 'cam_00', 0,
                                     kind))
        assert array.shape == shape and array.dtype == dtype, kind


def test_preview_is_the_tone_mapped_colour(finished):
    def path(kind):
        return frame_path(finished, 'ai_900_001', 'cam_00', 1, kind)
    shown = cv2.imread(path('tonemap'))[..., ::-1].astype(int)
    made = tone_map(read_hdf5(path('color')),
                    read_hdf5(path('render_entity_id'))).astype(int)
    # JPEG halves the resolution of the colours
    assert np.abs(shown - made).mean(axis=-1).mean() < 8
    assert np.abs(shown.mean((0, 1)) - made.mean((0, 1))).max() < 3


def test_camera_files_hold_the_poses(finished):
    detail = os.path.join(finished, 'ai_900_001', '_detail')
    room = make_room(0, 0, TINY['frames_per_room'])
    folder = os.path.join(detail, 'cam_00')
    positions = read_hdf5(f'{folder}/camera_keyframe_positions.hdf5')
    rotations = read_hdf5(f'{folder}/camera_keyframe_orientations.hdf5')
    indices = read_hdf5(f'{folder}/camera_keyframe_frame_indices.hdf5')
    assert indices.tolist() == [0, 1]
    for k, camera in enumerate(room.cameras):
        assert np.allclose(positions[k], camera.position)
        assert np.allclose(rotations[k], camera.rotation)
        offset = read_hdf5(frame_path(finished, 'ai_900_001', 'cam_00', k,
                                      'position')) - positions[k]
        distance = read_hdf5(frame_path(finished, 'ai_900_001', 'cam_00', k,
                                        'depth_meters'))
        hit = np.isfinite(distance)
        assert hit.any()
        assert np.allclose(np.linalg.norm(offset, axis=-1)[hit],
                           distance[hit], atol=1e-4)
    assert _rows(f'{detail}/metadata_scene.csv') == [
        dict(parameter_name='meters_per_asset_unit', parameter_value='1.0')]
    assert _rows(f'{detail}/metadata_cameras.csv') == [
        dict(camera_name='cam_00')]


def test_camera_parameters_are_the_standard_camera(finished):
    rows = _rows(os.path.join(finished, 'metadata_camera_parameters.csv'))
    assert [r['scene_name'] for r in rows] == ['ai_900_001', 'ai_900_002']
    row = {key: value for key, value in rows[0].items()
           if key not in ('scene_name', 'use_camera_physical')}
    number = {key: float(value) for key, value in row.items()}
    # the values of Apple's file, for 4:3 pictures
    assert np.isclose(number['M_cam_from_uv_00'], 0.57735029)
    assert np.isclose(number['M_cam_from_uv_11'], 0.43301272)
    assert number['M_cam_from_uv_22'] == -1
    assert np.isclose(number['M_proj_00'], 1.73205075)
    assert np.isclose(number['M_proj_11'], 2.309401)
    assert np.isclose(number['M_proj_22'], -1.002002)
    assert np.isclose(number['M_proj_23'], -2.002002)
    assert number['M_proj_32'] == -1
    assert number['settings_output_img_width'] == 16
    assert number['settings_units_info_meters_scale'] == 1


def test_splits_are_by_room_and_never_share_one():
    frames = plan_frames(100, 4)
    assert len(frames) == 100
    scenes = {split: {f.scene for f in frames if f.split == split}
              for split in ('train', 'val', 'test')}
    assert [len(scenes[s]) for s in scenes] == [20, 3, 2]
    assert not scenes['train'] & (scenes['val'] | scenes['test'])
    assert not scenes['val'] & scenes['test']
    assert [split_rooms(n) for n in (1, 2, 3)] == [
        ['train'], ['train', 'val'], ['train', 'val', 'test']]


def test_last_room_may_have_fewer_frames(finished):
    rows = _rows(os.path.join(finished, SPLIT_CSV))
    assert [(r['scene_name'], r['frame_id'], r['split_partition_name'])
            for r in rows] == [('ai_900_001', '0', 'train'),
                               ('ai_900_001', '1', 'train'),
                               ('ai_900_002', '0', 'val')]
    assert {r['included_in_public_release'] for r in rows} == {'True'}


def test_finished_set_is_left_alone_without_mitsuba(finished, capfd,
                                                    monkeypatch):
    monkeypatch.setitem(sys.modules, 'mitsuba', None)
    before = _mtimes(finished)
    assert build_rooms(finished, **TINY) == 0
    assert 'already holds all 3 frames' in ''.join(capfd.readouterr())
    assert _mtimes(finished) == before


@pytest.fixture
def copied(finished, tmp_path):
    """The finished set, for a test that damages it."""
    return shutil.copytree(finished, str(tmp_path / 'set'))


def test_only_the_frame_with_a_missing_file_is_rendered(copied):
    root = copied
    before = _mtimes(root)
    lost = frame_path(root, 'ai_900_001', 'cam_00', 1, 'semantic')
    content = read_hdf5(lost)
    os.remove(lost)
    assert build_rooms(root, **TINY) == 1
    after = _mtimes(root)
    assert after.keys() == before.keys()
    assert np.array_equal(read_hdf5(lost), content)
    frames = {path for path in before
              if f'{os.sep}images{os.sep}' in path}
    assert len(frames) == 3 * len(FRAME_KINDS)
    changed = {path for path in frames if before[path] != after[path]}
    assert changed == {frame_path(root, 'ai_900_001', 'cam_00', 1, kind)
                       for kind in FRAME_KINDS}


def test_unwritten_split_file_is_written_without_rendering(copied,
                                                           monkeypatch):
    monkeypatch.setitem(sys.modules, 'mitsuba', None)
    os.remove(os.path.join(copied, SPLIT_CSV))
    assert build_rooms(copied, **TINY) == 0
    assert len(_rows(os.path.join(copied, SPLIT_CSV))) == 3


def test_other_parameters_are_refused(finished):
    for name, value in (('width', 20), ('seed', 5), ('num_frames', 4)):
        with pytest.raises(ValueError, match=f'{name} must be .*another '
                                             'folder or delete'):
            build_rooms(finished, **{**TINY, name: value})


def test_foreign_data_sets_are_not_touched(tmp_path):
    (tmp_path / 'ai_001_001').mkdir()
    with pytest.raises(ValueError, match='must not hold another data set'):
        build_rooms(str(tmp_path), **TINY)
    assert os.listdir(tmp_path) == ['ai_001_001']


@pytest.mark.parametrize('name', ['num_frames', 'width', 'spp'])
def test_numbers_out_of_range_are_named(tmp_path, name):
    with pytest.raises(ValueError, match=f'{name} must be at least 1'):
        build_rooms(str(tmp_path / 'set'), **{**TINY, name: 0})
    assert not (tmp_path / 'set').exists()


def test_parameters_are_noted(finished):
    with open(os.path.join(finished, 'mini_hypersim.json')) as file:
        noted = json.load(file)
    assert {k: noted[k] for k in TINY} == TINY and noted['seed'] == 0


def test_default_rooms_show_many_classes_in_train_and_val():
    """Training rooms are looked at until their classes are enough."""
    pytest.importorskip('mitsuba')
    rooms = {split: {frame.room for frame in plan_frames(100, 4)
                     if frame.split == split} for split in ('train', 'val')}
    val = set().union(*map(_visible_classes, rooms['val']))
    assert len(val) >= 12
    train = set()
    for room in sorted(rooms['train']):
        if len(train) >= 20 and val <= train:
            break
        train |= _visible_classes(room)
    assert len(train) >= 20 and val <= train


def _visible_classes(index):
    """Return the NYU40 ids that the pictures of a default room show."""
    room = make_room(0, index, 4)
    # geometry does not depend on materials, and plain ones are built faster
    room.primitives = [replace(part, material=Material())
                       for part in room.primitives]
    renderer = RoomRenderer(room)
    classes = set()
    for camera in room.cameras:
        labels = renderer.cast_geometry(camera, 24, 18)['semantic']
        assert labels.min() >= -1 and labels.max() <= 40
        classes |= set(np.unique(labels).tolist())
    return classes - {-1}


def test_sheet_shows_four_pictures_per_frame(finished, tmp_path):
    path = str(tmp_path / 'out' / 'sheet.png')
    room_sheet(finished, path, max_frames=3, palette=PALETTE)
    sheet = cv2.imread(path)[..., ::-1]
    assert sheet.shape == (2 * 12, 2 * 4 * 16, 3)
    labels = read_hdf5(frame_path(finished, 'ai_900_001', 'cam_00', 0,
                                  'semantic'))
    shown = sheet[:12, 48:64]
    assert np.array_equal(shown[labels > 0],
                          PALETTE[labels[labels > 0] - 1])
    assert (sheet[12:, 64:] == 0).all()


def test_sheet_of_an_unfinished_set_names_the_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=SPLIT_CSV):
        room_sheet(str(tmp_path), 'sheet.png', palette=PALETTE)
