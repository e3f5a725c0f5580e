"""Contact sheets of rooms with their labels."""
import csv
import os.path as osp
from typing import Dict, Optional

import cv2
import numpy as np

from genpercept_mm.datasets import HypersimDataset
from genpercept_mm.datasets.io.hypersim_io import (
    SPLIT_CSV,
    frame_path,
    read_hdf5,
)

from ..sheets import arrange, pick_evenly, write_sheet

_PER_ROW = 2


def room_sheet(data_root: str,
               path: str,
               max_frames: int = 24,
               palette: Optional[np.ndarray] = None) -> None:
    """Draw frames as colour | distance | normals | classes, two per row.

    Distances run from blue (near) to red (far) in each frame; normals are
    shown as (n + 1) / 2. Pixels outside the room are black.

    Args:
        data_root (str): Folder of a finished data set.
        path (str): Picture to write, for example ``sheet.png``.
        max_frames (int): Number of frames to show, evenly spaced.
            Defaults to 24.
        palette (np.ndarray, optional): (40, 3) RGB colours of the NYU40
            ids 1..40. Defaults to None, which takes the palette of
            ``HypersimDataset``.

    Raises:
        FileNotFoundError: If the folder has no finished data set.
        ValueError: If the picture cannot be written.
    """
    if palette is None:
        palette = HypersimDataset.METAINFO['palette']
    colors = np.vstack([np.zeros((1, 3)), palette]).astype(np.uint8)
    split_csv = osp.join(data_root, SPLIT_CSV)
    if not osp.isfile(split_csv):
        raise FileNotFoundError(
            f'room_sheet: {split_csv} does not exist; finish the data '
            'set first.')
    with open(split_csv, newline='') as file:
        rows = list(csv.DictReader(file))
    write_sheet('room_sheet', path, arrange(
        [_frame_strip(data_root, row, colors)
         for row in pick_evenly(rows, max_frames)], _PER_ROW)[..., ::-1])


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
