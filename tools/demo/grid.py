"""A figure of some pictures of an evaluation."""
import os.path as osp
from glob import glob

import mmcv
import numpy as np

from genpercept_mm.utils.pictures import write_png

GRID_ROWS = 6


def draw_grid(pictures, path):
    """Combine some of the pictures that tools/test.py drew.

    Args:
        pictures (str): Folder of the pictures.
        path (str): File to write.
    """
    files = sorted(glob(osp.join(pictures, '**', '*.png'), recursive=True))
    chosen = np.linspace(0, len(files) - 1, min(GRID_ROWS, len(files)))
    rows = [mmcv.imread(files[int(index)]) for index in chosen.round()]
    width = max(row.shape[1] for row in rows)
    white = (255, 255, 255)
    rows = [mmcv.impad(row, shape=(row.shape[0], width), pad_val=white)
            for row in rows]
    write_png(path, mmcv.bgr2rgb(np.concatenate(rows)))
