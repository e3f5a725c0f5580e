"""Pooling of regions of interest."""
import torch
import torch.nn.functional as F

from .common import as_rows, compute_dtype, torchvision_ops, weighted_rows

# Bilinear samples handled at once; one costs 48 bytes of indices and weights.
SAMPLE_BUDGET = 2**19
# Values handled at once where samples are kept apart (max pooling).
VALUE_BUDGET = 2**24
# What mmcv's CPU code starts a maximum from, so also an empty bin's value.
MAX_START = -10000.


def _clamped_taps(coord, size):
    """Find the two cells (long) around a coordinate and their weights, both
    (..., 2). A coordinate up to one cell outside counts as the border, further
    out as nothing."""
    inside = (coord >= -1) & (coord <= size)
    coord = coord.clamp(0, size - 1)
    # The second clamp is for NaN, of which torch makes any integer.
    low = coord.long().clamp(0, size - 1)
    high = (low + 1).clamp(max=size - 1)
    part = coord - low
    weight = torch.stack([1 - part, part], -1)
    return (torch.stack([low, high], -1),
            weight.masked_fill(~inside[..., None], 0))


def _roi_samples(rois, shape, bins, spatial_scale, sampling_ratio, aligned,
                 budget):
    """Lay out the bilinear samples of RoIs, grouped by samples per bin.

    ``shape`` is H and W of the feature map, ``bins`` P and Q; a group has
    ``budget`` samples at most, unless one RoI has more. Yields RoI numbers
    (m,); sample coordinates y (m, P, g) and x (m, Q, h) in cells; positions in
    the flattened (N, H, W) map and weights of the four taps, both
    (m, P, Q, g, h, 2, 2). RoIs without a sample are left out.
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


def roi_align_forward(input, rois, output, argmax_y, argmax_x, aligned_height,
                      aligned_width, spatial_scale, sampling_ratio, pool_mode,
                      aligned):
    """Pool RoIs from bilinear samples.

    ``pool_mode`` is 0 for the maximum and 1 for the mean of the samples. For
    the maximum, ``argmax_y`` and ``argmax_x`` receive the place of the largest
    sample in cells, -1 without one. A RoI of negative size, for which mmcv's
    CPU code stops, has no samples: it gives 0 (mean) or -10000 (maximum).
    """
    dtype = compute_dtype(input)
    channels, bins = input.shape[1], (aligned_height, aligned_width)
    rois = rois.to(dtype)
    # On a CPU torchvision works in one thread and is slower than this file.
    ops = (None if pool_mode == 0 or input.device.type == 'cpu' else
           torchvision_ops(input.device.type))
    if ops is not None:
        output.copy_(
            ops.roi_align(
                input.to(dtype), rois, spatial_scale, *bins, sampling_ratio,
                aligned))
        return
    table = as_rows(input.to(dtype))
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
            values = weighted_rows(table, index.reshape(-1, count * 4),
                                    weight.reshape(-1, count * 4)) / count
            values = values.view(len(ids), *bins, channels)
            output[ids] = values.permute(0, 3, 1, 2).to(output)
            continue
        values = weighted_rows(table, index.reshape(-1, 4),
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


def roi_align_backward(grad_output, rois, argmax_y, argmax_x, grad_input,
                       aligned_height, aligned_width, spatial_scale,
                       sampling_ratio, pool_mode, aligned):
    """Add the gradient of `roi_align_forward` with respect to its input."""
    dtype = compute_dtype(grad_output)
    bins = (aligned_height, aligned_width)
    images, channels, height, width = grad_input.shape
    grad_output, rois = grad_output.to(dtype), rois.to(dtype)
    if pool_mode == 0:
        grad_input += _max_gradient(grad_output, rois, argmax_y.to(dtype),
                                    argmax_x.to(dtype), grad_input.shape)
        return
    ops = (None if grad_output.device.type == 'cpu' else torchvision_ops(
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
        rows = as_rows(grad_output[ids])
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


def _max_gradient(grad_output, rois, argmax_y, argmax_x, shape):
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


def roi_pool_forward(input, rois, output, argmax, pooled_height, pooled_width,
                     spatial_scale):
    """Pool RoIs, last pixel included, by the maximum of whole cells.

    ``argmax`` receives its cell y * W + x; an empty bin gives 0 and cell -1.
    """
    output.zero_()
    argmax.fill_(-1)
    height, width = input.shape[2:]
    rois = rois.to(compute_dtype(rois))
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


def roi_pool_backward(grad_output, rois, argmax, grad_input, pooled_height,
                      pooled_width, spatial_scale):
    """Add the gradient of `roi_pool_forward` with respect to its input."""
    _, channels, height, width = grad_input.shape
    plane = torch.arange(channels, device=rois.device).view(-1, 1, 1)
    image = rois[:, 0].long().view(-1, 1, 1, 1)
    index = (image * channels + plane) * height * width + argmax.clamp(min=0)
    grad = grad_output.masked_fill(argmax < 0, 0)
    grad = grad.to(compute_dtype(grad))
    total = grad.new_zeros(grad_input.numel())
    total.index_add_(0, index.flatten(), grad.flatten())
    grad_input += total.view(grad_input.shape)
