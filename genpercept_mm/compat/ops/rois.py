"""Plain-torch bodies for the ops of ``mmcv._ext`` that common models reach.

mmcv's Python wrappers (``mmcv/ops/*.py``) call a compiled module, which
mmcv-lite lacks. Each function here takes the place of one compiled function:
same name, same order and names of arguments, same in-place outputs. `OPS`
lists them; `genpercept_mm.compat` registers them.

Values follow mmcv's CPU code, on any device. Where the compiled CPU build has
no such op (focal losses, RoIPool, deformable attention) they follow the CUDA
code. float16 and bfloat16 are computed in float32.

Note:
    N images, M boxes or RoIs, C channels, H W cells of a feature map, P Q
    bins of a pooled RoI, K kernel taps, L levels. Boxes are (x1, y1, x2, y2),
    RoIs are (image index, x1, y1, x2, y2), in pixels of the input image
    unless said otherwise.
"""
from functools import lru_cache
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .compat import torchvision_problem

# Boxes of which all pairs are compared at once. A larger block saves steps
# and wastes comparisons with boxes that the block itself suppresses.
NMS_BLOCK = 512
# Bilinear samples handled at once; one costs 48 bytes of indices and weights.
SAMPLE_BUDGET = 2**19
# Values handled at once where samples are kept apart (max pooling).
VALUE_BUDGET = 2**24
# What mmcv's CPU code starts a maximum from, so also an empty bin's value.
MAX_START = -10000.


@lru_cache
def _torchvision_ops(device_type: str):
    """Return torchvision's ops if they run on this kind of device."""
    if torchvision_problem():
        return None
    ops = torch.ops.torchvision
    box = torch.zeros(1, 4, device=device_type)
    try:
        ops.nms(box, box[:, 0], 0.5)
    except (AttributeError, RuntimeError):
        # AttributeError: imported without its compiled part. RuntimeError:
        # compiled for other devices only.
        return None
    return ops


def _compute_dtype(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


# -- boxes --------------------------------------------------------------------


def _overlaps(boxes1: Tensor,
              boxes2: Tensor,
              offset: int,
              over_first: bool = False) -> Tensor:
    """Intersect broadcastable boxes (..., 4); NaN where both are empty."""
    left1, top1, right1, bottom1 = boxes1.unbind(-1)
    left2, top2, right2, bottom2 = boxes2.unbind(-1)
    width = (torch.minimum(right1, right2) - torch.maximum(left1, left2) +
             offset).clamp(min=0)
    height = (torch.minimum(bottom1, bottom2) - torch.maximum(top1, top2) +
              offset).clamp(min=0)
    shared = width * height
    area1 = (right1 - left1 + offset) * (bottom1 - top1 + offset)
    if over_first:
        return shared / area1
    area2 = (right2 - left2 + offset) * (bottom2 - top2 + offset)
    return shared / (area1 + area2 - shared)


def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int,
                  aligned: bool, offset: int) -> None:
    """Compute overlaps of boxes; stands for ``mmcv.ops.bbox_overlaps``.

    Args:
        bboxes1 (Tensor): (M1, 4).
        bboxes2 (Tensor): (M2, 4).
        ious (Tensor): Output, (M1, M2), or (M1,) if ``aligned``.
        mode (int): 0 for intersection over union, 1 for intersection over
            the area of ``bboxes1``.
        aligned (bool): Compare row by row; M1 and M2 are then equal.
        offset (int): 0, or 1 if a box includes its last pixel.
    """
    dtype = _compute_dtype(bboxes1)
    bboxes1, bboxes2 = bboxes1.to(dtype), bboxes2.to(dtype)
    if not aligned:
        bboxes1 = bboxes1[:, None]
    ious.copy_(_overlaps(bboxes1, bboxes2, offset, over_first=mode == 1))


def _suppressors(boxes: Tensor, threshold: float, offset: int,
                 inclusive: bool) -> Tensor:
    """Say which box removes each box in greedy suppression.

    Args:
        boxes (Tensor): (M, 4) in order of falling score.
        threshold (float): Overlap above which the later box is removed.
        offset (int): 0, or 1 if a box includes its last pixel.
        inclusive (bool): Remove at an overlap equal to the threshold too.

    Returns:
        Tensor: (M,) long; position of the first kept box that removes the
        box, its own position for a kept box.
    """
    exceeds = torch.ge if inclusive else torch.gt
    owner = torch.arange(len(boxes), device=boxes.device)
    open_ = owner.clone()
    while open_.numel():
        head = open_[:NMS_BLOCK]
        hit = exceeds(
            _overlaps(boxes[head, None], boxes[open_], offset), threshold)
        among_head = hit[:, :len(head)].triu_(diagonal=1)
        # A box is kept if no kept box before it hits it. Repeating the rule
        # settles at least one more box each time, usually all in a few.
        keep = torch.ones_like(head, dtype=torch.bool)
        while True:
            settled = ~(among_head & keep[:, None]).any(0)
            if torch.equal(settled, keep):
                break
            keep = settled
        hit &= keep[:, None]
        gone = hit.any(0)
        first = hit[:, gone].to(torch.uint8).argmax(0)
        owner[open_[gone]] = head[first]
        open_ = open_[len(head):][~gone[len(head):]]
    return owner


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float,
        offset: int) -> Tensor:
    """Suppress overlapping boxes; stands for ``mmcv.ops.nms``.

    Args:
        boxes (Tensor): (M, 4).
        scores (Tensor): (M,).
        iou_threshold (float): A box is removed if its overlap with a kept
            box of higher score is above this.
        offset (int): 0, or 1 if a box includes its last pixel.

    Returns:
        Tensor: (kept,) long, indices of the kept boxes by falling score.
    """
    if boxes.numel() == 0:
        return torch.zeros(0, dtype=torch.long, device=boxes.device)
    # Not a stable sort, as in mmcv: equal scores come out the same way.
    order = scores.sort(dim=0, descending=True)[1]
    boxes = boxes[order].to(_compute_dtype(boxes))
    ops = _torchvision_ops(boxes.device.type) if offset == 0 else None
    if ops is not None:
        # torchvision sorts again, stably: ranks instead of scores keep the
        # order. It compares in double, mmcv with a float32 threshold.
        ranks = torch.arange(len(boxes), 0, -1, device=boxes.device)
        return order[ops.nms(boxes, ranks.to(boxes),
                             torch.tensor(iou_threshold).item())]
    owner = _suppressors(boxes, iou_threshold, offset, inclusive=False)
    return order[owner == torch.arange(len(owner), device=owner.device)]


def nms_match(dets: Tensor, iou_threshold: float) -> List[List[int]]:
    """Group boxes by the box that suppresses them.

    Stands for ``mmcv.ops.nms_match``.

    Args:
        dets (Tensor): (M, 5), boxes and scores.
        iou_threshold (float): A box joins the first kept box with which its
            overlap is at least this.

    Returns:
        list[list[int]]: One list per kept box, by falling score; its own
        index, then those it removed, by falling score.
    """
    order = dets[:, 4].sort(dim=0, descending=True)[1]
    boxes = dets[order, :4].to(_compute_dtype(dets))
    owner = _suppressors(boxes, iou_threshold, offset=0, inclusive=True)
    groups: Dict[int, List[int]] = {}
    for index, kept in zip(order.tolist(), order[owner].tolist()):
        groups.setdefault(kept, []).append(index)
    return list(groups.values())


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float,
            sigma: float, min_score: float, method: int,
            offset: int) -> Tensor:
    """Lower the scores of overlapping boxes; for ``mmcv.ops.soft_nms``.

    Args:
        boxes (Tensor): (M, 4).
        scores (Tensor): (M,).
        dets (Tensor): Output, (M, 5), boxes and new scores; only the first
            ``kept`` rows are written.
        iou_threshold (float): Overlap from which methods 0 and 1 act.
        sigma (float): Width of method 2.
        min_score (float): A box is dropped once its score is below this.
        method (int): 0 removes, 1 multiplies by 1 - overlap, 2 multiplies
            by exp(-overlap ** 2 / sigma).
        offset (int): 0, or 1 if a box includes its last pixel.

    Returns:
        Tensor: (kept,) long, indices of the rows of ``dets``, in the order
        in which they were picked.
    """
    dtype = _compute_dtype(boxes)
    boxes, scores = boxes.to(dtype), scores.to(dtype, copy=True)
    index = torch.arange(len(boxes), device=boxes.device)
    step, end = 0, len(boxes)
    while step < end:
        best = step + int(scores[index[step:end]].argmax())
        index[[step, best]] = index[[best, step]]
        rest = index[step + 1:end]
        iou = _overlaps(boxes[index[step]], boxes[rest], offset)
        if method == 2:
            decay = torch.exp(-(iou * iou) / sigma)
        else:
            lowered = 1 - iou if method == 1 else torch.zeros_like(iou)
            decay = torch.where(iou >= iou_threshold, lowered, 1.)
        scores[rest] *= decay
        # mmcv fills the place of a dropped box with the last one left, which
        # decides between equal scores later.
        keep = ~(scores[rest] < min_score)
        kept = int(keep.sum())
        moved = rest[kept:][keep[kept:]].flip(0)
        rest[:kept][~keep[:kept]] = moved
        step, end = step + 1, step + 1 + kept
    index = index[:end]
    dets[:end, :4] = boxes[index].to(dets)
    dets[:end, 4] = scores[index].to(dets)
    return index


# -- RoIs ---------------------------------------------------------------------


def _clamped_taps(coord: Tensor, size: int) -> Tuple[Tensor, Tensor]:
    """Find the two cells around a coordinate and their bilinear weights.

    Args:
        coord (Tensor): (...), in cells. Up to one cell outside counts as the
            border, further out as nothing.
        size (int): Number of cells.

    Returns:
        tuple[Tensor]: Cells, long, and weights, both (..., 2).
    """
    inside = (coord >= -1) & (coord <= size)
    coord = coord.clamp(0, size - 1)
    # The second clamp is for NaN, of which torch makes any integer.
    low = coord.long().clamp(0, size - 1)
    high = (low + 1).clamp(max=size - 1)
    part = coord - low
    weight = torch.stack([1 - part, part], -1)
    return (torch.stack([low, high], -1),
            weight.masked_fill(~inside[..., None], 0))


def _roi_samples(
    rois: Tensor, shape: Tuple[int, int], bins: Tuple[int, int],
    spatial_scale: float, sampling_ratio: int, aligned: bool, budget: int
) -> Iterator[Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]:
    """Lay out the bilinear samples of RoIs, grouped by samples per bin.

    Args:
        rois (Tensor): (M, 5).
        shape (tuple[int]): H and W of the feature map.
        bins (tuple[int]): P and Q.
        spatial_scale (float): Cells per image pixel.
        sampling_ratio (int): Samples per bin and axis; 0 for one per cell.
        aligned (bool): Whether cell centres lie at half coordinates.
        budget (int): Samples per yielded group, unless one RoI has more.

    Yields:
        tuple[Tensor]: RoI numbers (m,); sample coordinates y (m, P, g) and
        x (m, Q, h) in cells; positions in the flattened (N, H, W) map and
        weights of the four taps, both (m, P, Q, g, h, 2, 2). RoIs without
        a sample are left out.
    """
    start = rois[:, [2, 1]] * spatial_scale - 0.5 * aligned
    extent = rois[:, [4, 3]] * spatial_scale - 0.5 * aligned - start
    if not aligned:
        extent = extent.clamp(min=1)
    step = extent / torch.tensor(bins, device=rois.device)
    grids = step.ceil().long().clamp(min=0)
    if sampling_ratio > 0:
        grids = torch.full_like(grids, sampling_ratio)
    grids, member = grids.unique(dim=0, return_inverse=True)
    for number, grid in enumerate(grids.tolist()):
        samples = bins[0] * bins[1] * grid[0] * grid[1]
        if samples == 0:
            continue
        same = (member == number).nonzero()[:, 0]
        for ids in same.split(max(1, budget // samples)):
            coords, cells, weights = [], [], []
            for axis in range(2):
                bin_ = torch.arange(bins[axis], device=rois.device)[:, None]
                part = torch.arange(grid[axis], device=rois.device) + 0.5
                width = step[ids, axis, None, None]
                coord = start[ids, axis, None, None] + bin_ * width
                coords.append(coord + part * width / grid[axis])
                cell, weight = _clamped_taps(coords[axis], shape[axis])
                cells.append(cell)
                weights.append(weight)
            image = rois[ids, 0].long().view(-1, 1, 1, 1)
            rows = (image * shape[0] + cells[0]) * shape[1]
            yield (ids, *coords,
                   rows[:, :, None, :, None, :, None] +
                   cells[1][:, None, :, None, :, None],
                   weights[0][:, :, None, :, None, :, None] *
                   weights[1][:, None, :, None, :, None])


def _weighted_rows(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum rows of (R, C) by index and weight (S, taps) into (S, C)."""
    return F.embedding_bag(index, table, mode='sum', per_sample_weights=weight)


def _as_rows(maps: Tensor) -> Tensor:
    """Turn (N, C, H, W) into (N * H * W, C)."""
    # A transposed view would be read 20 times slower.
    rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return rows.contiguous()


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor,
                      argmax_y: Tensor, argmax_x: Tensor, aligned_height: int,
                      aligned_width: int, spatial_scale: float,
                      sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """Pool RoIs from bilinear samples; for ``mmcv.ops.roi_align``.

    A RoI of negative size, for which mmcv's CPU code stops, has no samples:
    it gives 0 (average) or -10000 (maximum).

    Args:
        input (Tensor): (N, C, H, W).
        rois (Tensor): (M, 5).
        output (Tensor): Output, (M, C, P, Q).
        argmax_y (Tensor): Output for ``pool_mode`` 0, like ``output``: the
            row of the largest sample in cells, -1 without one.
        argmax_x (Tensor): The same for the column.
        aligned_height (int): P.
        aligned_width (int): Q.
        spatial_scale (float): Cells per image pixel.
        sampling_ratio (int): Samples per bin and axis; 0 for one per cell.
        pool_mode (int): 0 for the maximum of the samples, 1 for their mean.
        aligned (bool): Whether cell centres lie at half coordinates.
    """
    dtype = _compute_dtype(input)
    channels, bins = input.shape[1], (aligned_height, aligned_width)
    rois = rois.to(dtype)
    # On a CPU torchvision works in one thread and is slower than this file.
    ops = (None if pool_mode == 0 or input.device.type == 'cpu' else
           _torchvision_ops(input.device.type))
    if ops is not None:
        output.copy_(
            ops.roi_align(
                input.to(dtype), rois, spatial_scale, *bins, sampling_ratio,
                aligned))
        return
    table = _as_rows(input.to(dtype))
    budget = SAMPLE_BUDGET
    if pool_mode == 0:
        budget = VALUE_BUDGET // max(1, channels)
        argmax_y.fill_(-1)
        argmax_x.fill_(-1)
    output.fill_(MAX_START if pool_mode == 0 else 0)
    for ids, y, x, index, weight in _roi_samples(
            rois, input.shape[2:], bins, spatial_scale, sampling_ratio,
            aligned, budget):
        count = y.shape[2] * x.shape[2]
        if pool_mode == 1:
            values = _weighted_rows(table, index.reshape(-1, count * 4),
                                    weight.reshape(-1, count * 4)) / count
            values = values.view(len(ids), *bins, channels)
            output[ids] = values.permute(0, 3, 1, 2).to(output)
            continue
        values = _weighted_rows(table, index.reshape(-1, 4),
                                weight.reshape(-1, 4))
        values = values.view(len(ids), *bins, count, channels)
        peak, at = values.permute(0, 4, 1, 2, 3).max(-1)
        found = peak > MAX_START
        rows = y[:, None, :, None].expand(*peak.shape, -1)
        columns = x[:, None, None].expand(*peak.shape, -1)
        rows = rows.gather(-1, at[..., None] // x.shape[2])[..., 0]
        columns = columns.gather(-1, at[..., None] % x.shape[2])[..., 0]
        output[ids] = torch.where(found, peak, MAX_START).to(output)
        argmax_y[ids] = torch.where(found, rows, -1.).to(argmax_y)
        argmax_x[ids] = torch.where(found, columns, -1.).to(argmax_x)


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor,
                       argmax_x: Tensor, grad_input: Tensor,
                       aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int,
                       pool_mode: int, aligned: bool) -> None:
    """Add the gradient of `roi_align_forward` by its input.

    Args:
        grad_output (Tensor): (M, C, P, Q).
        rois (Tensor): (M, 5).
        argmax_y (Tensor): As written by the forward pass, for ``pool_mode``
            0.
        argmax_x (Tensor): The same for the column.
        grad_input (Tensor): Output, (N, C, H, W); added to.
        aligned_height (int): P.
        aligned_width (int): Q.
        spatial_scale (float): Cells per image pixel.
        sampling_ratio (int): Samples per bin and axis; 0 for one per cell.
        pool_mode (int): 0 for the maximum of the samples, 1 for their mean.
        aligned (bool): Whether cell centres lie at half coordinates.
    """
    dtype = _compute_dtype(grad_output)
    bins = (aligned_height, aligned_width)
    images, channels, height, width = grad_input.shape
    grad_output, rois = grad_output.to(dtype), rois.to(dtype)
    if pool_mode == 0:
        grad_input += _max_gradient(grad_output, rois, argmax_y.to(dtype),
                                    argmax_x.to(dtype), grad_input.shape)
        return
    ops = (None if grad_output.device.type == 'cpu' else _torchvision_ops(
        grad_output.device.type))
    if ops is not None:
        grad_input += ops._roi_align_backward(
            grad_output, rois, spatial_scale, *bins, images, channels, height,
            width, sampling_ratio, aligned)
        return
    table = grad_output.new_zeros(images * height * width, channels)
    for ids, y, x, index, weight in _roi_samples(
            rois, (height, width), bins, spatial_scale, sampling_ratio,
            aligned, SAMPLE_BUDGET):
        count = y.shape[2] * x.shape[2]
        rows = _as_rows(grad_output[ids])
        # The same sums the other way round: sorted by cell, each cell takes
        # the weighted bins that looked at it.
        cells, order = index.flatten().sort()
        cells, looks = cells.unique_consecutive(return_counts=True)
        table[cells] += F.embedding_bag(
            order // (4 * count),
            rows / count,
            looks.cumsum(0) - looks,
            mode='sum',
            per_sample_weights=weight.flatten()[order])
    grad_input += table.view(images, height, width,
                             channels).permute(0, 3, 1, 2)


def _max_gradient(grad_output: Tensor, rois: Tensor, argmax_y: Tensor,
                  argmax_x: Tensor, shape: Tuple[int, ...]) -> Tensor:
    """Spread gradients (M, C, P, Q) to the taps of each largest sample."""
    _, channels, height, width = shape
    grad = grad_output.new_zeros(torch.Size(shape).numel())
    plane = torch.arange(channels, device=rois.device).view(-1, 1, 1, 1)
    for ids in torch.arange(len(rois), device=rois.device).split(
            max(1, VALUE_BUDGET // max(1, 4 * grad_output[:1].numel()))):
        rows, row_weight = _clamped_taps(argmax_y[ids], height)
        columns, column_weight = _clamped_taps(argmax_x[ids], width)
        # As in mmcv, a sample at exactly -1 counts as none.
        part = grad_output[ids].masked_fill(argmax_y[ids] == -1, 0)
        image = rois[ids, 0].long().view(-1, 1, 1, 1, 1)
        rows = ((image * channels + plane) * height + rows) * width
        grad.index_add_(
            0, (rows[..., None] + columns[..., None, :]).flatten(),
            (part[..., None, None] * row_weight[..., None] *
             column_weight[..., None, :]).flatten())
    return grad.view(shape)


def roi_pool_forward(input: Tensor, rois: Tensor, output: Tensor,
                     argmax: Tensor, pooled_height: int, pooled_width: int,
                     spatial_scale: float) -> None:
    """Pool RoIs by the maximum of whole cells; for ``mmcv.ops.roi_pool``.

    Args:
        input (Tensor): (N, C, H, W).
        rois (Tensor): (M, 5), last pixel included.
        output (Tensor): Output, (M, C, P, Q), 0 for an empty bin.
        argmax (Tensor): Output, (M, C, P, Q) int, cell y * W + x of the
            maximum, -1 for an empty bin.
        pooled_height (int): P.
        pooled_width (int): Q.
        spatial_scale (float): Cells per image pixel.
    """
    output.zero_()
    argmax.fill_(-1)
    height, width = input.shape[2:]
    rois = rois.to(_compute_dtype(rois))
    start = rois[:, [2, 1]] * spatial_scale
    extent = (rois[:, [4, 3]] + 1) * spatial_scale - start
    sides = []
    for axis, (bins, size) in enumerate([(pooled_height, height),
                                         (pooled_width, width)]):
        edge = torch.arange(bins + 1, device=rois.device)
        edge = edge * (extent[:, axis, None] / bins) + start[:, axis, None]
        sides.append([
            edge[:, :-1].floor().clamp(0, size).long().tolist(),
            edge[:, 1:].ceil().clamp(0, size).long().tolist()
        ])
    usable = (extent > 0).all(1).tolist()
    for roi, image in enumerate(rois[:, 0].long().tolist()):
        rows = list(enumerate(zip(sides[0][0][roi], sides[0][1][roi])))
        columns = list(enumerate(zip(sides[1][0][roi], sides[1][1][roi])))
        for p, (top, bottom) in rows:
            for q, (left, right) in columns:
                if not usable[roi] or bottom <= top or right <= left:
                    continue
                cells = input[image, :, top:bottom, left:right].flatten(1)
                output[roi, :, p, q], at = cells.max(1)
                argmax[roi, :, p, q] = ((top + at // (right - left)) * width +
                                        left + at % (right - left))


def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor,
                      grad_input: Tensor, pooled_height: int,
                      pooled_width: int, spatial_scale: float) -> None:
    """Add the gradient of `roi_pool_forward` by its input.

    Args:
        grad_output (Tensor): (M, C, P, Q).
        rois (Tensor): (M, 5).
        argmax (Tensor): As written by the forward pass.
        grad_input (Tensor): Output, (N, C, H, W); added to.
        pooled_height (int): P.
        pooled_width (int): Q.
        spatial_scale (float): Not needed, ``argmax`` holds the cells.
    """
    _, channels, height, width = grad_input.shape
    plane = torch.arange(channels, device=rois.device).view(-1, 1, 1)
    image = rois[:, 0].long().view(-1, 1, 1, 1)
    index = (image * channels + plane) * height * width + argmax.clamp(min=0)
    grad = grad_output.masked_fill(argmax < 0, 0)
    grad = grad.to(_compute_dtype(grad))
    total = grad.new_zeros(grad_input.numel())
    total.index_add_(0, index.flatten(), grad.flatten())
    grad_input += total.view(grad_input.shape)


# -- focal losses -------------------------------------------------------------


def _class_weights(target: Tensor, weight: Tensor, classes: int) -> Tensor:
    """Look up (M,) weights; 1 for no weights and for the background label."""
    if weight.numel() == 0:
        weight = weight.new_ones(classes)
    weight = F.pad(weight, (0, 1), value=1.)
    known = (target >= 0) & (target < classes)
    return weight[torch.where(known, target, classes)]


def _positives(input: Tensor, target: Tensor) -> Tensor:
    classes = torch.arange(input.shape[1], device=input.device)
    return target[:, None] == classes


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor,
                               output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Compute focal loss per class; for ``mmcv.ops.sigmoid_focal_loss``.

    With p the sigmoid of a logit it is -alpha (1 - p)^gamma log(p) for the
    class of the label, -(1 - alpha) p^gamma log(1 - p) for the others. The
    logarithms are taken of the logit, so a confident wrong logit is not cut
    off at 87 as in mmcv's CUDA code.

    Args:
        input (Tensor): (M, classes) logits.
        target (Tensor): (M,) long labels; ``classes`` is background.
        weight (Tensor): (classes,) factors by label, or empty for none. The
            background, for which mmcv reads past the end, has factor 1.
        output (Tensor): Output, (M, classes).
        gamma (float): Focusing exponent.
        alpha (float): Share of the positive term.
    """
    logits = input.to(_compute_dtype(input))
    p = logits.sigmoid()
    positive = -alpha * (1 - p)**gamma * F.logsigmoid(logits)
    negative = -(1 - alpha) * p**gamma * F.logsigmoid(-logits)
    loss = torch.where(_positives(input, target), positive, negative)
    factor = _class_weights(target, weight, input.shape[1])
    output.copy_(loss * factor[:, None])


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor,
                                grad_input: Tensor, gamma: float,
                                alpha: float) -> None:
    """Write the derivative of each loss by its own logit.

    Args:
        input (Tensor): (M, classes) logits.
        target (Tensor): (M,) long labels; ``classes`` is background.
        weight (Tensor): (classes,) factors by label, or empty for none.
        grad_input (Tensor): Output, (M, classes).
        gamma (float): Focusing exponent.
        alpha (float): Share of the positive term.
    """
    logits = input.to(_compute_dtype(input))
    p = logits.sigmoid()
    positive = -alpha * (1 - p)**gamma * (
        1 - p - gamma * p * F.logsigmoid(logits))
    negative = -(1 - alpha) * p**gamma * (
        gamma * (1 - p) * F.logsigmoid(-logits) - p)
    grad = torch.where(_positives(input, target), positive, negative)
    factor = _class_weights(target, weight, input.shape[1])
    grad_input.copy_(grad * factor[:, None])


def _label_probability(softmax: Tensor, target: Tensor) -> Tensor:
    """Pick (M,) probabilities of the labels; 1, so no loss, outside."""
    label = target.clamp(0, softmax.shape[1] - 1)[:, None]
    p = softmax.to(_compute_dtype(softmax)).gather(1, label)[:, 0]
    return torch.where((target >= 0) & (target < softmax.shape[1]), p, 1.)


def softmax_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor,
                               output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Compute focal loss per row; for ``mmcv.ops.softmax_focal_loss``.

    With p the probability of the label it is -alpha (1 - p)^gamma log(p).

    Args:
        input (Tensor): (M, classes) probabilities, rows sum to 1.
        target (Tensor): (M,) long labels; others than a class give 0.
        weight (Tensor): (classes,) factors by label, or empty for none.
        output (Tensor): Output, (M,).
        gamma (float): Focusing exponent.
        alpha (float): Factor.
    """
    p = _label_probability(input, target)
    log_p = p.clamp(min=torch.finfo(torch.float32).tiny).log()
    factor = _class_weights(target, weight, input.shape[1])
    output.copy_(-alpha * (1 - p)**gamma * log_p * factor)


def softmax_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor,
                                buff: Tensor, grad_input: Tensor,
                                gamma: float, alpha: float) -> None:
    """Write the derivative of each loss by its row of logits.

    Args:
        input (Tensor): (M, classes) probabilities, rows sum to 1.
        target (Tensor): (M,) long labels; others than a class give 0.
        weight (Tensor): (classes,) factors by label, or empty for none.
        buff (Tensor): Output, (M,), derivative by the label's logit over
            1 - p.
        grad_input (Tensor): Output, (M, classes).
        gamma (float): Focusing exponent.
        alpha (float): Factor.
    """
    p = _label_probability(input, target)
    log_p = p.clamp(min=torch.finfo(torch.float32).tiny).log()
    # log(p) / (1 - p) tends to -1, which keeps gamma < 1 finite at p = 1.
    ratio = torch.where(p < 1, log_p / (1 - p), -1.)
    slope = alpha * (1 - p)**gamma * (gamma * p * ratio - 1)
    slope = slope * _class_weights(target, weight, input.shape[1])
    known = (target >= 0) & (target < input.shape[1])
    slope = torch.where(known, slope, 0.)
    buff.copy_(slope)
    grad_input.copy_(slope[:, None] * (_positives(input, target).to(slope) -
                                       input.to(slope)))


# -- deformable attention -----------------------------------------------------


def _attend(value: Tensor, shapes: Tensor, starts: Tensor, locations: Tensor,
            weights: Tensor) -> Tensor:
    images, queries, heads = weights.shape[:3]
    total = value.new_zeros(images * heads, value.shape[3], queries)
    for level, (start, (height, width)) in enumerate(
            zip(starts.tolist(), shapes.tolist())):
        cells = value[:, start:start + height * width].permute(0, 2, 3, 1)
        where = 2 * locations[:, :, :, level].transpose(1, 2) - 1
        samples = F.grid_sample(
            cells.reshape(images * heads, -1, height, width),
            where.flatten(0, 1),
            align_corners=False)
        share = weights[:, :, :, level].transpose(1, 2).flatten(0, 1)
        total = total + (samples * share[:, None]).sum(-1)
    return total.view(images, -1, queries).transpose(1, 2).contiguous()


def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor,
                           value_level_start_index: Tensor,
                           sampling_locations: Tensor,
                           attention_weights: Tensor,
                           im2col_step: int) -> Tensor:
    """Attend to a few bilinear samples per query, head and level.

    Stands for ``mmcv.ops.MultiScaleDeformableAttention``'s function.

    Args:
        value (Tensor): (N, cells of all levels, heads, D).
        value_spatial_shapes (Tensor): (L, 2) long, H and W per level.
        value_level_start_index (Tensor): (L,) long, first cell per level.
        sampling_locations (Tensor): (N, queries, heads, L, points, 2), x
            and y in [0, 1] across the level; outside it is 0.
        attention_weights (Tensor): (N, queries, heads, L, points).
        im2col_step (int): Not needed, all images are done at once.

    Returns:
        Tensor: (N, queries, heads * D), like ``value``.
    """
    dtype = _compute_dtype(value)
    return _attend(
        value.to(dtype), value_spatial_shapes, value_level_start_index,
        sampling_locations.to(dtype), attention_weights.to(dtype)).to(value)


def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor,
                            value_level_start_index: Tensor,
                            sampling_locations: Tensor,
                            attention_weights: Tensor, grad_output: Tensor,
                            grad_value: Tensor, grad_sampling_loc: Tensor,
                            grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """Add the gradients of `ms_deform_attn_forward`.

    Args:
        value (Tensor): (N, cells of all levels, heads, D).
        value_spatial_shapes (Tensor): (L, 2) long, H and W per level.
        value_level_start_index (Tensor): (L,) long, first cell per level.
        sampling_locations (Tensor): (N, queries, heads, L, points, 2).
        attention_weights (Tensor): (N, queries, heads, L, points).
        grad_output (Tensor): (N, queries, heads * D).
        grad_value (Tensor): Output, like ``value``; added to.
        grad_sampling_loc (Tensor): Output, like ``sampling_locations``;
            added to.
        grad_attn_weight (Tensor): Output, like ``attention_weights``; added
            to.
        im2col_step (int): Not needed, all images are done at once.
    """
    _add_gradients(
        lambda value, where, share: _attend(
            value, value_spatial_shapes, value_level_start_index, where, share
        ), [value, sampling_locations, attention_weights], grad_output,
        [grad_value, grad_sampling_loc, grad_attn_weight])


def _add_gradients(function: Callable[..., Tensor], inputs: List[Tensor],
                   grad_output: Tensor, grads: List[Tensor]) -> None:
    """Run a function again with autograd; add its gradients in place."""
    dtype = _compute_dtype(inputs[0])
    leaves = [x.detach().to(dtype).requires_grad_() for x in inputs]
    with torch.enable_grad():
        output = function(*leaves)
    results = torch.autograd.grad(output, leaves, grad_output.to(dtype))
    for grad, result in zip(grads, results):
        grad += result


# -- deformable convolution ---------------------------------------------------


def _padded_taps(coord: Tensor, size: int) -> Tuple[Tensor, Tensor]:
    """Find cells and weights as `_clamped_taps`, with zeros outside."""
    low = coord.detach().floor()
    part = coord - low
    cells = torch.stack([low, low + 1], -1)
    # At exactly -1 the weight is 0 but its slope is not; mmcv has neither.
    valid = (cells >= 0) & (cells < size) & (coord > -1)[..., None]
    weight = torch.stack([1 - part, part], -1)
    return (cells.long().clamp(0, size - 1), weight.masked_fill(~valid, 0))


def _deform_image(image: Tensor, offset: Tensor, mask: Optional[Tensor],
                  weight: Tensor, stride: Tuple[int, int],
                  padding: Tuple[int, int], dilation: Tuple[int, int],
                  groups: int, deform_groups: int) -> Tensor:
    """Convolve one image at displaced positions.

    Args:
        image (Tensor): (C, H, W).
        offset (Tensor): (deform_groups * K * 2, P, Q), y before x, in cells.
            Of more values the first ones count.
        mask (Tensor, optional): (deform_groups * K, P, Q) factors, likewise.
        weight (Tensor): (C_out, C / groups, kernel height, kernel width).
        stride (tuple[int]): Step in cells, y and x.
        padding (tuple[int]): Zero cells around the image, y and x.
        dilation (tuple[int]): Cells between kernel taps, y and x.
        groups (int): Channel groups of the convolution.
        deform_groups (int): Channel groups with offsets of their own.

    Returns:
        Tensor: (C_out, P, Q).
    """
    shape = image.shape[1:]
    kernel = weight.shape[2:]
    size = torch.Size(
        (shape[axis] + 2 * padding[axis] - dilation[axis] *
         (kernel[axis] - 1) - 1) // stride[axis] + 1 for axis in range(2))
    count = deform_groups * kernel.numel() * size.numel()
    # mmcv takes offsets and masks as flat memory of the output's size. DyHead
    # passes those of a larger map, and its weights were trained like that.
    offset = offset.flatten()[:2 * count]
    offset = offset.view(deform_groups, *kernel, 2, *size)
    cells, weights = [], []
    for axis in range(2):
        device = image.device
        tap = torch.arange(kernel[axis], device=device) * dilation[axis]
        out = torch.arange(size[axis], device=device) * stride[axis]
        view = [1] * 4
        view[axis], view[axis + 2] = kernel[axis], 1
        grid = tap.view(view)
        view[axis], view[axis + 2] = 1, size[axis]
        grid = grid + out.view(view) - padding[axis]
        cell, share = _padded_taps(grid + offset[:, :, :, axis], shape[axis])
        cells.append(cell)
        weights.append(share)
    group = torch.arange(deform_groups, device=image.device)
    rows = (group.view(-1, 1, 1, 1, 1, 1) * shape[0] + cells[0]) * shape[1]
    index = rows[..., None] + cells[1][..., None, :]
    share = weights[0][..., None] * weights[1][..., None, :]
    if mask is not None:
        mask = mask.flatten()[:count].view(deform_groups, *kernel, *size)
        share = share * mask[..., None, None]
    table = _as_rows(image.view(deform_groups, -1, *shape))
    columns = _weighted_rows(table, index.view(-1, 4), share.reshape(-1, 4))
    columns = columns.view(deform_groups, kernel.numel(), size.numel(), -1)
    columns = columns.permute(0, 3, 1, 2).reshape(groups, -1, size.numel())
    # Autocast would round the product of float32 inputs to float16.
    with torch.autocast(image.device.type, enabled=False):
        return (weight.view(groups, -1, columns.shape[1])
                @ columns).view(-1, *size)


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor,
                                  ones: Tensor, offset: Tensor, mask: Tensor,
                                  output: Tensor, columns: Tensor,
                                  kernel_h: int, kernel_w: int, stride_h: int,
                                  stride_w: int, pad_h: int, pad_w: int,
                                  dilation_h: int, dilation_w: int,
                                  group: int, deformable_group: int,
                                  with_bias: bool) -> None:
    """Run deformable convolution v2; for ``modulated_deform_conv2d``.

    Args:
        input (Tensor): (N, C, H, W).
        weight (Tensor): (C_out, C / group, kernel_h, kernel_w).
        bias (Tensor): (C_out,), or empty.
        ones (Tensor): Not needed, work space.
        offset (Tensor): (N, deformable_group * K * 2, P, Q), y before x, in
            cells.
        mask (Tensor): (N, deformable_group * K, P, Q) factors.
        output (Tensor): Output, (N, C_out, P, Q).
        columns (Tensor): Not needed, work space.
        kernel_h (int): Kernel height, as in ``weight``.
        kernel_w (int): Kernel width.
        stride_h (int): Step in y, in cells.
        stride_w (int): Step in x.
        pad_h (int): Zero rows above and below.
        pad_w (int): Zero columns left and right.
        dilation_h (int): Cells between kernel taps in y.
        dilation_w (int): The same in x.
        group (int): Channel groups of the convolution.
        deformable_group (int): Channel groups with offsets of their own.
        with_bias (bool): Whether ``bias`` is added.
    """
    dtype = _compute_dtype(input)
    geometry = ((stride_h, stride_w), (pad_h, pad_w),
                (dilation_h, dilation_w), group, deformable_group)
    for image in range(len(input)):
        result = _deform_image(input[image].to(dtype), offset[image].to(dtype),
                               mask[image].to(dtype), weight.to(dtype),
                               *geometry)
        if with_bias:
            result += bias.to(dtype)[:, None, None]
        output[image] = result


def modulated_deform_conv_backward(
        input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
        offset: Tensor, mask: Tensor, columns: Tensor, grad_input: Tensor,
        grad_weight: Tensor, grad_bias: Tensor, grad_offset: Tensor,
        grad_mask: Tensor, grad_output: Tensor, kernel_h: int, kernel_w: int,
        stride_h: int, stride_w: int, pad_h: int, pad_w: int, dilation_h: int,
        dilation_w: int, group: int, deformable_group: int,
        with_bias: bool) -> None:
    """Add the gradients of `modulated_deform_conv_forward`.

    Args:
        input (Tensor): (N, C, H, W).
        weight (Tensor): (C_out, C / group, kernel_h, kernel_w).
        bias (Tensor): Not needed.
        ones (Tensor): Not needed, work space.
        offset (Tensor): (N, deformable_group * K * 2, P, Q).
        mask (Tensor): (N, deformable_group * K, P, Q).
        columns (Tensor): Not needed, work space.
        grad_input (Tensor): Output, like ``input``; added to.
        grad_weight (Tensor): Output, like ``weight``; added to.
        grad_bias (Tensor): Output, like ``bias``; added to.
        grad_offset (Tensor): Output, like ``offset``; added to.
        grad_mask (Tensor): Output, like ``mask``; added to.
        grad_output (Tensor): (N, C_out, P, Q).
        kernel_h (int): Kernel height, as in ``weight``.
        kernel_w (int): Kernel width.
        stride_h (int): Step in y, in cells.
        stride_w (int): Step in x.
        pad_h (int): Zero rows above and below.
        pad_w (int): Zero columns left and right.
        dilation_h (int): Cells between kernel taps in y.
        dilation_w (int): The same in x.
        group (int): Channel groups of the convolution.
        deformable_group (int): Channel groups with offsets of their own.
        with_bias (bool): Whether there is a bias.
    """
    geometry = ((stride_h, stride_w), (pad_h, pad_w),
                (dilation_h, dilation_w), group, deformable_group)
    for image in range(len(input)):
        _add_gradients(
            lambda *tensors: _deform_image(*tensors, *geometry),
            [input[image], offset[image], mask[image], weight],
            grad_output[image], [
                grad_input[image], grad_offset[image], grad_mask[image],
                grad_weight
            ])
    if with_bias:
        grad_bias += grad_output.sum((0, 2, 3))


def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor,
                        output: Tensor, columns: Tensor, ones: Tensor, kW: int,
                        kH: int, dW: int, dH: int, padW: int, padH: int,
                        dilationW: int, dilationH: int, group: int,
                        deformable_group: int, im2col_step: int) -> None:
    """Run deformable convolution; stands for ``mmcv.ops.deform_conv2d``.

    Args:
        input (Tensor): (N, C, H, W).
        weight (Tensor): (C_out, C / group, kH, kW).
        offset (Tensor): (N, deformable_group * K * 2, P, Q), y before x, in
            cells.
        output (Tensor): Output, (N, C_out, P, Q).
        columns (Tensor): Not needed, work space.
        ones (Tensor): Not needed, work space.
        kW (int): Kernel width, as in ``weight``.
        kH (int): Kernel height.
        dW (int): Step in x, in cells.
        dH (int): Step in y.
        padW (int): Zero columns left and right.
        padH (int): Zero rows above and below.
        dilationW (int): Cells between kernel taps in x.
        dilationH (int): The same in y.
        group (int): Channel groups of the convolution.
        deformable_group (int): Channel groups with offsets of their own.
        im2col_step (int): Not needed, images are done one by one.

    Raises:
        ValueError: If ``offset`` is for another size than the output's.
    """
    expected = (2 * deformable_group * kH * kW, *output.shape[2:])
    if tuple(offset.shape[1:]) != expected:
        raise ValueError(
            f'deform_conv_forward: offset must have shape (N, '
            f'{", ".join(map(str, expected))}), got {tuple(offset.shape)}; '
            'compute it with the stride, padding, dilation and kernel size '
            'of the convolution.')
    dtype = _compute_dtype(input)
    for image in range(len(input)):
        output[image] = _deform_image(
            input[image].to(dtype), offset[image].to(dtype), None,
            weight.to(dtype), (dH, dW), (padH, padW), (dilationH, dilationW),
            group, deformable_group)


def deform_conv_backward_input(input: Tensor, offset: Tensor,
                               grad_output: Tensor, grad_input: Tensor,
                               grad_offset: Tensor, weight: Tensor,
                               columns: Tensor, kW: int, kH: int, dW: int,
                               dH: int, padW: int, padH: int, dilationW: int,
                               dilationH: int, group: int,
                               deformable_group: int,
                               im2col_step: int) -> None:
    """Add the gradients of `deform_conv_forward` by input and offset.

    Args:
        input (Tensor): (N, C, H, W).
        offset (Tensor): (N, deformable_group * K * 2, P, Q).
        grad_output (Tensor): (N, C_out, P, Q).
        grad_input (Tensor): Output, like ``input``; added to.
        grad_offset (Tensor): Output, like ``offset``; added to.
        weight (Tensor): (C_out, C / group, kH, kW).
        columns (Tensor): Not needed, work space.
        kW (int): Kernel width, as in ``weight``.
        kH (int): Kernel height.
        dW (int): Step in x, in cells.
        dH (int): Step in y.
        padW (int): Zero columns left and right.
        padH (int): Zero rows above and below.
        dilationW (int): Cells between kernel taps in x.
        dilationH (int): The same in y.
        group (int): Channel groups of the convolution.
        deformable_group (int): Channel groups with offsets of their own.
        im2col_step (int): Not needed, images are done one by one.
    """
    weight = weight.to(_compute_dtype(input))
    geometry = ((dH, dW), (padH, padW), (dilationH, dilationW), group,
                deformable_group)
    for image in range(len(input)):
        _add_gradients(
            lambda x, where: _deform_image(x, where, None, weight, *geometry),
            [input[image], offset[image]], grad_output[image],
            [grad_input[image], grad_offset[image]])


def deform_conv_backward_parameters(
        input: Tensor, offset: Tensor, grad_output: Tensor,
        grad_weight: Tensor, columns: Tensor, ones: Tensor, kW: int, kH: int,
        dW: int, dH: int, padW: int, padH: int, dilationW: int, dilationH: int,
        group: int, deformable_group: int, scale: float,
        im2col_step: int) -> None:
    """Add the gradient of `deform_conv_forward` by its weight.

    Args:
        input (Tensor): (N, C, H, W).
        offset (Tensor): (N, deformable_group * K * 2, P, Q).
        grad_output (Tensor): (N, C_out, P, Q).
        grad_weight (Tensor): Output, (C_out, C / group, kH, kW); added to.
        columns (Tensor): Not needed, work space.
        ones (Tensor): Not needed, work space.
        kW (int): Kernel width, as in ``grad_weight``.
        kH (int): Kernel height.
        dW (int): Step in x, in cells.
        dH (int): Step in y.
        padW (int): Zero columns left and right.
        padH (int): Zero rows above and below.
        dilationW (int): Cells between kernel taps in x.
        dilationH (int): The same in y.
        group (int): Channel groups of the convolution.
        deformable_group (int): Channel groups with offsets of their own.
        scale (float): Factor of the gradient.
        im2col_step (int): Not needed, images are done one by one.
    """
    dtype = _compute_dtype(input)
    geometry = ((dH, dW), (padH, padW), (dilationH, dilationW), group,
                deformable_group)
    # The convolution is linear in its weight: any value has this gradient.
    weight = torch.zeros_like(grad_weight)
    for image in range(len(input)):
        x, where = input[image].to(dtype), offset[image].to(dtype)
        _add_gradients(
            lambda weight: _deform_image(x, where, None, weight, *geometry),
            [weight], scale * grad_output[image], [grad_weight])


OPS: Dict[str, Callable] = {
    function.__name__: function
    for function in (
        bbox_overlaps,
        deform_conv_backward_input,
        deform_conv_backward_parameters,
        deform_conv_forward,
        modulated_deform_conv_backward,
        modulated_deform_conv_forward,
        ms_deform_attn_backward,
        ms_deform_attn_forward,
        nms,
        nms_match,
        roi_align_backward,
        roi_align_forward,
        roi_pool_backward,
        roi_pool_forward,
        sigmoid_focal_loss_backward,
        sigmoid_focal_loss_forward,
        softmax_focal_loss_backward,
        softmax_focal_loss_forward,
        softnms,
    )
}
