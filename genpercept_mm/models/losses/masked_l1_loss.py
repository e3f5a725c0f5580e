"""Mean absolute error over valid pixels."""
from genpercept_mm.registry import MODELS

from .dense_loss import DenseLoss
from .masking import masked_mean, zero_invalid


@MODELS.register_module()
class MaskedL1Loss(DenseLoss):
    """Mean of abs(pred - target) over the valid elements of the batch.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_l1'.
        reduction (str): See `DenseLoss`. Defaults to 'pixel'.
    """

    def __init__(self, loss_weight=1.0, loss_name='loss_l1',
                 reduction='pixel'):
        super().__init__(loss_weight, loss_name, reduction)

    def compute_loss(self, pred, target, valid):
        """See `DenseLoss.compute_loss`."""
        pred, target = zero_invalid(valid, pred, target)
        return masked_mean((pred - target).abs(), valid)
