"""Relative depth that does not flicker from frame to frame."""
import numpy as np

# Frames are compared on a grid of about this many rows and columns
GRID = 64
# Smaller standard deviations say nothing about the scale
FLAT = 1e-6


class ClipAlignment:
    """Bring each frame's map to the scale and shift of the frames before.

    Scale and shift of a map are arbitrary, and networks choose them anew for
    each frame. Here they follow from the standard deviations and means of map
    and aligned map of the frame before, and are filtered. (Least squares would
    shrink the map a little with every frame, by what is noise in it.) Used are
    ``filter`` times those of the frame before plus ``1 - filter`` times the
    new ones. The first frame stays as it is.

    Args:
        filter (float): In [0, 1); 0 follows the fit at once, larger values
            change more slowly. Defaults to 0.

    Raises:
        ValueError: If ``filter`` is outside its range.
    """

    def __init__(self, filter=0.):
        if not 0 <= filter < 1:
            raise ValueError('ClipAlignment: filter must be in [0, 1), got '
                             f'{filter}.')
        self.filter = filter
        self.scale, self.shift, self._before = 1., 0., None

    def __call__(self, values):
        """Align the next map of the clip.

        Args:
            values (np.ndarray): (H, W), of one size throughout.

        Returns:
            np.ndarray: (H, W) float32, ``scale * values + shift`` with the
            attributes ``scale`` and ``shift``.
        """
        rows, columns = (max(length // GRID, 1) for length in values.shape)
        grid = values[::rows, ::columns].astype(np.float64).ravel()
        if self._before is not None and len(self._before) == len(grid):
            before, keep = self._before, self.filter
            spread = grid.std()
            # a cut may have no relation to the frame before
            if spread > FLAT and before.std() > FLAT and np.mean(
                    (grid - grid.mean()) * (before - before.mean())) > 0:
                scale = before.std() / spread
                shift = before.mean() - scale * grid.mean()
                self.scale = keep * self.scale + (1 - keep) * float(scale)
                self.shift = keep * self.shift + (1 - keep) * float(shift)
        self._before = self.scale * grid + self.shift
        return (self.scale * values + self.shift).astype(np.float32)
