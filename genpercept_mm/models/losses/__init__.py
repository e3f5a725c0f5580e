from .angular_loss import AngularLoss
from .dense_loss import DenseLoss
from .gradient_matching_loss import GradientMatchingLoss
from .hdn_loss import HDNLoss
from .masked_l1_loss import MaskedL1Loss
from .masked_mse_loss import MaskedMSELoss
from .scale_shift_invariant_loss import ScaleShiftInvariantLoss
from .virtual_normal_loss import VirtualNormalLoss

__all__ = [
    'AngularLoss', 'DenseLoss', 'GradientMatchingLoss', 'HDNLoss',
    'MaskedL1Loss', 'MaskedMSELoss', 'ScaleShiftInvariantLoss',
    'VirtualNormalLoss',
]
