"""Surface normals."""
import numpy as np

from genpercept_mm.registry import CODECS
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.normal_axes import axis_signs

from .base_codec import BaseDenseCodec
from .errors import angular_error


@CODECS.register_module()
class NormalCodec(BaseDenseCodec):
    """Unit normals in one frame: x right, y up, z towards the viewer.

    This is the camera frame of Hypersim and of the released weights. Normals
    point towards the camera: a wall that faces it has (0, 0, 1), a floor has
    (0, 1, 0). Loaders convert other data to this frame, and
    ``genpercept_mm.utils.normal_axes`` converts results to OpenCV's and
    DSINE's axes.

    Args:
        normalize (bool): Scale predictions to unit length, which the
            official code does not. Defaults to True.
        normalize_first (str, optional): Do so before predictions are resized,
            too: ``'clipped'``, of components in [-1, 1], as Marigold does, or
            ``'raw'``, before they are limited, as E2E-FT does (twice, and each
            time 1e-5 is added to lengths).
        axes (str | Sequence[int]): Frame in which the network predicts, see
            `axis_signs`; labels and predictions have the frame above in any
            case. Defaults to 'genpercept'.

    Examples:
        >>> NormalCodec().decode(torch.tensor([0., 0., .5]).view(1, 3, 1, 1))
        tensor([[[[0.]], [[0.]], [[1.]]]])
    """

    label = 'normal'
    quantity = 'normal'
    channels = 3
    ensembling = 'direction'
    directional = True
    error_limit = 45.
    error_caption = 'error 0-45 deg'

    def __init__(self, normalize=True, normalize_first=None,
                 axes='genpercept'):
        check_choice('NormalCodec', 'normalize_first', normalize_first,
                     (None, 'clipped', 'raw'))
        self.normalize = normalize
        self.normalize_first = normalize_first
        self.signs = np.array(axis_signs(axes), np.float32)

    def encode(self, label, mask=None):
        """See `BaseDenseCodec.encode`; the label is (H, W, 3).

        Vectors of length zero are invalid, others are scaled to unit length.
        The target is zero where invalid. Another shape raises a ValueError.
        """
        normals = np.asarray(label, np.float32)
        if normals.ndim != 3 or normals.shape[2] != 3:
            raise ValueError('NormalCodec: a normal map must be (H, W, 3), '
                             f'got {normals.shape}.')
        length = np.linalg.norm(normals, axis=2)
        valid = np.isfinite(length) & (length > 1e-8)
        if mask is not None:
            valid &= mask.astype(bool)
        safe = np.where(valid, length, 1)[..., None]
        return np.where(valid[..., None], normals / safe * self.signs,
                        0).astype(np.float32), valid

    def condition(self, output, bound):
        """See `BaseDenseCodec.condition`; ``normalize_first`` happens here."""
        if self.normalize_first == 'raw':
            return _unit(_unit(output, 1e-5), 1e-5)
        output = bound(output)
        return output if self.normalize_first is None else _unit(output)

    def decode(self, output):
        """See `BaseDenseCodec.decode`."""
        output = output.float().clamp(-1, 1)
        if self.normalize:
            output = _unit(output)
        import torch
        # numbers, not a tensor that would be copied to the device
        return torch.cat([sign * part for sign, part in zip(
            self.signs, output.split(1, dim=1))], dim=1)

    def facts(self):
        """See `BaseDenseCodec.facts`; ``axes`` are those of the three
        components."""
        return dict(range=(-1., 1.),
                    axes=('right', 'up', 'towards the viewer'))

    def colorize(self, quantity):
        """See `BaseDenseCodec.colorize`; the colour is ``(n + 1) / 2``, so a
        facing wall is light blue, a floor green and a left wall red."""
        return (np.clip((quantity + 1) / 2, 0, 1) * 255).astype(np.uint8)

    def error_map(self, quantity, label, mask):
        """See `BaseDenseCodec.error_map`; the error is the angle in
        degrees."""
        return angular_error(quantity, label, mask)

    def best_constants(self, labels):
        """See `BaseDenseCodec.best_constants`; the candidate is the mean
        direction of all vectors."""
        total = sum(np.sum(label, axis=(0, 1), dtype=float)
                    for label in labels)
        return [total / max(np.linalg.norm(total), 1e-8)]


def _unit(vectors, offset=0.):
    """Divide vectors (N, 3, H, W) by their lengths plus an offset."""
    length = vectors.norm(dim=1, keepdim=True) + offset
    return vectors / length.clamp(min=1e-8)
