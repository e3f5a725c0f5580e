"""Write rendered rooms in Hypersim's raw layout."""
import csv
import io
import json
import os
import os.path as osp
import sys
import time
from collections import namedtuple
from typing import Dict, List, Optional

import cv2
import numpy as np
from mmengine.logging import print_log
from mmengine.utils import ProgressBar

from genpercept_mm.utils.files import write_bytes

from .primitives import FIELD_OF_VIEW, Room
from .rooms import make_room
from ..hypersim_cameras import CAMERA_CSV
from ..hypersim_layout import (
    SPLIT_COLUMNS,
    SPLIT_CSV,
    frame_path,
    read_hdf5,
    tone_map,
    write_hdf5,
)

PARAMETERS_JSON = 'mini_hypersim.json'
CAMERA_NAME = 'cam_00'
FRAME_KINDS = ('color', 'depth_meters', 'normal_cam', 'normal_world',
               'position', 'render_entity_id', 'semantic',
               'semantic_instance', 'tonemap')

#: Raised when the same parameters would give other rooms or pictures.
RECIPE = 1

# positions are written in metres
_METERS_PER_ASSET_UNIT = 1.0

PlannedFrame = namedtuple('PlannedFrame', 'scene room view split')


def scene_name(room: int) -> str:
    """Name a room as Hypersim names scenes.

    Args:
        room (int): Number of the room, from 0.

    Returns:
        str: ``'ai_900_001'`` for room 0; volumes from 900 on do not exist
        in Hypersim.
    """
    return f'ai_{900 + room // 99:03d}_{room % 99 + 1:03d}'


def split_rooms(num_rooms: int) -> List[str]:
    """Assign whole rooms to splits: about 80 % train, 12 % val, 8 % test.

    Args:
        num_rooms (int): Number of rooms, >= 1.

    Returns:
        list[str]: ``'train'``, ``'val'`` or ``'test'`` per room. Two rooms
        are train and val; from three on no split is empty.
    """
    val = max(round(0.12 * num_rooms), num_rooms >= 2)
    test = max(round(0.08 * num_rooms), num_rooms >= 3)
    return (['train'] * (num_rooms - val - test) + ['val'] * val
            + ['test'] * test)


def plan_frames(num_frames: int, frames_per_room: int) -> List[PlannedFrame]:
    """List the frames of a data set.

    Args:
        num_frames (int): Number of frames, >= 1.
        frames_per_room (int): Views per room; the last room may have fewer.

    Returns:
        list[PlannedFrame]: (scene name, room number, frame id, split).
    """
    num_rooms = -(-num_frames // frames_per_room)
    splits = split_rooms(num_rooms)
    places = [divmod(k, frames_per_room) for k in range(num_frames)]
    return [PlannedFrame(scene_name(room), room, view, splits[room])
            for room, view in places]


def build_mini_hypersim(out_dir: str,
                        num_frames: int = 100,
                        width: int = 128,
                        height: int = 96,
                        spp: int = 24,
                        seed: int = 0,
                        frames_per_room: int = 4) -> int:
    """Render a data set, or finish one that was interrupted.

    Frames whose files all exist are kept. Rooms are split into train, val
    and test as wholes. The split CSV is written last, so a data set that
    has one is complete.

    Args:
        out_dir (str): Target folder, made when missing.
        num_frames (int): Frames in total. Defaults to 100.
        width (int): Pixels per row. Defaults to 128.
        height (int): Rows. Defaults to 96.
        spp (int): Samples per pixel of the colour picture; geometry maps
            are exact with one ray. Defaults to 24.
        seed (int): Other seeds give other rooms. Defaults to 0.
        frames_per_room (int): Views per room. Defaults to 4.

    Returns:
        int: Number of frames rendered by this call.

    Raises:
        ImportError: If frames are missing and Mitsuba is not installed.
        ValueError: If an argument is out of range, or the folder holds a
            data set made with other parameters, or another data set.
    """
    parameters = dict(recipe=RECIPE, num_frames=num_frames, width=width,
                      height=height, spp=spp, seed=seed,
                      frames_per_room=frames_per_room)
    for name, value in parameters.items():
        least = 0 if name == 'seed' else 1
        if value < least:
            raise ValueError(
                f'build_mini_hypersim: {name} must be at least {least}, got '
                f'{value}; change the argument.')
    _claim_folder(out_dir, parameters)
    frames = plan_frames(num_frames, frames_per_room)
    missing = [f for f in frames if not _is_complete(out_dir, f)]
    metadata = [osp.join(out_dir, name) for name in (SPLIT_CSV, CAMERA_CSV)]
    if not missing and all(map(osp.isfile, metadata)):
        print_log(f'mini Hypersim: {out_dir} already holds all {num_frames} '
                  'frames, nothing to do.')
        return 0
    progress = _Progress(len(missing))
    for number in sorted({f.room for f in missing}):
        _render_room(out_dir, make_room(seed, number, frames_per_room),
                     [f for f in missing if f.room == number], parameters,
                     progress)
    write_bytes(osp.join(out_dir, CAMERA_CSV),
                 _camera_csv(frames, width, height))
    write_bytes(osp.join(out_dir, SPLIT_CSV), _csv([SPLIT_COLUMNS] + [
        (f.scene, CAMERA_NAME, f.view, True, '', f.split) for f in frames]))
    print_log(f'mini Hypersim: rendered {len(missing)} of {num_frames} '
              f'frames into {out_dir}.')
    return len(missing)


def _claim_folder(out_dir: str, parameters: Dict[str, int]) -> None:
    """Note the parameters in the folder, or compare them with the note."""
    note = osp.join(out_dir, PARAMETERS_JSON)
    advice = 'choose another folder or delete this one.'
    if osp.isfile(note):
        with open(note) as file:
            existing = json.load(file)
        for name in parameters:
            if existing.get(name) != parameters[name]:
                raise ValueError(
                    f'build_mini_hypersim: {name} must be '
                    f'{existing.get(name)}, as in the data set that '
                    f'{out_dir} holds, got {parameters[name]}; {advice}')
    elif osp.isdir(out_dir) and any(
            name == SPLIT_CSV or name.startswith('ai_')
            for name in os.listdir(out_dir)):
        raise ValueError(
            'build_mini_hypersim: out_dir must not hold another data set, '
            f'got {out_dir}, which has scenes but no {PARAMETERS_JSON}; '
            f'{advice}')
    else:
        write_bytes(note,
                     (json.dumps(parameters, indent=2) + '\n').encode())


def _is_complete(out_dir: str, frame: PlannedFrame) -> bool:
    return all(osp.isfile(_path(out_dir, frame, kind))
               for kind in FRAME_KINDS)


def _path(out_dir: str, frame: PlannedFrame, kind: str) -> str:
    return frame_path(out_dir, frame.scene, CAMERA_NAME, frame.view, kind)


def _render_room(out_dir: str, room: Room, frames: List[PlannedFrame],
                 parameters: Dict[str, int], progress: '_Progress') -> None:
    """Render some views of a room and write them with its metadata."""
    # imported here so that looking at a finished set needs no Mitsuba
    from .render import RoomRenderer
    renderer = RoomRenderer(room)
    size = parameters['width'], parameters['height']
    detail = osp.join(out_dir, frames[0].scene, '_detail')
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
    for frame in frames:
        camera = room.cameras[frame.view]
        noise = np.random.SeedSequence(
            [parameters['seed'], frame.room, frame.view])
        arrays = renderer.render_frame(
            camera, *size, spp=parameters['spp'],
            seed=int(noise.generate_state(1)[0]))
        for kind, array in arrays.items():
            write_hdf5(_path(out_dir, frame, kind), array)
        preview = tone_map(arrays['color'], arrays['render_entity_id'])
        write_bytes(
            _path(out_dir, frame, 'tonemap'),
            cv2.imencode('.jpg', preview[..., ::-1],
                         [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes())
        progress.update()


class _Progress:
    """Draw a bar in a terminal; log a line per tenth elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = time.time()
        self._bar = None
        if total and sys.stdout.isatty():
            self._bar = ProgressBar(total)

    def update(self) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update()
            if self._done == self._total:
                sys.stdout.write('\n')
            return
        if (10 * self._done // self._total
                > 10 * (self._done - 1) // self._total):
            elapsed = time.time() - self._start
            left = elapsed / self._done * (self._total - self._done)
            print_log(f'mini Hypersim: {self._done}/{self._total} frames, '
                      f'{elapsed:.0f} s, {left:.0f} s left')


def _camera_csv(frames: List[PlannedFrame], width: int,
                height: int) -> bytes:
    """Write the standard camera once per scene, with Apple's columns."""
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


def preview_sheet(data_root: str,
                  path: str,
                  max_frames: int = 24,
                  palette: Optional[np.ndarray] = None) -> None:
    """Draw frames as colour | distance | normals | classes, two per row.

    Distance runs from blue (near) to red (far) per frame; normals are
    (n + 1) / 2. Pixels outside the room are black.

    Args:
        data_root (str): A finished data set.
        path (str): Picture to write, for example ``sheet.png``.
        max_frames (int): Frames to show, spread evenly over the set.
            Defaults to 24.
        palette (np.ndarray, optional): (40, 3) RGB colours of the NYU40
            ids 1..40. Defaults to None (that of ``HypersimDataset``).

    Raises:
        FileNotFoundError: If the folder has no finished data set.
        ValueError: If the picture cannot be written.
    """
    if palette is None:
        from ..hypersim import HypersimDataset
        palette = HypersimDataset.METAINFO['palette']
    colors = np.vstack([np.zeros((1, 3)), palette]).astype(np.uint8)
    split_csv = osp.join(data_root, SPLIT_CSV)
    if not osp.isfile(split_csv):
        raise FileNotFoundError(
            f'preview_sheet: {split_csv} does not exist; finish the data '
            'set first.')
    with open(split_csv, newline='') as file:
        rows = list(csv.DictReader(file))
    picks = np.unique(np.linspace(0, len(rows) - 1,
                                  min(max_frames, len(rows))).round())
    strips = [_frame_strip(data_root, rows[int(k)], colors) for k in picks]
    if len(strips) % 2:
        strips.append(np.zeros_like(strips[0]))
    sheet = np.vstack([np.hstack(strips[k:k + 2])
                       for k in range(0, len(strips), 2)])
    os.makedirs(osp.dirname(path) or '.', exist_ok=True)
    if not cv2.imwrite(path, sheet[..., ::-1]):
        raise ValueError(f'preview_sheet: path must be a writable picture '
                         f'file, got {path}; use a name like sheet.png.')


def _frame_strip(data_root: str, row: Dict[str, str],
                 colors: np.ndarray) -> np.ndarray:
    """Return (H, 4 W, 3) uint8 RGB: the four pictures of a frame."""

    def path(kind):
        return frame_path(data_root, row['scene_name'], row['camera_name'],
                          int(row['frame_id']), kind)

    distance = read_hdf5(path('depth_meters'))
    valid = np.isfinite(distance)
    near, far = np.quantile(distance[valid], (0, 1)) if valid.any() else (
        0, 1)
    share = np.where(valid, (distance - near) / max(far - near, 1e-6), 0)
    heat = cv2.applyColorMap((share * 255).astype(np.uint8),
                             cv2.COLORMAP_TURBO)[..., ::-1]
    normals = (read_hdf5(path('normal_cam')) + 1) * 127.5
    labels = np.maximum(read_hdf5(path('semantic')), 0)
    return np.hstack([
        cv2.imread(path('tonemap'))[..., ::-1],
        np.where(valid[..., None], heat, 0).astype(np.uint8),
        np.where(valid[..., None], normals, 0).astype(np.uint8),
        colors[labels]])
