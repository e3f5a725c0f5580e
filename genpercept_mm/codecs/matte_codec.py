"""Mattes and object masks."""
import numpy as np

from genpercept_mm.registry import CODECS

from .base_codec import BaseDenseCodec
from .errors import absolute_error


@CODECS.register_module()
class MatteCodec(BaseDenseCodec):
    """Opacity in [0, 1]: mattes, and masks of dichotomous segmentation.

    An opacity alpha becomes ``y = 2 * alpha - 1``; background is -1.

    Args:
        stretch (bool): Stretch each label from its minimum and maximum to
            [0, 1] first, as the official code does; a constant label then
            becomes background, whatever its value. Defaults to False.
    """

    label = 'alpha'
    quantity = 'alpha'
    channels = 1
    interpolation = 'bilinear'
    over_image = True

    def __init__(self, stretch=False):
        self.stretch = stretch

    def encode(self, label, mask=None):
        """See `BaseDenseCodec.encode`; the label is (H, W), and another shape
        or values outside [0, 1] raise a ValueError."""
        alpha = np.asarray(label, np.float32)
        if alpha.ndim != 2:
            raise ValueError('MatteCodec: a matte must be (H, W), got '
                             f'{alpha.shape}.')
        valid = np.isfinite(alpha)
        if mask is not None:
            valid &= mask.astype(bool)
        alpha = np.where(valid, alpha, 0)
        if alpha.min(initial=0) < 0 or alpha.max(initial=0) > 1:
            raise ValueError(
                'MatteCodec: opacities must be in [0, 1], got '
                f'{alpha.min():g} to {alpha.max():g}; is this the label of '
                'another task?')
        if self.stretch:
            low, high = alpha.min(), alpha.max()
            alpha = (alpha - low) / max(high - low, 1e-8)
        return (alpha * 2 - 1)[..., None].astype(np.float32), valid

    def decode(self, output):
        """See `BaseDenseCodec.decode`; opacities are in [0, 1]."""
        return (output.clamp(-1, 1) + 1) / 2

    def facts(self):
        """See `BaseDenseCodec.facts`; ``opaque`` is the foreground's value."""
        return dict(super().facts(), opaque=1.)

    def colorize(self, quantity):
        """See `BaseDenseCodec.colorize`; the object is white."""
        grey = np.round(np.clip(quantity, 0, 1) * 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)

    def error_map(self, quantity, label, mask):
        """See `BaseDenseCodec.error_map`; the error is the absolute
        difference."""
        return absolute_error(quantity, label, mask)

    def best_constants(self, labels):
        """See `BaseDenseCodec.best_constants`; candidates are 0, 1, the mean
        and the median."""
        values = np.concatenate([np.ravel(label) for label in labels])
        return [np.array([value]) for value in (
            0., 1., values.mean(), np.median(values))]
