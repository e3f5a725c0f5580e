"""Write a data set of rendered rooms in Hypersim's raw layout."""
import csv
import io
import os.path as osp
from collections import namedtuple
from typing import Dict, List

import numpy as np
from mmengine.logging import print_log

from genpercept_mm.datasets.io.hypersim_io import (
    CAMERA_CSV,
    SPLIT_COLUMNS,
    SPLIT_CSV,
    frame_path,
    tone_map,
    write_hdf5,
)
from genpercept_mm.utils.files import write_bytes

from .furnishing import make_room
from .primitives import FIELD_OF_VIEW, Room
from ..building import (
    check_numbers,
    claim_folder,
    incomplete,
    report_finished,
    tracked,
    write_jpeg,
)

PARAMETERS_JSON = 'mini_hypersim.json'
CAMERA_NAME = 'cam_00'
FRAME_KINDS = ('color', 'depth_meters', 'normal_cam', 'normal_world',
               'position', 'render_entity_id', 'semantic',
               'semantic_instance', 'tonemap')

#: Version of the recipe; counts up whenever the same parameters would give
#: other rooms or pictures.
RECIPE = 1

_TITLE = 'mini Hypersim'

# positions are written in metres
_METERS_PER_ASSET_UNIT = 1.0

PlannedFrame = namedtuple('PlannedFrame', 'scene room view split')


def scene_name(room: int) -> str:
    """Name a room as Hypersim names scenes.

    Args:
        room (int): Number of the room, from 0.

    Returns:
        str: ``'ai_900_001'`` for room 0; Hypersim has no volumes from 900
        on.
    """
    return f'ai_{900 + room // 99:03d}_{room % 99 + 1:03d}'


def split_rooms(num_rooms: int) -> List[str]:
    """Assign whole rooms to splits: about 80 % train, 12 % val, 8 % test.

    Args:
        num_rooms (int): Number of rooms, >= 1.

    Returns:
        list[str]: ``'train'``, ``'val'`` or ``'test'`` for each room. Two
        rooms are train and val; with three or more no split is empty.
    """
    val = max(round(0.12 * num_rooms), num_rooms >= 2)
    test = max(round(0.08 * num_rooms), num_rooms >= 3)
    return (['train'] * (num_rooms - val - test) + ['val'] * val
            + ['test'] * test)


def plan_frames(num_frames: int, frames_per_room: int) -> List[PlannedFrame]:
    """List the frames of a data set.

    Args:
        num_frames (int): Number of frames, >= 1.
        frames_per_room (int): Number of views of each room; the last room
            may have fewer.

    Returns:
        list[PlannedFrame]: (scene name, room number, frame id, split).
    """
    num_rooms = -(-num_frames // frames_per_room)
    splits = split_rooms(num_rooms)
    places = [divmod(k, frames_per_room) for k in range(num_frames)]
    return [PlannedFrame(scene_name(room), room, view, splits[room])
            for room, view in places]


def build_rooms(out_dir: str,
                num_frames: int = 100,
                width: int = 128,
                height: int = 96,
                spp: int = 24,
                seed: int = 0,
                frames_per_room: int = 4) -> int:
    """Render a data set, or finish one that was interrupted.

    Frames whose files all exist are kept. A room belongs as a whole to train,
    val or test. The split CSV is written last, so a data set that has one is
    complete.

    Args:
        out_dir (str): Target folder; created if missing.
        num_frames (int): Total number of frames. Defaults to 100.
        width (int): Width of the picture in pixels. Defaults to 128.
        height (int): Height of the picture in pixels. Defaults to 96.
        spp (int): Samples per pixel of the colour picture; geometry maps
            are exact with one ray. Defaults to 24.
        seed (int): A different seed gives different rooms. Defaults to 0.
        frames_per_room (int): Number of views of each room. Defaults to 4.

    Returns:
        int: Number of frames rendered by this call.

    Raises:
        ImportError: If frames are missing and Mitsuba is not installed.
        ValueError: If an argument is out of range, or the folder holds a
            data set that was made with other parameters, or another data set.
    """
    parameters = dict(recipe=RECIPE, num_frames=num_frames, width=width,
                      height=height, spp=spp, seed=seed,
                      frames_per_room=frames_per_room)
    check_numbers('build_rooms', parameters, seed=0)
    claim_folder('build_rooms', out_dir, PARAMETERS_JSON, parameters,
                 (SPLIT_CSV, 'ai_*'))
    frames = plan_frames(num_frames, frames_per_room)
    missing = incomplete(frames, lambda frame: [
        _path(out_dir, frame, kind) for kind in FRAME_KINDS])
    metadata = [osp.join(out_dir, name) for name in (SPLIT_CSV, CAMERA_CSV)]
    if not missing and all(map(osp.isfile, metadata)):
        report_finished(_TITLE, out_dir, num_frames)
        return 0
    _render(out_dir, missing, parameters)
    write_bytes(osp.join(out_dir, CAMERA_CSV),
                _camera_csv(frames, width, height))
    write_bytes(osp.join(out_dir, SPLIT_CSV), _csv([SPLIT_COLUMNS] + [
        (f.scene, CAMERA_NAME, f.view, True, '', f.split) for f in frames]))
    print_log(f'{_TITLE}: rendered {len(missing)} of {num_frames} frames '
              f'into {out_dir}.')
    return len(missing)


def _path(out_dir: str, frame: PlannedFrame, kind: str) -> str:
    return frame_path(out_dir, frame.scene, CAMERA_NAME, frame.view, kind)


def _render(out_dir: str, frames: List[PlannedFrame],
            parameters: Dict[str, int]) -> None:
    """Render frames, one room after the other."""
    current = room = renderer = None
    for frame in tracked(frames, _TITLE):
        if frame.room != current:
            # imported here so that a finished set needs no Mitsuba
            from .render import RoomRenderer
            current = frame.room
            room = make_room(parameters['seed'], current,
                             parameters['frames_per_room'])
            renderer = RoomRenderer(room)
            _write_scene(osp.join(out_dir, frame.scene, '_detail'), room)
        noise = np.random.SeedSequence(
            [parameters['seed'], frame.room, frame.view])
        arrays = renderer.render_frame(
            room.cameras[frame.view], parameters['width'],
            parameters['height'], spp=parameters['spp'],
            seed=int(noise.generate_state(1)[0]))
        for kind, array in arrays.items():
            write_hdf5(_path(out_dir, frame, kind), array)
        write_jpeg(_path(out_dir, frame, 'tonemap'), tone_map(
            arrays['color'], arrays['render_entity_id']), 98)


def _write_scene(detail: str, room: Room) -> None:
    """Write the metadata of a scene: its unit and its camera's poses."""
    write_bytes(osp.join(detail, 'metadata_scene.csv'), _csv([
        ('parameter_name', 'parameter_value'),
        ('meters_per_asset_unit', _METERS_PER_ASSET_UNIT)]))
    write_bytes(osp.join(detail, 'metadata_cameras.csv'),
                _csv([('camera_name',), (CAMERA_NAME,)]))
    trajectory = osp.join(detail, CAMERA_NAME)
    write_hdf5(osp.join(trajectory, 'camera_keyframe_positions.hdf5'),
               np.stack([c.position for c in room.cameras]))
    write_hdf5(osp.join(trajectory, 'camera_keyframe_orientations.hdf5'),
               np.stack([c.rotation for c in room.cameras]))
    write_hdf5(osp.join(trajectory, 'camera_keyframe_frame_indices.hdf5'),
               np.arange(len(room.cameras)))


def _camera_csv(frames: List[PlannedFrame], width: int,
                height: int) -> bytes:
    """Describe the standard camera of each scene in Apple's columns."""
    half = np.tan(FIELD_OF_VIEW / 2)
    from_uv = np.diag([half, half * height / width, -1.0])
    near, far = 1.0, 1000.0
    projection = np.zeros((4, 4))
    projection[0, 0] = 1 / half
    projection[1, 1] = width / height / half
    projection[2, 2:] = (np.array([-(far + near), -2 * far * near])
                         / (far - near))
    projection[3, 2] = -1
    header = ['scene_name', 'settings_output_img_height',
              'settings_output_img_width', 'settings_units_info_meters_scale',
              'use_camera_physical', 'settings_camera_fov']
    header += [f'M_cam_from_uv_{i}{j}' for i in range(3) for j in range(3)]
    header += [f'M_proj_{i}{j}' for i in range(4) for j in range(4)]
    values = [float(height), float(width), _METERS_PER_ASSET_UNIT, False,
              FIELD_OF_VIEW, *from_uv.ravel(), *projection.ravel()]
    scenes = dict.fromkeys(f.scene for f in frames)
    return _csv([header] + [[scene, *values] for scene in scenes])


def _csv(rows) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue().encode()
