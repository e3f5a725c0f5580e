"""Affine-invariant depth and disparity."""
import numpy as np

from genpercept_mm.registry import CODECS

from .base_codec import BaseDenseCodec
from .errors import relative_depth_error, relative_disparity_error

SPACES = ('depth', 'disparity')
NORMALIZERS = ('quantile', 'minmax')
# metres; the inverse of less would overflow
SMALLEST = 1e-6


@CODECS.register_module()
class AffineDepthCodec(BaseDenseCodec):
    """Depth or disparity up to scale and shift (paper, sections 3 and 4).

    The 2 % and 98 % quantiles of an image's valid depths, q_lo and q_hi,
    become the ends of the range, and values outside are clipped:

    - depth: ``y = (d - q_lo) / (q_hi - q_lo) * 2 - 1``, near is -1
    - disparity: the same with 1 / d, between 1 / q_hi and 1 / q_lo, near is
      +1; invalid pixels are -1

    The decoded quantity is ``(y + 1) / 2`` in [0, 1]. An image without a
    valid pixel, or whose two ends coincide, as with one constant depth, has
    nothing to learn: its mask is empty.

    Args:
        space (str): ``'depth'`` or ``'disparity'``. Defaults to 'depth'.
        quantiles (tuple[float]): Defaults to (0.02, 0.98).
        normalizer (str): For disparity, ``'quantile'``, or ``'minmax'`` as
            in the official code, where a second normalization cancels the
            quantiles: the nearest valid pixel becomes +1, the farthest
            finite one, valid or not, -1. Defaults to 'quantile'.
        cmap (str): matplotlib colour map of pictures. Defaults to
            'Spectral', as officially.

    Raises:
        ValueError: If an argument is outside its set.
    """

    label = 'depth'
    channels = 1
    affine_invariant = True
    ensembling = 'affine'
    error_limit = .25
    error_caption = 'relative error 0-25%'

    def __init__(self,
                 space='depth',
                 quantiles=(0.02, 0.98),
                 normalizer='quantile',
                 cmap='Spectral'):
        if space not in SPACES:
            raise ValueError(f'AffineDepthCodec: space must be one of '
                             f'{SPACES}, got {space!r}.')
        if normalizer not in NORMALIZERS or (
                space == 'depth' and normalizer == 'minmax'):
            raise ValueError(
                f'AffineDepthCodec: normalizer must be one of {NORMALIZERS}, '
                "'minmax' with space='disparity' only, got "
                f'{normalizer!r} with {space!r}.')
        if not 0 <= quantiles[0] < quantiles[1] <= 1:
            raise ValueError('AffineDepthCodec: quantiles must be two '
                             f'increasing shares, got {quantiles}.')
        self.quantity = self.space = space
        self.quantiles = tuple(quantiles)
        self.normalizer = normalizer
        self.cmap = cmap

    def encode(self, label, mask=None):
        """Normalize a depth map.

        Args:
            label (np.ndarray): (H, W) planar depth in metres.
            mask (np.ndarray, optional): (H, W) bool. Defaults to None;
                depths that are not finite and positive are invalid anyway.

        Returns:
            tuple[np.ndarray, np.ndarray]: (H, W, 1) float32 in [-1, 1] and
            (H, W) bool.

        Raises:
            ValueError: If ``label`` has another number of axes.
        """
        depth = np.asarray(label, np.float32)
        if depth.ndim != 2:
            raise ValueError('AffineDepthCodec: a depth map must be (H, W), '
                             f'got {depth.shape}.')
        usable = np.isfinite(depth) & (depth > SMALLEST)
        valid = usable if mask is None else usable & mask.astype(bool)
        low, high = (np.quantile(depth[valid], self.quantiles)
                     if valid.any() else (0, 0))
        if self.space == 'depth':
            values, ends = np.where(usable, depth, 0), (low, high)
        else:
            values = 1 / np.where(usable, depth, np.inf)
            ends = 1 / max(high, 1e-12), 1 / max(low, 1e-12)
            if self.normalizer == 'minmax' and valid.any():
                ends = values[usable].min(), values[valid].max()
        if not ends[1] > ends[0] or not valid.any():
            return (np.full((*depth.shape, 1), -1, np.float32),
                    np.zeros_like(valid))
        target = np.clip(
            (values - ends[0]) / (ends[1] - ends[0]) * 2 - 1, -1, 1)
        if self.space == 'disparity':
            target[~valid] = -1
        return target[..., None].astype(np.float32), valid

    def decode(self, output):
        """Map an output to [0, 1].

        Args:
            output (Tensor): (N, 1, H, W).

        Returns:
            Tensor: (N, 1, H, W) in [0, 1]; depth has 0 near, disparity 1.
        """
        return (output.clamp(-1, 1) + 1) / 2

    def colorize(self, quantity):
        """Draw in the colour map, with fixed limits 0 and 1.

        Args:
            quantity (np.ndarray): (H, W) in [0, 1].

        Returns:
            np.ndarray: (H, W, 3) uint8 RGB.
        """
        from matplotlib import colormaps
        return colormaps[self.cmap](
            np.clip(quantity, 0, 1), bytes=True)[..., :3]

    def error_map(self, quantity, label, mask):
        """Compare with the label after a least-squares fit.

        Args:
            quantity (np.ndarray): (H, W), up to scale and shift.
            label (np.ndarray): (H, W) depth in metres.
            mask (np.ndarray): (H, W) bool, True where the label is valid.

        Returns:
            np.ndarray: (H, W), relative to the label; NaN where invalid.
        """
        compare = (relative_depth_error if self.space == 'depth'
                   else relative_disparity_error)
        return compare(quantity, label, mask)

    def best_constants(self, labels):
        """Name any constant: the alignment makes all of them equal.

        Args:
            labels (Sequence[np.ndarray]): Not used.

        Returns:
            list[np.ndarray]: One value, (1, ).
        """
        return [np.array([.5])]
