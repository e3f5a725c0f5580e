"""Contact sheets: some frames of a data set in one picture."""
import os.path as osp

import cv2
import numpy as np

from genpercept_mm.utils.files import write_bytes
from genpercept_mm.utils.pictures import encode_picture


def pick_evenly(items, count):
    """Choose some items, spread evenly over all.

    Args:
        items (Sequence): At least one.
        count (int): How many to choose at most.

    Returns:
        list: Items in their order.
    """
    places = np.linspace(0, len(items) - 1, min(count, len(items)))
    return [items[int(place)] for place in np.unique(places.round())]


def arrange(tiles, per_row):
    """Put pictures side by side, and the rows below each other.

    Args:
        tiles (list[np.ndarray]): (H, W, 3) each, of one size.
        per_row (int): Number of pictures in a row; the last row is filled
            up with black ones.

    Returns:
        np.ndarray: (rows * H, per_row * W, 3).
    """
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % per_row)
    return np.vstack([np.hstack(tiles[k:k + per_row])
                      for k in range(0, len(tiles), per_row)])


def write_sheet(function, path, sheet):
    """Write a contact sheet.

    Args:
        function (str): Name of the function that drew it, for errors.
        path (str): Picture to write; its folder is made when missing.
        sheet (np.ndarray): (H, W, 3) uint8, BGR.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If OpenCV does not know such files.
    """
    try:
        content = encode_picture(sheet[..., ::-1], osp.splitext(path)[1])
    except ValueError as error:
        raise ValueError(f'{function}: path must be a picture file, got {path}'
                         '; use a name like sheet.png.') from error
    write_bytes(path, content)


def read_tile(function, path):
    """Read a picture of a frame.

    Args:
        function (str): Name of the function that needs it, for errors.
        path (str): Its file.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.

    Raises:
        FileNotFoundError: If the file does not exist.
    """
    picture = cv2.imread(path)
    if picture is None:
        raise FileNotFoundError(f'{function}: {path} does not exist; finish '
                                'the data set first.')
    return picture
