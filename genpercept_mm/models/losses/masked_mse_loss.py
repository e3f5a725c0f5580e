"""Mean squared error over valid pixels."""
from genpercept_mm.registry import MODELS

from .dense_loss import DenseLoss
from .masking import masked_mean, zero_invalid


@MODELS.register_module()
class MaskedMSELoss(DenseLoss):
    """Mean of (pred - target)^2 over the valid elements of the batch.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_mse'.
        reduction (str): See `DenseLoss`. Defaults to 'pixel'.
    """

    def __init__(self, loss_weight=1.0, loss_name='loss_mse',
                 reduction='pixel'):
        super().__init__(loss_weight, loss_name, reduction)

    def compute_loss(self, pred, target, valid):
        """See `DenseLoss.compute_loss`."""
        pred, target = zero_invalid(valid, pred, target)
        return masked_mean((pred - target)**2, valid)
