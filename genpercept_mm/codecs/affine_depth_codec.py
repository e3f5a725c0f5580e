"""Affine-invariant depth and disparity."""
import numpy as np

from genpercept_mm.registry import CODECS
from genpercept_mm.utils.arguments import check_choice

from .base_codec import BaseDenseCodec
from .errors import relative_depth_error, relative_disparity_error

# metres; the inverse of smaller depths would overflow
SMALLEST = 1e-6


@CODECS.register_module()
class AffineDepthCodec(BaseDenseCodec):
    """Depth or disparity up to scale and shift (paper, sections 3 and 4).

    The 2 % and 98 % quantiles of an image's valid depths, q_lo and q_hi,
    become the ends of the range, and values outside are clipped:

    - depth: ``y = (d - q_lo) / (q_hi - q_lo) * 2 - 1``, near is -1
    - disparity: the same with 1 / d, between 1 / q_hi and 1 / q_lo, near is
      +1; invalid pixels are -1

    The decoded quantity is ``(y + 1) / 2`` in [0, 1]. An image without valid
    pixels, or whose two ends coincide because its depth is constant, teaches
    nothing: its mask is empty.

    Args:
        space (str): ``'depth'`` or ``'disparity'``. Defaults to 'depth'.
        quantiles (tuple[float]): q_lo and q_hi as shares in [0, 1],
            increasing. Defaults to (0.02, 0.98).
        normalizer (str): ``'quantile'``, or, for disparity only, ``'minmax'``
            as in the official code, where a second normalization cancels the
            quantiles: the nearest valid pixel becomes +1, and the farthest
            finite one, valid or not, becomes -1. Defaults to 'quantile'.
        stretch (bool): Stretch each prediction to the whole range by its own
            smallest and largest value, as E2E-FT does. Defaults to False.
        cmap (str): matplotlib colour map of pictures. Defaults to
            'Spectral', as in the official code.

    Raises:
        ValueError: If an argument is outside its set.
    """

    label = 'depth'
    channels = 1
    affine_invariant = True
    ensembling = 'affine'
    error_limit = .25
    error_caption = 'relative error 0-25%'

    def __init__(self, space='depth', quantiles=(0.02, 0.98),
                 normalizer='quantile', stretch=False, cmap='Spectral'):
        name = 'AffineDepthCodec'
        check_choice(name, 'space', space, ('depth', 'disparity'))
        check_choice(name, 'normalizer', normalizer, ('quantile', 'minmax'))
        if normalizer == 'minmax' and space == 'depth':
            raise ValueError("AffineDepthCodec: normalizer='minmax' is for "
                             "space='disparity' only.")
        if not 0 <= quantiles[0] < quantiles[1] <= 1:
            raise ValueError('AffineDepthCodec: quantiles must be two '
                             f'increasing shares, got {quantiles}.')
        self.quantity = self.space = space
        self.quantiles = tuple(quantiles)
        self.normalizer = normalizer
        self.stretch = stretch
        self.cmap = cmap

    def encode(self, label, mask=None):
        """See `BaseDenseCodec.encode`.

        The label is (H, W) planar depth in metres; depths that are not finite
        and positive are invalid in any case. Another number of axes raises a
        ValueError.
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

    def condition(self, output, bound):
        """See `BaseDenseCodec.condition`; ``stretch`` happens here."""
        output = bound(output)
        if not self.stretch:
            return output
        low = output.amin((1, 2, 3), keepdim=True)
        high = output.amax((1, 2, 3), keepdim=True)
        return (output - low) / (high - low).clamp(min=1e-6) * 2 - 1

    def decode(self, output):
        """See `BaseDenseCodec.decode`; values are in [0, 1], and the nearest
        is 0 for depth and 1 for disparity."""
        return (output.clamp(-1, 1) + 1) / 2

    def facts(self):
        """See `BaseDenseCodec.facts`; ``near`` and ``far`` are the values of
        the nearest and the farthest point, without scale and shift."""
        near = float(self.space == 'disparity')
        return dict(super().facts(), near=near, far=1 - near,
                    kind=f'{self.space} up to scale and shift')

    def colorize(self, quantity):
        """See `BaseDenseCodec.colorize`; the colour map spans 0 to 1."""
        from matplotlib import colormaps
        return colormaps[self.cmap](
            np.clip(quantity, 0, 1), bytes=True)[..., :3]

    def error_map(self, quantity, label, mask):
        """See `BaseDenseCodec.error_map`; the error is relative to the label,
        after a least-squares fit of scale and shift."""
        compare = (relative_depth_error if self.space == 'depth'
                   else relative_disparity_error)
        return compare(quantity, label, mask)

    def best_constants(self, labels):
        """See `BaseDenseCodec.best_constants`; after alignment all constants
        are equal, so any one will do."""
        return [np.array([.5])]
