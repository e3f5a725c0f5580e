"""Where Hypersim keeps its files, and how they are read and written.

Hypersim (Roberts et al., ICCV 2021, arXiv:2011.02523) ships one HDF5 file per
frame and quantity, each with a single array under the key ``dataset``::

    data_root
    ├── metadata_images_split_scene_v1.csv
    ├── metadata_camera_parameters.csv
    └── ai_VVV_NNN
        ├── _detail/...
        └── images
            ├── scene_cam_XX_final_preview/frame.IIII.tonemap.jpg
            ├── scene_cam_XX_final_hdf5/frame.IIII.color.hdf5
            └── scene_cam_XX_geometry_hdf5/frame.IIII.<quantity>.hdf5
"""
import csv
import io
import os.path as osp
import re
from collections import namedtuple

import numpy as np

from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.files import write_bytes

SPLIT_CSV = 'metadata_images_split_scene_v1.csv'
SPLIT_COLUMNS = ('scene_name', 'camera_name', 'frame_id',
                 'included_in_public_release', 'exclude_reason',
                 'split_partition_name')
CAMERA_CSV = 'metadata_camera_parameters.csv'
CAMERA_COLUMNS = ('scene_name', *(
    f'M_cam_from_uv_{i}{j}' for i in range(3) for j in range(3)))
GEOMETRY_KINDS = ('depth_meters', 'normal_cam', 'normal_world',
                  'normal_bump_cam', 'normal_bump_world', 'position',
                  'render_entity_id', 'semantic', 'semantic_instance')

Frame = namedtuple('Frame', 'scene camera frame')


def frame_path(data_root, scene, camera, frame, kind):
    """Build the path of one file of a frame, such as ('ai_001_001', 'cam_00',
    7). ``kind`` is 'tonemap' (preview JPG), 'color' or one of
    ``GEOMETRY_KINDS``."""
    check_choice('frame_path', 'kind', kind,
                 ('tonemap', 'color', *GEOMETRY_KINDS))
    folder = dict(tonemap='final_preview', color='final_hdf5').get(
        kind, 'geometry_hdf5')
    suffix = 'jpg' if kind == 'tonemap' else 'hdf5'
    return osp.join(data_root, scene, 'images', f'scene_{camera}_{folder}',
                    f'frame.{frame:04d}.{kind}.{suffix}')


def frame_of_path(path):
    """Find the `Frame` of a path built by `frame_path`; None for others."""
    match = re.search(
        r'([^/\\]+)[/\\]images[/\\]scene_(\w+?)_(?:final|geometry)_\w+'
        r'[/\\]frame\.(\d+)\.', path)
    if match is None:
        return None
    return Frame(match[1], match[2], int(match[3]))


def frame_name(path):
    """Name a frame uniquely, because file names repeat in every scene, for
    example ``'ai_001_001_cam_00_fr0007'``; if `frame_path` did not build the
    path, the name is that of the file without its suffix."""
    frame = frame_of_path(path)
    if frame is None:
        return osp.splitext(osp.basename(path))[0]
    return f'{frame.scene}_{frame.camera}_fr{frame.frame:04d}'


def describe_frame(path):
    """Spell out scene, camera and frame of a path for an error message."""
    frame = frame_of_path(path)
    if frame is None:
        return f'file {path}'
    return (f'scene {frame.scene}, camera {frame.camera}, '
            f'frame {frame.frame}')


def _rows(path, columns, origin):
    """Yield the rows of a CSV file that must have some columns."""
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            names, rows = reader.fieldnames or (), list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f'Hypersim: {path} is not CSV in UTF-8 ({error}); '
                         f'expected {origin}. Copy the file again.') from error
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(f'Hypersim: {path} lacks the column(s) {missing}; '
                         f'expected {origin}.')
    for number, row in enumerate(rows, 2):
        if None in (row[name] for name in columns):
            raise ValueError(f'Hypersim: row {number} of {path} is not '
                             'complete; copy the file again.')
        yield row


def read_split_csv(path, split):
    """List the public frames of one split of the official CSV, in its order.

    A missing file raises a FileNotFoundError, a missing column or a split
    without frames a ValueError.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'Hypersim: the split file {path} does not exist; it is '
            f'{SPLIT_CSV} of the ml-hypersim repository (folder '
            'evermotion_dataset/analysis). Copy it there, or set ann_file.')
    required = [name for name in SPLIT_COLUMNS if name != 'exclude_reason']
    frames = [
        Frame(row['scene_name'], row['camera_name'], _number(row, path))
        for row in _rows(path, required, f'the header of {SPLIT_CSV}: '
                         f'{",".join(SPLIT_COLUMNS)}')
        if row['included_in_public_release'] == 'True'
        and row['split_partition_name'] == split]
    if not frames:
        raise ValueError(
            f'Hypersim: {path} lists no public frame of split {split!r}; '
            "splits are 'train', 'val' and 'test'.")
    return frames


def _number(row, path):
    try:
        return int(row['frame_id'])
    except ValueError as error:
        raise ValueError(
            f'Hypersim: {path} has the frame_id {row["frame_id"]!r}; expected '
            'a number. Copy the file again.') from error


def read_cameras(path):
    """Read ``M_cam_from_uv`` of every scene; many are tilted or shifted.

    The dict maps scenes to 3 x 3 nested lists, which take (u, v, 1), u right
    and v up in [-1, 1], to a ray in camera space. A missing column or a value
    that is not a number raises a ValueError.
    """
    cameras = {}
    for row in _rows(path, CAMERA_COLUMNS, f'{CAMERA_CSV} of ml-hypersim '
                     '(contrib/mikeroberts3000)'):
        try:
            values = [float(row[name]) for name in CAMERA_COLUMNS[1:]]
            if not np.isfinite(values).all():
                raise ValueError(f'not finite: {values}')
        except (TypeError, ValueError) as error:
            raise ValueError(
                f'Hypersim: {path}, scene {row["scene_name"]}: '
                f'M_cam_from_uv is incomplete ({error}). Copy the file '
                'again.') from error
        cameras[row['scene_name']] = [
            values[3 * i:3 * i + 3] for i in range(3)]
    return cameras


def read_hdf5(path):
    """Read the array ``dataset`` of a Hypersim HDF5 file, as stored.

    Raise a FileNotFoundError if there is no file, an OSError if it is
    truncated or not HDF5, a KeyError if it does not have this array.
    """
    import h5py
    if not osp.isfile(path):
        raise FileNotFoundError(f'Hypersim: {path} does not exist.')
    try:
        with h5py.File(path, 'r') as file:
            if 'dataset' not in file:
                raise KeyError(
                    f"Hypersim: {path} has no array 'dataset', only "
                    f'{sorted(file)}; it is not a Hypersim file.')
            return file['dataset'][()]
    except KeyError as error:
        if str(path) in str(error):
            raise
        raise _not_hdf5(path, error) from error
    # what a file causes that is damaged inside
    except (OSError, RuntimeError, ValueError, TypeError,
            AttributeError, MemoryError) as error:
        raise _not_hdf5(path, error) from error


def _not_hdf5(path, error):
    return OSError(
        f'Hypersim: {path} cannot be read as HDF5 ({error}); it is probably '
        'truncated. Download or extract it again.')


def write_hdf5(path, array):
    """Write one array as Hypersim does, completely or not at all; the folder
    is created when missing."""
    import h5py
    # not to the disk: when that is full, HDF5 crashes
    content = io.BytesIO()
    with h5py.File(content, 'w') as file:
        file.create_dataset('dataset', data=array, compression='gzip')
    write_bytes(path, content.getvalue())


def tone_map(color, render_entity_id=None):
    """Map linear radiance to a displayable image as Apple's tool does.

    The scale puts the 90th percentile of the brightness of valid pixels,
    those whose entity id is not -1, at 0.8 after a gamma of 2.2. Float
    radiance (H, W, 3) becomes uint8 RGB.
    """
    color = np.nan_to_num(color.astype(np.float32))
    valid = (np.ones(color.shape[:2], bool) if render_entity_id is None
             else render_entity_id != -1)
    gamma, percentile, target = 2.2, 90, 0.8
    scale = 1.0
    if valid.any():
        brightness = color[valid] @ np.array([0.3, 0.59, 0.11], np.float32)
        current = np.percentile(brightness, percentile)
        scale = 0.0 if current < 1e-4 else target**gamma / current
    image = np.clip(np.maximum(scale * color, 0)**(1 / gamma), 0, 1)
    return (image * 255).astype(np.uint8)


def read_color(path):
    """Read ``frame.IIII.color.hdf5`` as (H, W, 3) uint8 RGB, tone-mapped.

    Invalid pixels are those of ``frame.IIII.render_entity_id.hdf5``, if any.
    """
    color = read_hdf5(path)
    entity_path = path.replace('_final_hdf5', '_geometry_hdf5').replace(
        '.color.hdf5', '.render_entity_id.hdf5')
    entity = read_hdf5(entity_path) if osp.isfile(entity_path) else None
    return tone_map(color, entity)
