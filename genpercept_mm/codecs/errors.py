"""How much a quantity differs from its label, pixel by pixel.

The error functions take a quantity and its label, both (H, W) or (H, W, 3),
and a mask, (H, W) bool, that is True where the label is valid. They return
(H, W) float64, NaN where the mask is False.
"""
import numpy as np

from genpercept_mm.utils.affine_fit import fit_scale_and_shift


def align(values, reference, mask):
    """Fit ``scale * values + shift`` to a reference by least squares.

    All arrays are (H, W); the pixels in ``mask`` (bool) are fitted, and all
    are aligned. The float64 result is the mean of the reference if the values
    are constant, and NaN if the mask is empty.
    """
    values = np.asarray(values, float)
    if not mask.any():
        return np.full(values.shape, np.nan)
    scale, shift = fit_scale_and_shift(
        values[mask], np.asarray(reference, float)[mask])
    return scale * values + shift


def relative_depth_error(depth, label, mask):
    """Compare a depth up to scale and shift with one in metres, as
    ``|aligned - label| / label``."""
    return _relative_error(depth, _where(mask, label), mask)


def relative_disparity_error(disparity, label, mask):
    """Compare a disparity up to scale and shift, aligned with ``1 / label``,
    with a depth in metres, as ``|aligned - 1 / label| * label``."""
    return _relative_error(disparity, 1 / _where(mask, label), mask)


def angular_error(normals, label, mask):
    """Measure the angle in degrees between normals of any length."""
    normals, label = np.asarray(normals, float), np.asarray(label, float)
    # unlike the arc cosine, exact for small angles
    angles = np.arctan2(
        np.linalg.norm(np.cross(normals, label), axis=2),
        (normals * label).sum(axis=2))
    return _where(mask, np.degrees(angles))


def absolute_error(values, label, mask):
    """Take the absolute difference of values in the same unit."""
    return np.abs(np.asarray(values, float) - _where(mask, label))


def _where(mask, values):
    return np.where(mask, np.asarray(values, float), np.nan)


def _relative_error(values, reference, mask):
    return np.abs(align(values, reference, mask) - reference) / reference
