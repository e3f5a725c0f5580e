"""The base class of all losses on dense maps."""
import torch
from torch import nn

from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.step_draws import draws_of

from .masking import resolve_inputs


class DenseLoss(nn.Module):
    """Prepare the inputs of a loss, weight its value and give it a name.

    A subclass implements `compute_loss`. Heads of mmseg can call the loss
    (``weight`` and ``ignore_index`` by keyword, or two maps only), and so
    can those of mmpose (target weights as third argument).

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Key of the loss; mmengine adds up the keys that
            contain 'loss'. Defaults to 'loss_dense'.
        reduction (str): ``'pixel'``, as in the official code: all valid
            pixels of a (micro) batch count alike, so the weight of an image
            depends on the others in it. ``'image'``: the loss of each image
            by itself, and the mean of all, in which one without valid pixels
            counts as 0; so it does not matter how a step is divided into
            micro batches and devices. Defaults to 'pixel'.

    Raises:
        ValueError: If ``reduction`` is neither.
    """

    #: number of channels that maps must have; None for any number
    channels = None

    def __init__(self, loss_weight=1.0, loss_name='loss_dense',
                 reduction='pixel'):
        super().__init__()
        check_choice(type(self).__name__, 'reduction', reduction,
                     ('pixel', 'image'))
        self.reduction = reduction
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self):
        """Key under which a head reports the loss."""
        return self._loss_name

    def forward(self, pred, target, mask=None, weight=None,
                ignore_index=None, **kwargs):
        """Compare two dense maps where the target is valid.

        The computation is in float32, also under autocast, or in float64 if
        ``pred`` is.

        Args:
            pred (Tensor): (N, C, H, W), any float type.
            target (Tensor): (N, C, H, W), or (N, H, W) if C is 1; any type.
                NaN and infinity are invalid.
            mask (Tensor, optional): Bool or numbers, where values above zero
                are valid: (N, H, W), (N, 1, H, W), (N, C, H, W), or, as pose
                heads pass one value for each keypoint, (N, C) or
                (N, C, 1, 1). Defaults to None (all valid).
            weight (Tensor, optional): A second mask of the same kind; only
                whether a weight is above zero counts. Defaults to None (all
                valid).
            ignore_index (float, optional): Target value that marks invalid
                pixels. Defaults to None.
            **kwargs: Further arguments of `compute_loss`.

        Returns:
            Tensor: Scalar; 0, with a gradient path, if nothing is valid.

        Raises:
            ValueError: If the shapes do not fit.
        """
        name = type(self).__name__
        with torch.autocast(pred.device.type, enabled=False):
            pred, target, valid = resolve_inputs(
                name, pred, target, mask, weight, ignore_index)
            if self.channels not in (None, pred.shape[1]):
                raise ValueError(
                    f'{name}: pred must have shape (N, {self.channels}, H, '
                    f'W), got {tuple(pred.shape)}.')
            if self.reduction == 'pixel':
                loss = self.compute_loss(pred, target, valid, **kwargs)
            else:
                loss = self._mean_over_images(pred, target, valid, kwargs)
            return self.loss_weight * loss

    def _mean_over_images(self, pred, target, valid, kwargs):
        """Average the losses of single images."""
        losses = []
        for index in range(len(pred)):
            one = slice(index, index + 1)
            with draws_of(one):
                losses.append(self.compute_loss(
                    pred[one], target[one], valid[one], **{
                        key: value[one] if torch.is_tensor(value)
                        and len(value) == len(pred) else value
                        for key, value in kwargs.items()}))
        return torch.stack(losses).mean()

    def compute_loss(self, pred, target, valid):
        """Compute the loss, without its weight.

        Args:
            pred (Tensor): (N, C, H, W), float32 or float64.
            target (Tensor): (N, C, H, W), of the same type; NaN where it is
                unknown.
            valid (Tensor): (N, C, H, W) bool, the elements to compare.

        Returns:
            Tensor: Scalar.
        """
        raise NotImplementedError
