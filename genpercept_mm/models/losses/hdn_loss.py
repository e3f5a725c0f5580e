"""Hierarchical depth normalization."""
import torch

from genpercept_mm.registry import MODELS
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.step_draws import (
    image_generators,
    shared_generator,
)

from .dense_loss import DenseLoss
from .masking import DIMS, normalize_by_median, zero_invalid


@MODELS.register_module()
class HDNLoss(DenseLoss):
    """L1 of maps normalized within random parts of an image.

    In each part, prediction and target have their median subtracted and are
    divided by their mean absolute deviation, both over the part's valid
    pixels. The absolute differences are summed over all parts and images and
    divided by the number of pixels in the sum. No gradient flows through the
    median of the prediction. After Zhang et al.,
    https://arxiv.org/abs/2209.09560, with the random parts of GenPercept
    (https://arxiv.org/abs/2403.06090), which offers the loss at weight 0.5 but
    ships no recipe that uses it. Torch's global generator draws the parts.

    In mode 'random' a part is a range of target values, drawn for each image:
    as shares of the image's valid range, the lower end is at U(0, 0.75) and
    the upper end at U(lower + 0.1, 1). In mode 'spatial' the parts are boxes
    whose sides are 1/8 to 1/2 of the image's, the same for all images, and
    the whole image.

    Args:
        mode (str): 'random' or 'spatial'. Defaults to 'random'.
        num_parts (int, optional): Number of ranges or boxes, at least 1.
            Defaults to None (10 ranges or 20 boxes).
        official (bool): Repeat two slips of the released code. In mode
            'random' the lower end is scaled to the target's units before the
            upper end is drawn from it as a share, so most ranges have no
            upper end. In mode 'spatial' deviations are summed over the whole
            image, but divided by the number of valid pixels in the box.
            Defaults to False.
        offset (float): Added to ``pred`` and ``target``, which are in
            [-1, 1]; it only changes what ``official`` draws in mode
            'random'. Defaults to 2.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_hdn'.
        reduction (str): See `DenseLoss`. Defaults to 'pixel'.

    Raises:
        ValueError: If ``mode`` is unknown or ``num_parts`` is below 1.
    """

    channels = 1

    def __init__(self, mode='random', num_parts=None, official=False,
                 offset=2.0, loss_weight=1.0, loss_name='loss_hdn',
                 reduction='pixel'):
        super().__init__(loss_weight, loss_name, reduction)
        check_choice('HDNLoss', 'mode', mode, ('random', 'spatial'))
        if num_parts is None:
            num_parts = 10 if mode == 'random' else 20
        if num_parts < 1:
            raise ValueError(
                f'HDNLoss: num_parts must be at least 1, got {num_parts}.')
        self.mode = mode
        self.num_parts = num_parts
        self.official = official
        self.offset = offset

    def compute_loss(self, pred, target, valid):
        """See `DenseLoss.compute_loss`; maps are (N, 1, H, W)."""
        pred, target = pred + self.offset, target + self.offset
        total, number = 0, 0
        for box, part, deviation_over in self._parts(target, valid):
            count = part.sum(DIMS, keepdim=True)
            difference, = zero_invalid(part, (
                normalize_by_median(target[box], part, deviation_over, count)
                - normalize_by_median(pred[box], part, deviation_over, count,
                                      detach_median=True)).abs())
            total = total + difference.sum()
            number = number + part.sum()
        return total / number.clamp(min=1)

    def _parts(self, target, valid):
        """Yield a crop of the maps and two bool masks of this crop: the
        pixels to compare, and those whose deviations are summed."""
        if self.mode == 'random':
            for low, high in zip(*self.sample_ranges(target, valid)):
                part = valid & (target >= low) & (target < high)
                yield ..., part, part
            return
        height, width = target.shape[2:]
        for top, bottom, left, right in [
                (0, height, 0, width), *self.sample_boxes(height, width)]:
            box = (..., slice(top, bottom), slice(left, right))
            if self.official:
                part = torch.zeros_like(valid)
                part[box] = valid[box]
                yield ..., part, torch.isfinite(target)
            else:
                yield box, valid[box], valid[box]

    def sample_ranges(self, target, valid):
        """Draw ranges of target values for each image.

        ``target`` and ``valid`` (bool) are (N, 1, H, W). Returns the lower
        ends (included) and upper ends (excluded), (num_parts, N, 1, 1, 1)
        each, in the target's units. They are infinite or NaN for an image
        without valid pixels.
        """
        nearest = torch.where(valid, target, torch.inf).amin(
            DIMS, keepdim=True)
        farthest = torch.where(valid, target, -torch.inf).amax(
            DIMS, keepdim=True)
        extent = farthest - nearest
        generators = image_generators(len(target))
        if generators is None:
            share, other = torch.rand(
                (2, self.num_parts, *nearest.shape), dtype=target.dtype,
                device=target.device)
        else:
            share, other = torch.stack([
                torch.rand((2, self.num_parts, 1, 1, 1), generator=generator)
                for generator in generators], dim=2).to(target)
        share = 0.75 * share
        low = nearest + share * extent
        least = (low if self.official else share) + 0.1
        high = nearest + (least + other * (1 - 1e-6 - least)) * extent
        return low, high

    def sample_boxes(self, height, width):
        """Draw boxes in an image of ``height`` x ``width`` pixels. Returns the
        top, bottom, left and right of each, clipped to the image, where bottom
        and right are excluded."""
        return list(zip(*self._sample_intervals(height),
                        *self._sample_intervals(width)))

    def _sample_intervals(self, size):
        """Draw starts and ends of intervals along one axis."""
        shortest = max(size // 8, 1)
        generator = shared_generator()
        length = torch.randint(
            shortest, max(size // 2, shortest + 1), (self.num_parts, ),
            generator=generator)
        start = torch.randint(max(size - shortest, 1), (self.num_parts, ),
                              generator=generator)
        return start.tolist(), (start + length).clamp(max=size).tolist()
