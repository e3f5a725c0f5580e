import importlib
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv_cases import attention_inputs, stand_in_ops

from genpercept_mm.compat.ops.deform import ms_deform_attn_forward

ops = pytest.fixture(stand_in_ops)


def test_deformable_attention_equals_loop():
    value, shapes, starts, where, share = attention_inputs()
    out = ms_deform_attn_forward(
        value, shapes, starts, where, share, im2col_step=64)
    expected = torch.zeros(2, 4, 2, 3, dtype=torch.float64)
    for n, q, head, level, point in np.ndindex(2, 4, 2, 2, 3):
        height, width = shapes[level].tolist()
        x = where[n, q, head, level, point, 0].item() * width - 0.5
        y = where[n, q, head, level, point, 1].item() * height - 0.5
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    cell = starts[level] + row * width + column
                    expected[n, q, head] += (
                        share[n, q, head, level, point] * value[n, cell, head]
                        * (1 - abs(y - row)) * (1 - abs(x - column)))
    torch.testing.assert_close(out, expected.flatten(2))


def test_deformable_attention_equals_mmcv(ops):
    module = importlib.import_module('mmcv.ops.multi_scale_deform_attn')
    value, shapes, starts, where, share = attention_inputs(torch.float32)
    leaves = [x.requires_grad_() for x in (value, where, share)]
    results = []
    for out in (module.MultiScaleDeformableAttnFunction.apply(
            value, shapes, starts, where, share, 64),
                module.multi_scale_deformable_attn_pytorch(
                    value, shapes, where, share)):
        results.append(
            (out, *torch.autograd.grad((out**2).sum(), leaves)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_deformable_attention_gradient(ops):
    module = importlib.import_module('mmcv.ops.multi_scale_deform_attn')
    value, shapes, starts, where, share = attention_inputs()
    assert torch.autograd.gradcheck(
        lambda *leaves: module.MultiScaleDeformableAttnFunction.apply(
            leaves[0], shapes, starts, *leaves[1:], 64),
        [x.requires_grad_() for x in (value, where, share)])


def test_deform_conv_without_offset_is_a_convolution(ops):
    generator = torch.Generator().manual_seed(12)
    x = torch.randn(2, 4, 8, 7, generator=generator)
    weight = torch.randn(6, 2, 3, 3, generator=generator)
    bias = torch.randn(6, generator=generator)
    geometry = (2, (2, 1), (2, 1), 2)  # stride, padding, dilation, groups
    expected = F.conv2d(x, weight, bias, *geometry)
    offset = torch.zeros(2, 18, *expected.shape[2:])
    mask = torch.full_like(offset[:, :9], 0.5)
    torch.testing.assert_close(
        ops.deform_conv2d(x, offset, weight, *geometry) +
        bias[:, None, None], expected)
    torch.testing.assert_close(
        ops.modulated_deform_conv2d(x, offset, mask, weight * 2, bias,
                                    *geometry), expected)


def test_deform_conv_offset_is_row_then_column(ops):
    x = torch.arange(20.).view(1, 1, 4, 5)
    weight = torch.ones(1, 1, 1, 1)
    offset = torch.zeros(1, 2, 4, 5)
    offset[:, 0], offset[:, 1] = 1., 2.5
    y = ops.deform_conv2d(x, offset, weight)
    assert y[0, 0, 0].tolist() == [7.5, 8.5, 4.5, 0., 0.]
    assert y[0, 0, 3].tolist() == [0.] * 5


def test_deform_conv_rejects_offsets_of_another_size(ops):
    x, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    with pytest.raises(ValueError, match=r'\(N, 18, 2, 2\), got \(1, 18, 4'):
        ops.deform_conv2d(x, torch.zeros(1, 18, 4, 4), weight)


def test_modulated_deform_conv_takes_the_first_offsets(ops):
    generator = torch.Generator().manual_seed(16)
    x = torch.randn(1, 2, 3, 4, generator=generator)
    weight = torch.randn(3, 2, 3, 3, generator=generator)
    offset = torch.randn(18 * 12, generator=generator)
    mask = torch.randn(9 * 12, generator=generator)
    expected = ops.modulated_deform_conv2d(
        x, offset.view(1, 18, 3, 4), mask.view(1, 9, 3, 4), weight, None, 1,
        1)
    more = torch.randn(18 * 36, generator=generator)
    torch.testing.assert_close(
        ops.modulated_deform_conv2d(
            x,
            torch.cat([offset, more]).view(1, 18, 6, 8),
            torch.cat([mask, more[:9 * 36]]).view(1, 9, 6, 8), weight, None,
            1, 1), expected)


def test_deform_conv_has_no_slope_one_cell_outside(ops):
    x, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 1, 1)
    offset = torch.zeros(1, 2, 4, 4)
    offset[0, 0, 0], offset[0, 0, 1] = -1., -1.5
    offset.requires_grad_()
    ops.deform_conv2d(x, offset, weight).sum().backward()
    # Row 0 is read at -1, row 1 at -0.5, where half a cell is lost.
    assert offset.grad[0, 0, :2].tolist() == [[0.] * 4, [1.] * 4]


@pytest.mark.parametrize('modulated', [True, False])
def test_deform_conv_gradient(ops, modulated):
    generator = torch.Generator().manual_seed(13)

    def leaf(*shape):
        return torch.randn(
            *shape, generator=generator,
            dtype=torch.float64).requires_grad_()

    x, offset = leaf(2, 4, 5, 4), leaf(2, 36, 3, 2)
    mask, weight, bias = leaf(2, 18, 3, 2), leaf(4, 2, 3, 3), leaf(4)
    if modulated:
        assert torch.autograd.gradcheck(
            lambda *leaves: ops.modulated_deform_conv2d(
                *leaves, 2, 1, 1, 2, 2), [x, offset, mask, weight, bias],
            fast_mode=True)
    else:
        assert torch.autograd.gradcheck(
            lambda *leaves: ops.deform_conv2d(*leaves, 2, 1, 1, 2, 2),
            [x, offset, weight],
            fast_mode=True)


def test_autocast_does_not_round_the_product(ops):
    generator = torch.Generator().manual_seed(15)
    x = torch.randn(1, 4, 6, 6, generator=generator)
    weight = torch.randn(4, 4, 3, 3, generator=generator)
    offset = torch.randn(1, 18, 6, 6, generator=generator)
    expected = ops.deform_conv2d(x, offset, weight, 1, 1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(
            ops.deform_conv2d(x, offset, weight, 1, 1), expected)
