"""Where, and by how much, a quantity differs from its label.

All functions take and return NumPy arrays. H and W are height and width;
pixels without a valid label are NaN in the result.
"""
import numpy as np

from genpercept_mm.utils.affine_fit import fit_scale_and_shift


def align(values, reference, mask):
    """Fit ``scale * values + shift`` to a reference by least squares.

    Args:
        values (np.ndarray): (H, W).
        reference (np.ndarray): (H, W).
        mask (np.ndarray): (H, W) bool, the pixels to fit.

    Returns:
        np.ndarray: (H, W) float64, the aligned values of all pixels. Constant
        values become the mean of the reference; all pixels are NaN if
        ``mask`` is empty.
    """
    values = np.asarray(values, float)
    if not mask.any():
        return np.full(values.shape, np.nan)
    scale, shift = fit_scale_and_shift(
        values[mask], np.asarray(reference, float)[mask])
    return scale * values + shift


def relative_depth_error(depth, label, mask):
    """Compare an affine-invariant depth with a metric one.

    Args:
        depth (np.ndarray): (H, W), up to scale and shift.
        label (np.ndarray): (H, W) depth in metres.
        mask (np.ndarray): (H, W) bool, True where the label is valid.

    Returns:
        np.ndarray: (H, W) ``|aligned - label| / label``.
    """
    return _relative_error(depth, _where(mask, label), mask)


def relative_disparity_error(disparity, label, mask):
    """Compare an affine-invariant disparity with a metric depth.

    Args:
        disparity (np.ndarray): (H, W), up to scale and shift.
        label (np.ndarray): (H, W) depth in metres.
        mask (np.ndarray): (H, W) bool, True where the label is valid.

    Returns:
        np.ndarray: (H, W) ``|aligned - 1 / label| * label``; the alignment is
        in disparity.
    """
    return _relative_error(disparity, 1 / _where(mask, label), mask)


def angular_error(normals, label, mask):
    """Measure the angle between normals of any length.

    Args:
        normals (np.ndarray): (H, W, 3).
        label (np.ndarray): (H, W, 3), in the same frame.
        mask (np.ndarray): (H, W) bool, True where the label is valid.

    Returns:
        np.ndarray: (H, W) degrees in [0, 180].
    """
    normals, label = np.asarray(normals, float), np.asarray(label, float)
    # unlike the arc cosine, exact for small angles
    angles = np.arctan2(
        np.linalg.norm(np.cross(normals, label), axis=2),
        (normals * label).sum(axis=2))
    return _where(mask, np.degrees(angles))


def absolute_error(values, label, mask):
    """Take the absolute difference.

    Args:
        values (np.ndarray): (H, W).
        label (np.ndarray): (H, W), in the same unit.
        mask (np.ndarray): (H, W) bool, True where the label is valid.

    Returns:
        np.ndarray: (H, W) ``|values - label|``.
    """
    return np.abs(np.asarray(values, float) - _where(mask, label))


def _where(mask, values):
    return np.where(mask, np.asarray(values, float), np.nan)


def _relative_error(values, reference, mask):
    return np.abs(align(values, reference, mask) - reference) / reference
