"""Angle between predicted and true directions."""
from genpercept_mm.registry import MODELS

from .dense_loss import DenseLoss
from .masking import masked_mean, zero_invalid


@MODELS.register_module()
class AngularLoss(DenseLoss):
    """Mean angle between ``pred`` and ``target`` in radians.

    Vectors may have any length, and a pixel counts if all three components
    are valid. The cosine is clamped to [-1 + eps, 1 - eps] before the arc
    cosine, so a perfect prediction costs arccos(1 - eps) = 0.0141 and has no
    gradient. A vector of length zero, predicted or true, is at a right angle
    to everything; a true one gives no gradient. GenPercept
    (https://arxiv.org/abs/2403.06090) trains surface normals with this loss.

    Args:
        eps (float): How far the cosine stays away from -1 and 1, where the
            arc cosine has an infinite slope; in [1e-6, 1). Defaults to 1e-4.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_angular'.
        reduction (str): See `DenseLoss`. Defaults to 'pixel'.

    Raises:
        ValueError: If ``eps`` is outside [1e-6, 1).
    """

    channels = 3

    def __init__(self, eps=1e-4, loss_weight=1.0, loss_name='loss_angular',
                 reduction='pixel'):
        super().__init__(loss_weight, loss_name, reduction)
        if not 1e-6 <= eps < 1:
            raise ValueError('AngularLoss: eps must be in [1e-6, 1), got '
                             f'{eps}; below that float32 has no slope left.')
        self.eps = eps

    def compute_loss(self, pred, target, valid):
        """See `DenseLoss.compute_loss`; maps are (N, 3, H, W)."""
        valid = valid.all(dim=1, keepdim=True)
        pred, target = zero_invalid(valid, pred, target)
        cosine = (_unit(pred) * _unit(target)).sum(dim=1, keepdim=True)
        angle = cosine.clamp(self.eps - 1, 1 - self.eps).acos()
        return masked_mean(angle, valid)


def _unit(vectors):
    """Divide by the length along axis 1, or by 1e-8 if that is more."""
    squares = (vectors * vectors).sum(dim=1, keepdim=True)
    # clamped before the root, whose slope at 0 is infinite
    return vectors / squares.clamp(min=1e-16).sqrt()
