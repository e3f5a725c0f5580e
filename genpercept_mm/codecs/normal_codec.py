"""Surface normals."""
import numpy as np

from genpercept_mm.registry import CODECS

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

    def __init__(self, normalize=True):
        self.normalize = normalize

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
        return np.where(valid[..., None], normals / safe,
                        0).astype(np.float32), valid

    def decode(self, output):
        """See `BaseDenseCodec.decode`."""
        output = output.float().clamp(-1, 1)
        if not self.normalize:
            return output
        return output / output.norm(dim=1, keepdim=True).clamp(min=1e-8)

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
