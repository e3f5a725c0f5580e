"""L1 loss after aligning the prediction with the target."""
import torch

from genpercept_mm.registry import MODELS
from genpercept_mm.utils.arguments import check_choice

from .dense_loss import DenseLoss
from .masking import (
    DIMS,
    lower_median,
    masked_mean,
    normalize_by_median,
    zero_invalid,
)


@MODELS.register_module()
class ScaleShiftInvariantLoss(DenseLoss):
    """L1 error that a positive scale and a shift of ``pred`` do not change.

    Mode 'least_squares' fits ``scale * pred + shift`` to the target over the
    valid pixels of each image; gradients flow through both numbers. If the
    scale is not positive, or either map is constant, the prediction is
    multiplied by median(target) / median(pred) instead, with medians over
    the valid pixels whose target is positive. Unlike in MiDaS (Ranftl et
    al., https://arxiv.org/abs/1907.01341), nothing is trimmed and there is
    no factor 1/2.

    Mode 'median' subtracts the median from each map, divides by the mean
    absolute deviation and compares the results. The released GenPercept
    code takes both over all pixels, valid or not, but divides by the number
    of valid ones; see ``median_over``.

    GenPercept (https://arxiv.org/abs/2403.06090) uses the weight 0.5.

    Args:
        mode (str): 'least_squares' or 'median'. Defaults to 'least_squares'.
        reduction (str): See `DenseLoss`. Defaults to 'pixel'.
        offset (float): Added to ``pred`` and ``target``, which are in
            [-1, 1], so that the fallback of 'least_squares' finds positive
            medians; it changes nothing else. Defaults to 2.0.
        median_over (str): The pixels over which mode 'median' takes median
            and deviation: 'all', those with a known target, or 'valid'.
            Defaults to 'all'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_ssi'.

    Raises:
        ValueError: If ``mode``, ``reduction`` or ``median_over`` is unknown.
    """

    channels = 1

    def __init__(self, mode='least_squares', reduction='pixel', offset=2.0,
                 median_over='all', loss_weight=1.0, loss_name='loss_ssi'):
        super().__init__(loss_weight, loss_name, reduction)
        name = 'ScaleShiftInvariantLoss'
        check_choice(name, 'mode', mode, ('least_squares', 'median'))
        check_choice(name, 'median_over', median_over, ('all', 'valid'))
        self.mode = mode
        self.offset = offset
        self.median_over = median_over

    def compute_loss(self, pred, target, valid):
        """See `DenseLoss.compute_loss`; maps are (N, 1, H, W)."""
        if self.mode == 'median':
            sample = (torch.isfinite(target) if self.median_over == 'all'
                      else valid)
            count = valid.sum(DIMS, keepdim=True)
            pred, target = (
                normalize_by_median(values, sample, sample, count)
                for values in (pred, target))
        else:
            pred, target = zero_invalid(
                valid, pred + self.offset, target + self.offset)
            pred = self.align(pred, target, valid)
        return masked_mean((pred - target).abs(), valid)

    @staticmethod
    def align(pred, target, valid):
        """Align each prediction with its target, as 'least_squares' does. All
        three maps are (N, 1, H, W); ``pred`` and ``target`` are 0 where
        ``valid`` (bool) is False."""
        scale, shift = fit_scale_and_shift(pred, target, valid)
        fallback = scale <= 0
        positive = valid & (target > 0)
        median = lower_median(pred, positive, empty=1.) + 1e-8
        # even where the quotient is not used, its gradient must be finite
        ratio = lower_median(target, positive, empty=1.) / torch.where(
            fallback, median, 1)
        return torch.where(fallback, pred * ratio, scale * pred + shift)


def fit_scale_and_shift(pred, target, valid):
    """Solve ``scale * pred + shift = target`` by least squares per image.

    The arguments are as in `ScaleShiftInvariantLoss.align`. Returns scale and
    shift, (N, 1, 1, 1) each; both are 0 where either map is constant or
    nothing is valid.
    """
    count = valid.sum(DIMS, keepdim=True).clamp(min=1)

    def mean(values):
        return values.sum(DIMS, keepdim=True) / count

    mean_pred, mean_target = mean(pred), mean(target)
    pred_part, target_part = zero_invalid(
        valid, pred - mean_pred, target - mean_target)
    variance = mean(pred_part**2)
    # The determinant of the normal equations is count^2 * variance. Sums of
    # centred values lose no digits; 1e-10 is what rounding leaves of a
    # constant map, whose scale would otherwise have a random sign.
    regular = (variance > 1e-10 * mean(pred**2)) & (
        mean(target_part**2) > 1e-10 * mean(target**2))
    scale = mean(pred_part * target_part) / torch.where(regular, variance, 1)
    scale = torch.where(regular, scale, 0)
    shift = torch.where(regular, mean_target - scale * mean_pred, 0)
    return scale, shift
