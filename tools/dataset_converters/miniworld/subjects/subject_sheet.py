"""Contact sheets of subjects with their labels."""
import json
import os.path as osp

import numpy as np

from .pair_sets import PARAMETERS_JSON, ROOTS, plan_frames
from ..sheets import arrange, pick_evenly, read_tile, write_sheet

_PER_ROW = 4


def subject_sheet(out_dir, path, max_frames=24):
    """Draw frames as picture | label, four per row, one kind after another.

    Args:
        out_dir (str): Folder that holds the finished data sets.
        path (str): Picture to write, for example ``sheet.png``.
        max_frames (int): Number of frames of each kind to show, evenly
            spaced. Defaults to 24.

    Raises:
        FileNotFoundError: If the folder has no data set, or a frame is
            missing.
        ValueError: If the picture cannot be written.
    """
    sheets = []
    for kind, name in ROOTS.items():
        root = osp.join(out_dir, name)
        note = osp.join(root, PARAMETERS_JSON)
        if osp.isfile(note):
            with open(note) as file:
                made = json.load(file)
            frames = plan_frames(kind, made['num_frames'], made['seed'],
                                 made['frames_per_room'])
            sheets.append(arrange(
                [_frame_pair(root, frame)
                 for frame in pick_evenly(frames, max_frames)], _PER_ROW))
    if not sheets:
        raise FileNotFoundError(
            f'subject_sheet: {out_dir} holds neither '
            f'{" nor ".join(ROOTS.values())} with a {PARAMETERS_JSON}; build '
            'a data set first.')
    # the two data sets may have been made in different sizes
    width = max(sheet.shape[1] for sheet in sheets)
    write_sheet('subject_sheet', path, np.vstack([
        np.pad(sheet, [(0, 0), (0, width - sheet.shape[1]), (0, 0)])
        for sheet in sheets]))


def _frame_pair(root, frame):
    """Return (H, 2 W, 3) uint8 BGR: picture and label of a frame."""
    return np.hstack([read_tile('subject_sheet', osp.join(root, name))
                      for name in (frame.image, frame.label)])
