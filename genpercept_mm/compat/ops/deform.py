"""Deformable attention and deformable convolution."""
import torch
import torch.nn.functional as F

from .common import add_gradients, as_rows, compute_dtype, weighted_rows


def _attend(value, shapes, starts, locations, weights):
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


def ms_deform_attn_forward(value, value_spatial_shapes,
                           value_level_start_index, sampling_locations,
                           attention_weights, im2col_step):
    """Attend to a few bilinear samples per query, head and level.

    Shapes: ``value`` (N, cells of all levels, heads, D),
    ``value_spatial_shapes`` (L, 2), ``sampling_locations`` (N, queries, heads,
    L, points, 2), as x and y in [0, 1] across the level and 0 outside,
    ``attention_weights`` (N, queries, heads, L, points). Returns (N, queries,
    heads * D).
    """
    dtype = compute_dtype(value)
    return _attend(
        value.to(dtype), value_spatial_shapes, value_level_start_index,
        sampling_locations.to(dtype), attention_weights.to(dtype)).to(value)


def ms_deform_attn_backward(value, value_spatial_shapes,
                            value_level_start_index, sampling_locations,
                            attention_weights, grad_output, grad_value,
                            grad_sampling_loc, grad_attn_weight, im2col_step):
    """Add the gradients of `ms_deform_attn_forward`."""
    add_gradients(
        lambda value, where, share: _attend(
            value, value_spatial_shapes, value_level_start_index, where, share
        ), [value, sampling_locations, attention_weights], grad_output,
        [grad_value, grad_sampling_loc, grad_attn_weight])


def _padded_taps(coord, size):
    """Find the two cells around a coordinate and their bilinear weights, both
    (..., 2); cells outside have weight 0."""
    low = coord.detach().floor()
    part = coord - low
    cells = torch.stack([low, low + 1], -1)
    # At exactly -1 the weight is 0 but its slope is not; mmcv has neither.
    valid = (cells >= 0) & (cells < size) & (coord > -1)[..., None]
    weight = torch.stack([1 - part, part], -1)
    return (cells.long().clamp(0, size - 1), weight.masked_fill(~valid, 0))


def _deform_image(image, offset, mask, weight, stride, padding, dilation,
                  groups, deform_groups):
    """Convolve one image at displaced positions.

    Shapes: ``image`` (C, H, W), ``offset`` (deform_groups * K * 2, P, Q),
    ``mask`` (deform_groups * K, P, Q), of both of which only the first values
    count if there are more. Returns (C_out, P, Q).
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
    table = as_rows(image.view(deform_groups, -1, *shape))
    columns = weighted_rows(table, index.view(-1, 4), share.reshape(-1, 4))
    columns = columns.view(deform_groups, kernel.numel(), size.numel(), -1)
    columns = columns.permute(0, 3, 1, 2).reshape(groups, -1, size.numel())
    # Autocast would round the product of float32 inputs to float16.
    with torch.autocast(image.device.type, enabled=False):
        return (weight.view(groups, -1, columns.shape[1])
                @ columns).view(-1, *size)


def _per_image(*batches):
    """Iterate over images; None stays None."""
    return zip(*([None] * len(batches[0]) if batch is None else batch
                 for batch in batches))


def _deform(input, offset, mask, weight, bias, output, *geometry):
    dtype = compute_dtype(input)
    for image, tensors in enumerate(_per_image(input, offset, mask)):
        tensors = [x if x is None else x.to(dtype)
                   for x in (*tensors, weight)]
        result = _deform_image(*tensors, *geometry)
        if bias is not None:
            result += bias.to(dtype)[:, None, None]
        output[image] = result


def _add_deform_gradients(inputs, weight, grad_output, grads, grad_weight,
                          *geometry):
    """Add the gradients of input, offset, mask and weight, except to None."""
    for *tensors, grad, x, y, z in _per_image(*inputs, grad_output, *grads):
        add_gradients(
            lambda *leaves: _deform_image(*leaves, *geometry),
            [*tensors, weight], grad, [x, y, z, grad_weight])


def modulated_deform_conv_forward(
        input, weight, bias, ones, offset, mask, output, columns, kernel_h,
        kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
        group, deformable_group, with_bias):
    """Convolve at displaced positions, weighted by a mask (version 2)."""
    _deform(input, offset, mask, weight, bias if with_bias else None, output,
            (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w),
            group, deformable_group)


def modulated_deform_conv_backward(
        input, weight, bias, ones, offset, mask, columns, grad_input,
        grad_weight, grad_bias, grad_offset, grad_mask, grad_output, kernel_h,
        kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
        group, deformable_group, with_bias):
    """Add the gradients of `modulated_deform_conv_forward`."""
    _add_deform_gradients(
        [input, offset, mask], weight, grad_output,
        [grad_input, grad_offset, grad_mask], grad_weight,
        (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group,
        deformable_group)
    if with_bias:
        grad_bias += grad_output.sum((0, 2, 3))


def deform_conv_forward(input, weight, offset, output, columns, ones, kW, kH,
                        dW, dH, padW, padH, dilationW, dilationH, group,
                        deformable_group, im2col_step):
    """Convolve at displaced positions (version 1); raise a ValueError if
    ``offset`` is not of the size of the output."""
    expected = (2 * deformable_group * kH * kW, *output.shape[2:])
    if tuple(offset.shape[1:]) != expected:
        raise ValueError(
            f'deform_conv_forward: offset must have shape (N, '
            f'{", ".join(map(str, expected))}), got {tuple(offset.shape)}; '
            'compute it with the stride, padding, dilation and kernel size '
            'of the convolution.')
    _deform(input, offset, None, weight, None, output, (dH, dW), (padH, padW),
            (dilationH, dilationW), group, deformable_group)


def deform_conv_backward_input(input, offset, grad_output, grad_input,
                               grad_offset, weight, columns, kW, kH, dW, dH,
                               padW, padH, dilationW, dilationH, group,
                               deformable_group, im2col_step):
    """Add the gradients of `deform_conv_forward`: input and offset."""
    _add_deform_gradients(
        [input, offset, None], weight, grad_output,
        [grad_input, grad_offset, None], None, (dH, dW), (padH, padW),
        (dilationH, dilationW), group, deformable_group)


def deform_conv_backward_parameters(input, offset, grad_output, grad_weight,
                                    columns, ones, kW, kH, dW, dH, padW, padH,
                                    dilationW, dilationH, group,
                                    deformable_group, scale, im2col_step):
    """Add the gradient of `deform_conv_forward` with respect to its weight."""
    # The convolution is linear in its weight: any value has this gradient.
    weight = torch.zeros_like(grad_weight)
    _add_deform_gradients(
        [input, offset, None], weight, scale * grad_output,
        [None, None, None], grad_weight, (dH, dW), (padH, padW),
        (dilationH, dilationW), group, deformable_group)
