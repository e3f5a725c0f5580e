"""Hierarchical depth normalization."""
import torch

from genpercept_mm.registry import MODELS
from genpercept_mm.utils.arguments import check_choice

from .dense_loss import DenseLoss
from .masking import normalize_by_median, zero_invalid

DIMS = (1, 2, 3)


@MODELS.register_module()
class HDNLoss(DenseLoss):
    """L1 of maps normalized within random parts of an image.

    In each part, prediction and target lose their median and are divided by
    their mean absolute deviation, both over the part's valid pixels; the
    absolute differences are summed over all parts and images and divided by
    the number of pixels summed. After Zhang et al.,
    https://arxiv.org/abs/2209.09560, with the random parts of GenPercept
    (https://arxiv.org/abs/2403.06090), which offers the loss at weight 0.5
    but ships no recipe with it. No gradient flows through the median of the
    prediction. Parts come from torch's random numbers.

    Mode 'random': ranges of the target, drawn for each image; of its valid
    range, the lower end is at U(0, 0.75) and the upper at
    U(lower + 0.1, 1). Mode 'spatial': boxes with sides of 1/8 to 1/2 of the
    image's, the same for all images, and the whole image.

    Args:
        mode (str): 'random' or 'spatial'. Defaults to 'random'.
        num_parts (int, optional): Ranges or boxes. Defaults to None (10
            ranges, 20 boxes).
        official (bool): Repeat two slips of the released code. 'random':
            the lower end is scaled to the target's units before the upper
            is drawn from it as a share, so that most ranges have no upper
            end. 'spatial': deviations are summed over the whole image, but
            divided by the number of valid pixels in the box.
            Defaults to False.
        offset (float): Added to ``pred`` and ``target``, which live in
            [-1, 1]; changes only what ``official`` draws in mode 'random'.
            Defaults to 2.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss. Defaults to 'loss_hdn'.

    Raises:
        ValueError: If ``mode`` is unknown or ``num_parts`` below 1.
    """

    channels = 1

    def __init__(self, mode='random', num_parts=None, official=False,
                 offset=2.0, loss_weight=1.0, loss_name='loss_hdn'):
        super().__init__(loss_weight, loss_name)
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
        """Compute the loss, without its weight.

        Args:
            pred (Tensor): (N, 1, H, W).
            target (Tensor): (N, 1, H, W).
            valid (Tensor): (N, 1, H, W) bool.

        Returns:
            Tensor: Scalar.
        """
        known = torch.isfinite(target)
        pred, target = pred + self.offset, target + self.offset
        total, number = 0, 0
        if self.mode == 'random':
            parts = (
                valid & (target >= low) & (target < high)
                for low, high in zip(*self.sample_ranges(target, valid)))
            for part in parts:
                total = total + self._compare(pred, target, part, part)
                number = number + part.sum()
        else:
            height, width = pred.shape[2:]
            boxes = [(0, height, 0, width)]
            boxes += self.sample_boxes(height, width)
            for top, bottom, left, right in boxes:
                box = (..., slice(top, bottom), slice(left, right))
                if self.official:
                    part = torch.zeros_like(valid)
                    part[box] = valid[box]
                    total = total + self._compare(pred, target, part, known)
                else:
                    part = valid[box]
                    total = total + self._compare(
                        pred[box], target[box], part, part)
                number = number + part.sum()
        return total / number.clamp(min=1)

    @staticmethod
    def _compare(pred, target, part, deviation_over):
        """Sum the differences over a part, (N, 1, H, W) bool."""
        count = part.sum(DIMS, keepdim=True)
        difference, = zero_invalid(part, (
            normalize_by_median(target, part, deviation_over, count)
            - normalize_by_median(pred, part, deviation_over, count,
                                  detach_median=True)).abs())
        return difference.sum()

    def sample_ranges(self, target, valid):
        """Draw ranges of the target.

        Args:
            target (Tensor): (N, 1, H, W).
            valid (Tensor): (N, 1, H, W) bool.

        Returns:
            tuple[Tensor]: Lower ends (included) and upper ends (excluded),
            (num_parts, N, 1, 1, 1) each, in units of the target; infinite
            or NaN for an image without valid pixels.
        """
        nearest = torch.where(valid, target, torch.inf).amin(
            DIMS, keepdim=True)
        farthest = torch.where(valid, target, -torch.inf).amax(
            DIMS, keepdim=True)
        extent = farthest - nearest
        share, other = torch.rand(
            (2, self.num_parts, *nearest.shape), dtype=target.dtype,
            device=target.device)
        share = 0.75 * share
        low = nearest + share * extent
        least = (low if self.official else share) + 0.1
        high = nearest + (least + other * (1 - 1e-6 - least)) * extent
        return low, high

    def sample_boxes(self, height, width):
        """Draw boxes.

        Args:
            height (int): Height of the image in pixels.
            width (int): Width of the image in pixels.

        Returns:
            list[tuple[int]]: Top, bottom, left and right, where bottom and
            right are excluded; clipped at the image's border.
        """
        tops, bottoms = self._sample_intervals(height)
        lefts, rights = self._sample_intervals(width)
        return list(zip(tops, bottoms, lefts, rights))

    def _sample_intervals(self, size):
        shortest = max(size // 8, 1)
        length = torch.randint(
            shortest, max(size // 2, shortest + 1), (self.num_parts, ))
        start = torch.randint(max(size - shortest, 1), (self.num_parts, ))
        return start.tolist(), (start + length).clamp(max=size).tolist()
