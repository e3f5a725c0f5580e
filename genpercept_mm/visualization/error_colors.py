"""Colours of error maps."""
import numpy as np


def colorize_error(error, limit):
    """Draw an error map (H, W), not negative or NaN, as (H, W, 3) uint8 RGB.

    Errors of ``limit`` or more get the last colour of matplotlib's 'viridis';
    NaN is black.
    """
    from matplotlib import colormaps
    known = np.isfinite(error)
    share = np.clip(np.where(known, error, 0) / limit, 0, 1)
    return colormaps['viridis'](share, bytes=True)[..., :3] * known[..., None]
