"""Convert masks to polygons, exact to the pixel."""
import cv2
import numpy as np


def mask_polygons(mask):
    """Outline a mask along the borders of its pixels.

    Polygons have no holes. A piece with a hole is cut in two through it, so
    together the polygons cover the mask and nothing else.

    Args:
        mask (np.ndarray): (H, W) bool.

    Returns:
        list[list[int]]: The corners of each polygon as x, y, x, y and so on,
        where pixel i covers [i, i + 1); empty for an empty mask.
    """
    polygons = []
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8),
                                            connectivity=4)
    for number in range(1, count):
        piece = pieces == number
        row = _row_of_hole(piece)
        if row is None:
            polygons.append(_trace(piece))
        else:
            for half in (slice(None, row), slice(row, None)):
                part = np.zeros_like(piece)
                part[half] = piece[half]
                polygons += mask_polygons(part)
    return polygons


def mask_box(mask):
    """Return the bounding box of a mask.

    Args:
        mask (np.ndarray): (H, W) bool, not empty.

    Returns:
        list[int]: x, y, width and height in pixels.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return [int(columns[0]), int(rows[0]),
            int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1]


def _row_of_hole(piece):
    """Return a row at which a cut opens a hole; None without a hole."""
    outside = np.pad(~piece, 1, constant_values=True).astype(np.uint8)
    count, regions, boxes, _ = cv2.connectedComponentsWithStats(
        outside, connectivity=8)
    around = regions[0, 0]
    for number in range(1, count):
        if number != around:
            top, height = boxes[number, [cv2.CC_STAT_TOP,
                                         cv2.CC_STAT_HEIGHT]]
            # without the padding
            return int(top - 1 + height // 2)
    return None


def _trace(piece):
    """Walk around a 4-connected mask without holes, keeping it right."""
    padded = np.pad(piece, 1)
    height, width = piece.shape
    inside = padded[1:-1, 1:-1]
    # where steps to the right, down, left and up start
    starts = [inside & ~padded[:-2, 1:-1], inside & ~padded[1:-1, 2:],
              inside & ~padded[2:, 1:-1], inside & ~padded[1:-1, :-2]]
    corner = ((0, 0), (1, 0), (1, 1), (0, 1))
    ways = ((1, 0), (0, 1), (-1, 0), (0, -1))
    steps = {}
    for way, (start, (right, down)) in enumerate(zip(starts, corner)):
        for y, x in np.argwhere(start).tolist():
            steps.setdefault((x + right, y + down), []).append(way)
    # no other piece of the border touches the first corner of the top row
    first = place = min(steps, key=lambda p: (p[1], p[0]))
    last, polygon = None, []
    while True:
        options = steps[place]
        # where two pixels touch only at this corner, turn right to stay at
        # the same one
        way = options[0] if len(options) == 1 else (last + 1) % 4
        if way != last:
            polygon += place
        last = way
        place = place[0] + ways[way][0], place[1] + ways[way][1]
        if place == first:
            return polygon
