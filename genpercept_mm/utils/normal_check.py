"""Using depth to check whether normals have the axes that they claim."""
from collections import namedtuple
from itertools import product

import numpy as np

from genpercept_mm.utils.normal_axes import AXES

#: signs (tuple[int]): Factors of x, y and z for the best fit.
#: angle, stated_angle (float): Mean angle to the normals of the depth in
#: degrees, with these signs and without them. disagrees (bool): Whether the
#: given normals are clearly wrong.
AxesFit = namedtuple('AxesFit', 'signs angle stated_angle disagrees')

# Signs that differ by less than this, in degrees, are equally good: a wall
# seen from the front does not tell left from right
_TIE = 2.
_CLEARLY = 15.
_LEAST_PIXELS = 100
_WORKING_SIZE = 256
# An edge is a relative change of depth from pixel to pixel above this
_EDGE = 0.05

# Signs of known frames come before others
_CANDIDATES = tuple(dict.fromkeys(
    [*AXES.values(), *product((1, -1), repeat=3)]))


def normals_from_depth(depth, intrinsics=None):
    """Estimate normals by the cross product of neighbouring points.

    ``depth`` (H, W) is in metres along the view axis, 0 or not finite where
    unknown; ``intrinsics`` are (fx, fy, cx, cy) in pixels, or None for a
    horizontal field of view of 60 degrees with the principal point in the
    middle. Return unit normals (H, W, 3), x right, y up, z towards the viewer,
    zero where unknown; and (H, W) bool, True where they are known, which
    excludes edges of the depth and of the image.
    """
    height, width = depth.shape
    if intrinsics is None:
        focal = width / 2 / np.tan(np.pi / 6)
        intrinsics = (focal, focal, (width - 1) / 2, (height - 1) / 2)
    fx, fy, cx, cy = intrinsics
    known = np.isfinite(depth) & (depth > 0)
    depth = np.where(known, depth, 1).astype(np.float64)
    x = (np.arange(width) - cx) / fx
    y = -(np.arange(height)[:, None] - cy) / fy
    points = np.stack([x * depth, y * depth, -depth], axis=-1)
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normals = np.zeros_like(points)
    normals[1:-1, 1:-1] = np.cross(down, across)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals /= np.maximum(length, 1e-12)
    valid = np.zeros_like(known)
    valid[1:-1, 1:-1] = length[1:-1, 1:-1, 0] > 0
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        window = (slice(rows, rows + height - 2),
                  slice(columns, columns + width - 2))
        middle = depth[1:-1, 1:-1]
        valid[1:-1, 1:-1] &= known[window] & (
            abs(depth[window] - middle) < _EDGE * middle)
    valid &= known
    normals[~valid] = 0
    return normals, valid


def normals_disagree_with_depth(depth, normals, mask=None, intrinsics=None):
    """Find the axis signs under which normals fit the depth best.

    ``normals`` (H, W, 3) are supposedly x right, y up, z towards the viewer,
    and zero where unknown. ``mask`` (H, W) bool selects the pixels to use;
    None uses all known ones. For ``depth`` and ``intrinsics``, of which a
    rough guess will do, see `normals_from_depth`. Return the `AxesFit` of the
    best of 8 combinations of signs, or None if there are too few pixels.
    """
    step = max(1, min(depth.shape) // _WORKING_SIZE)
    depth, normals = depth[::step, ::step], normals[::step, ::step]
    if intrinsics is not None:
        intrinsics = [value / step for value in intrinsics]
    reference, valid = normals_from_depth(depth, intrinsics)
    length = np.linalg.norm(normals, axis=-1)
    valid &= np.isfinite(length) & (length > 0.5)
    if mask is not None:
        valid &= mask[::step, ::step]
    if valid.sum() < _LEAST_PIXELS:
        return None
    products = reference[valid] * normals[valid] / length[valid][:, None]
    angles = {
        signs: np.degrees(np.arccos(np.clip(products @ signs, -1, 1))).mean()
        for signs in _CANDIDATES}
    least = min(angles.values())
    best = next(s for s in _CANDIDATES if angles[s] <= least + _TIE)
    stated = angles[1, 1, 1]
    return AxesFit(best, float(angles[best]), float(stated),
                   bool(stated - angles[best] > _CLEARLY))
