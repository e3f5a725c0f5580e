"""Seeded inputs for mmcv's ops, and ways to run mmcv's wrappers on them.

Run as a script, ``python mmcv_cases.py FILE``, this file evaluates mmcv's
public ops with whatever mmcv is installed and saves the results.
"""
import importlib
import sys
import types

import torch

WRAPPERS = ('bbox', 'deform_conv', 'focal_loss', 'modulated_deform_conv',
            'multi_scale_deform_attn', 'nms', 'roi_align', 'roi_pool')
NOT_COMPILED = 3
ROI_ALIGN_CASES = [(mode, aligned, ratio) for mode in ('avg', 'max')
                   for aligned in (True, False) for ratio in (0, 2)]


def stand_in_ops():
    """Yield mmcv.ops, calling our `OPS` whatever mmcv is installed."""
    # Not needed where compiled mmcv is evaluated.
    from genpercept_mm.compat.ops import OPS
    modules = [
        importlib.import_module(f'mmcv.ops.{name}') for name in WRAPPERS
    ]
    before = [module.ext_module for module in modules]
    for module in modules:
        module.ext_module = types.SimpleNamespace(**OPS)
    try:
        yield importlib.import_module('mmcv.ops')
    finally:
        for module, ext_module in zip(modules, before):
            module.ext_module = ext_module


def random_boxes(count, generator, side=60., dtype=torch.float32):
    """Make (count, 4) boxes of 5 to 35 pixels, every fifth one doubled."""
    corner = torch.rand(count, 2, generator=generator, dtype=dtype) * side
    size = torch.rand(count, 2, generator=generator, dtype=dtype) * 30 + 5
    boxes = torch.cat([corner, corner + size], 1)
    boxes[4::5] = boxes[:-1:5][:len(boxes[4::5])]
    return boxes


def random_rois():
    """Make RoIs on 2 images of 96 x 80 pixels with the awkward cases."""
    return torch.tensor([
        [0, 3.3, 5.1, 70.2, 60.7],
        [1, 10., 12., 11., 90.],
        [0, -30.5, -20.25, 20., 15.],
        [1, 60., 70., 130., 140.],
        [0, 200., 200., 240., 250.],
        [1, 8., 8., 8., 8.],
        [0, 0., 0., 79.9, 95.9],
        [1, 20.6, 33.3, 24.1, 36.2],
    ])


def attention_inputs(dtype=torch.float64):
    generator = torch.Generator().manual_seed(11)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=dtype)

    shapes = torch.tensor([[4, 3], [2, 5]])
    starts = torch.tensor([0, 12])
    # Up to a quarter of the map outside.
    return (rand(2, 22, 2, 3), shapes, starts,
            rand(2, 4, 2, 2, 3, 2) * 1.5 - 0.25, rand(2, 4, 2, 2, 3))


def evaluate_boxes(ops, out):
    generator = torch.Generator().manual_seed(0)
    boxes = random_boxes(300, generator)
    fine = torch.rand(300, generator=generator)
    # Eleven values only: most scores are tied.
    coarse = (fine * 10).round() / 10
    classes = torch.randint(0, 3, (300, ), generator=generator)
    for name, scores in (('fine', fine), ('coarse', coarse)):
        for threshold in (0.3, 0.7):
            for offset in (0, 1):
                key = f'{name} {threshold} {offset}'
                out[f'nms {key}'] = ops.nms(boxes, scores, threshold, offset)
                for method in ('naive', 'linear', 'gaussian'):
                    out[f'soft_nms {method} {key}'] = ops.soft_nms(
                        boxes,
                        scores,
                        threshold,
                        method=method,
                        min_score=0.05,
                        offset=offset)
            out[f'nms_match {name} {threshold}'] = ops.nms_match(
                torch.cat([boxes, scores[:, None]], 1), threshold)
        for key, config in dict(
                nms=dict(type='nms', iou_threshold=0.5),
                split=dict(type='nms', iou_threshold=0.5, split_thr=50),
                soft=dict(type='soft_nms', iou_threshold=0.5)).items():
            out[f'batched_nms {name} {key}'] = ops.batched_nms(
                boxes, scores, classes, config)
    out['nms cut'] = ops.nms(
        boxes, fine, 0.5, score_threshold=0.4, max_num=20)
    out['nms numpy'] = [
        torch.from_numpy(x)
        for x in ops.nms(boxes.numpy(), coarse.numpy(), 0.5)
    ]
    # The overlap of these two is 0.5 exactly.
    pair = torch.tensor([[0., 0, 2, 2, .9], [0, 0, 2, 1, .8]])
    out['nms at threshold'] = ops.nms(pair[:, :4], pair[:, 4].contiguous(), .5)
    out['soft_nms at threshold'] = ops.soft_nms(pair[:, :4],
                                                pair[:, 4].contiguous(), .5)
    out['nms_match at threshold'] = ops.nms_match(pair, .5)
    empty = torch.zeros(0, 4)
    out['nms empty'] = ops.nms(empty, empty[:, 0], 0.5)
    out['soft_nms empty'] = ops.soft_nms(empty, empty[:, 0], 0.5)
    boxes[3, 2:] = boxes[3, :2]
    for mode in ('iou', 'iof'):
        for offset in (0, 1):
            for aligned in (False, True):
                other = boxes[150:] if aligned else boxes[150:170]
                out[f'bbox_overlaps {mode} {offset} {aligned}'] = [
                    ops.bbox_overlaps(boxes[:150], other, mode, aligned,
                                      offset)
                ]


def evaluate_roi_align(ops, out):
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(2, 3, 24, 20, generator=generator)
    factor = torch.randn(8, 3, 5, 4, generator=generator)
    for mode, aligned, ratio in ROI_ALIGN_CASES:
        leaf = maps.clone().requires_grad_()
        pooled = ops.roi_align(leaf, random_rois(), (5, 4), 0.25, ratio, mode,
                               aligned)
        (pooled * factor).sum().backward()
        key = f'roi_align {mode} {aligned} {ratio}'
        out[key] = [pooled.detach(), leaf.grad]
    out['roi_align empty'] = [ops.roi_align(maps, torch.zeros(0, 5), (5, 4))]


def evaluate_deform_conv(ops, out):
    generator = torch.Generator().manual_seed(2)

    def leaf(*shape, scale=1.):
        tensor = torch.randn(*shape, generator=generator) * scale
        return tensor.requires_grad_()

    cases = dict(
        plain=((1, 1, 1, 1, 1), (9, 7), 1.5),
        # All samples on cells, where the slope jumps.
        zero=((1, 1, 1, 1, 1), (9, 7), 0.),
        # Whole cells too, and far outside.
        far=((1, 1, 1, 1, 1), (9, 7), None),
        grouped=((2, (2, 1), (2, 1), 2, 4), (5, 4), 1.5))
    for name, (geometry, size, spread) in cases.items():
        groups, deform_groups = geometry[3:]
        x, weight = leaf(2, 8, 9, 7), leaf(6, 8 // groups, 3, 3)
        bias, mask = leaf(6), leaf(2, deform_groups * 9, *size)
        offset = leaf(
            2,
            deform_groups * 18,
            *size,
            scale=8. if spread is None else spread)
        if spread is None:
            offset = offset.detach().round().requires_grad_()
        factor = torch.randn(2, 6, *size, generator=generator)
        y = ops.deform_conv2d(x, offset, weight, *geometry)
        leaves = [x, offset, weight]
        out[f'deform_conv2d {name}'] = [
            y.detach(), *torch.autograd.grad((y * factor).sum(), leaves)
        ]
        for key, bias in (('bias', bias), ('no bias', None)):
            y = ops.modulated_deform_conv2d(x, offset, mask, weight, bias,
                                            *geometry)
            leaves = [x, offset, mask, weight] + [bias] * (bias is not None)
            out[f'modulated_deform_conv2d {name} {key}'] = [
                y.detach(), *torch.autograd.grad((y * factor).sum(), leaves)
            ]
    # Offsets and mask of a larger map, as mmdet's DyHead passes them.
    leaves = [leaf(2, 4, 5, 4), leaf(2, 18, 10, 8), leaf(2, 9, 10, 8),
              leaf(6, 4, 3, 3)]
    y = ops.modulated_deform_conv2d(*leaves, None, 1, 1)
    out['modulated_deform_conv2d larger offsets'] = [
        y.detach(), *torch.autograd.grad((y**2).sum(), leaves)
    ]


def evaluate():
    """Call mmcv's public ops on seeded inputs.

    Returns:
        dict[str, list[Tensor]]: Results by case.
    """
    ops = importlib.import_module('mmcv.ops')
    out = {}
    evaluate_boxes(ops, out)
    evaluate_roi_align(ops, out)
    evaluate_deform_conv(ops, out)
    return {key: list(value) for key, value in out.items()}


if __name__ == '__main__':
    if importlib.import_module('mmcv._ext').__spec__.origin is None:
        sys.exit(NOT_COMPILED)
    torch.save(evaluate(), sys.argv[1])
