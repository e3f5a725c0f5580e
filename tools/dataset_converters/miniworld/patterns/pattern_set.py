"""Write pictures of patterns into a folder, as ``000000.jpg`` and so on."""
import os.path as osp

import cv2
import numpy as np
from mmengine.logging import print_log

from .drawing import draw_pattern
from ..building import (
    check_numbers,
    claim_folder,
    incomplete,
    report_finished,
    tracked,
    write_jpeg,
)
from ..sheets import arrange, pick_evenly, read_tile, write_sheet

PARAMETERS_JSON = 'mini_patterns.json'

#: Version of the recipe; counts up whenever the same parameters would give
#: other pictures.
RECIPE = 1

TITLE = 'mini patterns'

_QUALITY = 95
_PER_ROW = 6


def picture_path(root, number):
    """Name the file of a picture, whether or not it exists."""
    return osp.join(root, f'{number:06d}.jpg')


def build_patterns(out_dir, num_frames=600, seed=0, width=128, height=96):
    """Make a set of pictures, or what an interrupted call left to do.

    Args:
        out_dir (str): Target folder; created if missing.
        num_frames (int): Number of pictures. Defaults to 600.
        seed (int): A different seed gives different pictures. Defaults to 0.
        width (int): In pixels. Defaults to 128.
        height (int): In pixels. Defaults to 96.

    Returns:
        int: Number of pictures made by this call.

    Raises:
        ValueError: If an argument is out of range, or the folder holds a
            set that was made with other parameters, or another data set.
    """
    parameters = dict(recipe=RECIPE, num_frames=num_frames, seed=seed,
                      width=width, height=height)
    check_numbers('build_patterns', parameters, seed=0, width=8, height=8)
    claim_folder('build_patterns', out_dir, PARAMETERS_JSON, parameters,
                 ('*.jpg', ))
    todo = incomplete(range(num_frames),
                      lambda number: [picture_path(out_dir, number)])
    if not todo:
        report_finished(TITLE, out_dir, num_frames)
        return 0
    for number in tracked(todo, TITLE):
        picture = draw_pattern(
            np.random.default_rng([seed, number]), height, width)
        # colours at full resolution: half of it would blur edges
        write_jpeg(picture_path(out_dir, number), picture, _QUALITY,
                   cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                   cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    print_log(f'{TITLE}: drew {len(todo)} frames into {out_dir}.')
    return len(todo)


def pattern_sheet(out_dir, path, max_frames=24):
    """Draw frames into one picture.

    Args:
        out_dir (str): Folder of a finished set.
        path (str): Picture to write, for example ``sheet.png``.
        max_frames (int): Number of frames to show. Defaults to 24.

    Raises:
        FileNotFoundError: If a frame is missing.
        ValueError: If the picture cannot be written.
    """
    tiles, number = [], 0
    while osp.isfile(picture_path(out_dir, number)):
        tiles.append(picture_path(out_dir, number))
        number += 1
    if not tiles:
        read_tile('pattern_sheet', picture_path(out_dir, 0))
    write_sheet('pattern_sheet', path, arrange(
        [read_tile('pattern_sheet', tile)
         for tile in pick_evenly(tiles, max_frames)], _PER_ROW))
