"""Angle between predicted and true directions."""
from genpercept_mm.registry import MODELS

from .dense_loss import DenseLoss
from .masking import masked_mean, zero_invalid


@MODELS.register_module()
class AngularLoss(DenseLoss):
    """Mean angle between ``pred`` and ``target`` in radians.

    The cosine is clamped to [-1 + eps, 1 - eps] before the arc cosine, so a
    perfect prediction costs arccos(1 - eps) = 0.0141 and has no gradient.
    Lengths do not matter. A vector of length zero, predicted or true, is at
    a right angle to everything; a true one has no gradient. GenPercept
    (https://arxiv.org/abs/2403.06090) trains surface normals with it.

    Args:
        eps (float): Distance that the cosine keeps from -1 and 1, where the
            arc cosine has an infinite slope. Defaults to 1e-4.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_angular'.

    Raises:
        ValueError: If ``eps`` is not between 1e-6 and 1.
    """

    channels = 3

    def __init__(self, eps=1e-4, loss_weight=1.0, loss_name='loss_angular'):
        super().__init__(loss_weight, loss_name)
        if not 1e-6 <= eps < 1:
            raise ValueError('AngularLoss: eps must be in [1e-6, 1), got '
                             f'{eps}; below that float32 has no slope left.')
        self.eps = eps

    def compute_loss(self, pred, target, valid):
        """Compute the loss, without its weight.

        Args:
            pred (Tensor): (N, 3, H, W), of any length.
            target (Tensor): (N, 3, H, W), of any length.
            valid (Tensor): (N, 3, H, W) bool; a pixel counts if its three
                components are valid.

        Returns:
            Tensor: Scalar, radians.
        """
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
