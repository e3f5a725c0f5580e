"""Masks, masked means and masked medians for all dense losses."""
import torch

# all axes of (N, C, H, W) but the first
DIMS = (1, 2, 3)


def resolve_inputs(name, pred, target, mask=None, weight=None,
                   ignore_index=None):
    """Turn the arguments of `DenseLoss.forward` into those of `compute_loss`.

    A pixel is valid where the target is finite and not ``ignore_index``, and
    where ``mask`` and ``weight``, if given, are above zero. The returned
    target is NaN where it is not finite or is ignored. Raises a ValueError if
    the shapes do not fit; ``name`` is the class that messages name.
    """
    if pred.ndim != 4:
        raise ValueError(f'{name}: pred must have shape (N, C, H, W), got '
                         f'{tuple(pred.shape)}.')
    labels = target[:, None] if target.ndim == 3 else target
    if labels.shape != pred.shape:
        raise ValueError(
            f'{name}: pred and target must have the same size, got pred '
            f'{tuple(pred.shape)} and target {tuple(target.shape)}; resize '
            'the prediction or choose the codec of the head.')
    dtype = torch.promote_types(pred.dtype, torch.float32)
    known = torch.isfinite(labels)
    if ignore_index is not None:
        known = known & (labels != ignore_index)
    labels = torch.where(known, labels.to(dtype), torch.nan)
    valid = known
    for label, values in (('mask', mask), ('weight', weight)):
        if values is not None:
            valid = valid & _as_mask(name, label, values, pred.shape)
    return pred.to(dtype), labels, valid


def _as_mask(name, label, values, shape):
    """Make a bool mask that can be broadcast to (N, C, H, W)."""
    mask = values
    if mask.ndim == 2:
        mask = mask[:, :, None, None]
    elif mask.ndim == 3:
        mask = mask[:, None]
    if mask.ndim != 4 or tuple(mask.shape) not in (
            tuple(shape), (shape[0], 1, *shape[2:]), (*shape[:2], 1, 1)):
        raise ValueError(
            f'{name}: {label} must have shape (N, H, W), (N, 1, H, W), '
            f'(N, C, H, W) or (N, C), got {tuple(values.shape)} for a pred '
            f'of {tuple(shape)}.')
    return mask > 0


def zero_invalid(valid, *tensors):
    """Set invalid values, NaN included, and their gradients to zero. Returns a
    list of copies; ``valid`` (bool) and the tensors are (N, C, H, W)."""
    # not a product: 0 * NaN is NaN, forward and backward
    return [torch.where(valid, tensor, 0) for tensor in tensors]


def masked_mean(values, valid):
    """Average the values, (N, ...), where ``valid`` (bool) is True; 0, with a
    gradient path, if nothing is valid."""
    values, = zero_invalid(valid, values)
    return values.sum() / valid.sum().clamp(min=1)


def lower_median(values, valid, empty=0.):
    """Take the median of each image's valid elements.

    ``values`` and ``valid`` (bool) are (N, C, H, W), and the result is
    (N, 1, 1, 1). As in ``torch.median``, it is the lower of the two middle
    values if their number is even. An image without valid elements gets
    ``empty``. With ``torch.use_deterministic_algorithms``, which forbids
    CUDA's median, it is found by sorting.
    """
    chosen = torch.where(valid, values, torch.nan).flatten(1)
    counts = valid.flatten(1).sum(1)
    if torch.are_deterministic_algorithms_enabled():
        # NaN comes last
        middle = (counts - 1).clamp(min=0)[:, None] // 2
        median = chosen.sort(dim=1).values.gather(1, middle)[:, 0]
    else:
        median = chosen.nanmedian(dim=1).values
    median = torch.where(counts > 0, median, empty)
    return median[:, None, None, None]


def normalize_by_median(values, median_over, deviation_over, count,
                        detach_median=False):
    """Remove the median and divide by the mean absolute deviation.

    ``values``, the bool masks and the result are (N, C, H, W). The median is
    taken over the pixels in ``median_over``; deviations are summed over those
    in ``deviation_over`` and divided by ``count``, (N, 1, 1, 1). The result is
    meaningful where either mask is True. A positive scale and a shift of
    ``values`` change nothing, up to the 1e-6 that is added to the deviation.
    ``detach_median`` stops the gradient at the median.
    """
    values, = zero_invalid(median_over | deviation_over, values)
    source = values.detach() if detach_median else values
    centred = values - lower_median(source, median_over)
    deviation, = zero_invalid(deviation_over, centred.abs())
    deviation = deviation.sum(DIMS, keepdim=True) / count.clamp(min=1)
    return centred / (deviation + 1e-6)
