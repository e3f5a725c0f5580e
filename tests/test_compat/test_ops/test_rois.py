"""Check the torch bodies of mmcv's ops against loops and compiled mmcv.

Run as a script, ``python tests/test_mmcv_ops.py FILE``, this file evaluates
mmcv's public ops with whatever mmcv is installed and saves the results. The
tests do so in a process with compiled mmcv.
"""
import ast
import contextlib
import importlib
import inspect
import math
import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genpercept_mm import mmcv_ops

REPO = Path(__file__).resolve().parents[1]
WHEELS = REPO.parent / 'shared' / 'wheels'
WRAPPERS = ('bbox', 'deform_conv', 'focal_loss', 'modulated_deform_conv',
            'multi_scale_deform_attn', 'nms', 'roi_align', 'roi_pool')
NOT_COMPILED = 3
ROI_ALIGN_CASES = [(mode, aligned, ratio) for mode in ('avg', 'max')
                   for aligned in (True, False) for ratio in (0, 2)]


@contextlib.contextmanager
def torch_bodies():
    """Make mmcv's wrappers call `mmcv_ops.OPS`, whatever is installed."""
    modules = [
        importlib.import_module(f'mmcv.ops.{name}') for name in WRAPPERS
    ]
    before = [module.ext_module for module in modules]
    for module in modules:
        module.ext_module = types.SimpleNamespace(**mmcv_ops.OPS)
    try:
        yield
    finally:
        for module, ext_module in zip(modules, before):
            module.ext_module = ext_module


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    # Threads only wait for each other on tensors of this size.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ops():
    with torch_bodies():
        yield importlib.import_module('mmcv.ops')


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


# -- what compiled mmcv is compared on ----------------------------------------


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


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
    tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    wheels = sorted(WHEELS.glob(f'mmcv-2.1.0-{tag}-*.whl'))
    if not wheels:
        pytest.skip(f'no compiled mmcv: shared/wheels/mmcv-2.1.0-{tag}-*.whl '
                    'beside the repository is missing')
    folder = tmp_path_factory.mktemp('compiled_mmcv')
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    results = folder / 'results.pth'
    run = subprocess.run([sys.executable, __file__,
                          str(results)],
                         env=dict(
                             os.environ,
                             PYTHONPATH=f'{folder}{os.pathsep}{REPO}',
                             OMP_NUM_THREADS='1'),
                         capture_output=True,
                         text=True)
    if run.returncode == NOT_COMPILED:
        pytest.skip(f'{wheels[0].name} does not load with this torch')
    assert run.returncode == 0, run.stderr
    return torch.load(results, weights_only=True)


@pytest.fixture(scope='module')
def ours():
    with torch_bodies():
        return evaluate()


@pytest.mark.parametrize('op', [
    'nms', 'soft_nms', 'nms_match', 'batched_nms', 'bbox_overlaps',
    'roi_align', 'deform_conv2d', 'modulated_deform_conv2d'
])
def test_equals_compiled_mmcv(compiled, ours, op):
    assert compiled.keys() == ours.keys()
    keys = [key for key in ours if key.split()[0] == op]
    assert len(keys) >= 4
    for key in keys:
        torch.testing.assert_close(
            ours[key],
            compiled[key],
            rtol=1e-5,
            atol=1e-5,
            equal_nan=True,
            msg=lambda text: f'{key}: {text}')


# -- calling convention -------------------------------------------------------


def test_every_call_in_mmcv_fits():
    seen = set()
    for name in WRAPPERS:
        source = inspect.getsource(
            importlib.import_module(f'mmcv.ops.{name}'))
        for node in ast.walk(ast.parse(source)):
            if not (isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and getattr(node.func.value, 'id', '') == 'ext_module'
                    and node.func.attr in mmcv_ops.OPS):
                continue
            # `nms_match` and a foreign branch of `soft_nms` unpack a list
            # and a dict; their names are checked by running them.
            if any(isinstance(x, ast.Starred) for x in node.args):
                seen.add(node.func.attr)
                continue
            keywords = {keyword.arg: None for keyword in node.keywords}
            inspect.signature(mmcv_ops.OPS[node.func.attr]).bind(
                *node.args, **keywords)
            seen.add(node.func.attr)
    assert seen == set(mmcv_ops.OPS)


# -- boxes --------------------------------------------------------------------


def loop_iou(a, b, offset):
    width = max(0., min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0., min(a[3], b[3]) - max(a[1], b[1]) + offset)
    area = [(x[2] - x[0] + offset) * (x[3] - x[1] + offset) for x in (a, b)]
    return width * height / (sum(area) - width * height)


def loop_groups(boxes, scores, threshold, offset, inclusive):
    """Suppress one box after the other; return [[kept, removed...]...]."""
    order = scores.sort(dim=0, descending=True)[1].tolist()
    boxes, groups = boxes.tolist(), []
    while order:
        group = [order.pop(0)]
        left = []
        for other in order:
            iou = loop_iou(boxes[group[0]], boxes[other], offset)
            hit = iou >= threshold if inclusive else iou > threshold
            (group if hit else left).append(other)
        order = left
        groups.append(group)
    return groups


@pytest.mark.parametrize('block', [1, 7, 512])
@pytest.mark.parametrize('offset', [0, 1])
def test_nms_equals_loop(monkeypatch, block, offset):
    monkeypatch.setattr(mmcv_ops, 'NMS_BLOCK', block)
    monkeypatch.setattr(mmcv_ops, '_torchvision_ops', lambda device: None)
    generator = torch.Generator().manual_seed(3)
    boxes = random_boxes(80, generator, dtype=torch.float64)
    scores = torch.randint(0, 9, (80, ), generator=generator) / 8
    for threshold in (0.1, 0.4, 0.8):
        expected = loop_groups(boxes, scores, threshold, offset, False)
        kept = mmcv_ops.nms(
            boxes, scores, iou_threshold=threshold, offset=offset)
        assert kept.dtype == torch.long
        assert kept.tolist() == [group[0] for group in expected]
        assert 0 < len(kept) < 80


@pytest.mark.parametrize('block', [1, 7, 512])
def test_nms_match_equals_loop(monkeypatch, block):
    monkeypatch.setattr(mmcv_ops, 'NMS_BLOCK', block)
    generator = torch.Generator().manual_seed(4)
    boxes = random_boxes(80, generator, dtype=torch.float64)
    scores = torch.randint(0, 9, (80, ), generator=generator).double() / 8
    groups = mmcv_ops.nms_match(
        torch.cat([boxes, scores[:, None]], 1), iou_threshold=0.4)
    assert groups == loop_groups(boxes, scores, 0.4, 0, True)
    assert mmcv_ops.nms_match(torch.zeros(0, 5), iou_threshold=0.4) == []


def test_nms_resolves_a_chain():
    # Each box hits only the next one, so every second one stays.
    left = torch.arange(40.) * 4
    boxes = torch.stack([left, left * 0, left + 10, left * 0 + 10], 1)
    scores = torch.linspace(1, 0.1, 40)
    assert mmcv_ops.nms(boxes, scores, 0.3, 0).tolist() == list(
        range(0, 40, 2))


def test_nms_threshold_is_exclusive_and_float32():
    # 0.1 in float32 lies above 0.1 in double; both sides are float32.
    boxes = torch.tensor([[0., 0, 10, 1], [0, 0, 1, 1]])
    scores = torch.tensor([1., 0.5])
    assert mmcv_ops.nms(boxes, scores, 0.1, 0).tolist() == [0, 1]
    assert mmcv_ops.nms(boxes, scores, 0.099, 0).tolist() == [0]


def test_nms_match_threshold_is_inclusive():
    dets = torch.tensor([[0., 0, 2, 1, .8], [0, 0, 2, 2, .9]])
    assert mmcv_ops.nms_match(dets, 0.5) == [[1, 0]]
    assert mmcv_ops.nms_match(dets, 0.51) == [[1], [0]]


def test_nms_offset_counts_the_last_pixel():
    # 0 without and 1 / 7 with offset 1: 4 + 4 pixels, one shared.
    boxes = torch.tensor([[0., 0, 1, 1], [1, 1, 2, 2]])
    scores = torch.tensor([1., 0.5])
    assert mmcv_ops.nms(boxes, scores, 0.1, 0).tolist() == [0, 1]
    assert mmcv_ops.nms(boxes, scores, 0.1, 1).tolist() == [0]


def test_nms_keeps_boxes_without_area():
    boxes = torch.tensor([[1., 1, 1, 1], [1, 1, 1, 1]])
    assert mmcv_ops.nms(boxes, torch.tensor([.5, .9]), 0.5, 0).tolist() == [
        1, 0
    ]


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_uses_torchvision_without_offset_only(monkeypatch, offset):
    calls = []

    def nms(boxes, scores, threshold):
        calls.append((boxes.dtype, threshold))
        groups = loop_groups(boxes, scores, threshold, 0, False)
        return torch.tensor([group[0] for group in groups])

    stub = types.SimpleNamespace(nms=nms)
    monkeypatch.setattr(mmcv_ops, '_torchvision_ops', lambda device: stub)
    generator = torch.Generator().manual_seed(5)
    boxes = random_boxes(60, generator)
    scores = torch.randint(0, 9, (60, ), generator=generator) / 8
    kept = mmcv_ops.nms(boxes, scores, 0.4, offset).tolist()
    assert kept == [
        group[0]
        for group in loop_groups(boxes, scores, 0.4, offset, False)
    ]
    float32 = np.float32(0.4).item()
    assert calls == ([(torch.float32, float32)] if offset == 0 else [])


def test_torchvision_without_a_kernel_is_not_used(monkeypatch):
    monkeypatch.setattr(mmcv_ops, 'torchvision_problem', lambda: None)
    monkeypatch.setattr(torch.ops, 'torchvision',
                        types.SimpleNamespace(), raising=False)
    assert mmcv_ops._torchvision_ops.__wrapped__('cpu') is None


def loop_softnms(boxes, scores, threshold, sigma, min_score, method, offset):
    """Walk the list as mmcv does: swap, lower, drop by moving the last."""
    items = [[*box, score, i] for i, (box, score) in enumerate(
        zip(boxes.tolist(), scores.tolist()))]
    i = 0
    while i < len(items):
        best = max(range(i, len(items)), key=lambda j: (items[j][4], -j))
        items[i], items[best] = items[best], items[i]
        j = i + 1
        while j < len(items):
            iou = loop_iou(items[i], items[j], offset)
            if method == 2:
                items[j][4] *= math.exp(-iou * iou / sigma)
            elif iou >= threshold:
                items[j][4] *= 0 if method == 0 else 1 - iou
            if items[j][4] < min_score:
                items[j] = items[-1]
                items.pop()
            else:
                j += 1
        i += 1
    return items


@pytest.mark.parametrize('method', [0, 1, 2])
@pytest.mark.parametrize('offset', [0, 1])
def test_softnms_equals_loop(method, offset):
    generator = torch.Generator().manual_seed(6)
    boxes = random_boxes(60, generator, dtype=torch.float64)
    scores = torch.randint(1, 9, (60, ), generator=generator).double() / 8
    dets = torch.full((60, 5), -7., dtype=torch.float64)
    before = boxes.clone(), scores.clone()
    index = mmcv_ops.softnms(
        boxes,
        scores,
        dets,
        iou_threshold=0.3,
        sigma=0.5,
        min_score=0.1,
        method=method,
        offset=offset)
    expected = loop_softnms(boxes, scores, 0.3, 0.5, 0.1, method, offset)
    assert 1 < len(index) < 60
    assert index.tolist() == [item[5] for item in expected]
    torch.testing.assert_close(dets[:len(index)],
                               torch.tensor(expected).double()[:, :5])
    assert (dets[len(index):] == -7).all()
    assert torch.equal(boxes, before[0]) and torch.equal(scores, before[1])


def test_softnms_threshold_is_inclusive():
    boxes = torch.tensor([[0., 0, 2, 2], [0, 0, 2, 1]])
    for threshold, score in ((0.5, 0.4), (0.51, 0.8)):
        dets = torch.zeros(2, 5)
        mmcv_ops.softnms(boxes, torch.tensor([.9, .8]), dets, threshold, 0.5,
                         0.1, 1, 0)
        assert dets[1].tolist() == pytest.approx([0, 0, 2, 1, score])


@pytest.mark.parametrize('offset, mode, value', [(0, 0, 1 / 7), (0, 1, 1 / 4),
                                                 (1, 0, 4 / 14), (1, 1, 4 / 9)
                                                 ])
def test_bbox_overlaps_by_hand(offset, mode, value):
    a, b = torch.tensor([[0., 0, 2, 2]]), torch.tensor([[1., 1, 3, 3]])
    for aligned, shape in ((True, (1, )), (False, (1, 1))):
        ious = torch.full(shape, -1.)
        mmcv_ops.bbox_overlaps(
            a, b, ious, mode=mode, aligned=aligned, offset=offset)
        assert ious.flatten().tolist() == pytest.approx([value])


# -- RoIs ---------------------------------------------------------------------


def loop_bilinear(plane, y, x):
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return ((1 - dy) * ((1 - dx) * plane[top, left] + dx * plane[top, right]) +
            dy * ((1 - dx) * plane[bottom, left] + dx * plane[bottom, right]))


def loop_roi_align(maps, rois, bins, scale, ratio, mode, aligned):
    out = np.zeros((len(rois), maps.shape[1], *bins))
    shift = 0.5 if aligned else 0.
    for n, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (value * scale - shift for value in box)
        sides = [(y1, y2 - y1), (x1, x2 - x1)]
        if not aligned:
            sides = [(start, max(extent, 1.)) for start, extent in sides]
        grid = [
            ratio or math.ceil(extent / count)
            for (_, extent), count in zip(sides, bins)
        ]
        for c, p, q in np.ndindex(*out.shape[1:]):
            values = [
                loop_bilinear(maps[int(image), c].numpy(), *[
                    start + (b + (s + 0.5) / g) * extent / count
                    for (start, extent), b, s, g, count in zip(
                        sides, (p, q), sample, grid, bins)
                ]) for sample in np.ndindex(*grid)
            ]
            if mode == 'avg':
                out[n, c, p, q] = sum(values) / max(len(values), 1)
            else:
                out[n, c, p, q] = max(values, default=-10000.)
    return torch.from_numpy(out)


@pytest.mark.parametrize('mode, aligned, ratio', ROI_ALIGN_CASES)
def test_roi_align_equals_loop(ops, monkeypatch, mode, aligned, ratio):
    # Small budgets, so that groups are split.
    monkeypatch.setattr(mmcv_ops, 'SAMPLE_BUDGET', 60)
    monkeypatch.setattr(mmcv_ops, 'VALUE_BUDGET', 60)
    generator = torch.Generator().manual_seed(7)
    maps = torch.randn(2, 2, 9, 8, generator=generator, dtype=torch.float64)
    rois = random_rois().double()
    args = (rois, (3, 2), 0.1, ratio, mode, aligned)
    torch.testing.assert_close(
        ops.roi_align(maps, *args),
        loop_roi_align(maps, rois, (3, 2), 0.1, ratio, mode, aligned))
    assert torch.autograd.gradcheck(
        lambda x: ops.roi_align(x, *args),
        maps.clone().requires_grad_(),
        fast_mode=True)


def test_roi_align_of_a_ramp_is_the_bin_centre(ops):
    y, x = torch.meshgrid(
        torch.arange(16.), torch.arange(16.), indexing='ij')
    maps = torch.stack([y, x])[None] + 0.5
    rois = torch.tensor([[0., 2., 3., 10., 15.]])
    pooled = ops.roi_align(maps, rois, (3, 4))
    expected = torch.stack(
        torch.meshgrid(
            torch.tensor([5., 9., 13.]),
            torch.tensor([3., 5., 7., 9.]),
            indexing='ij'))
    torch.testing.assert_close(pooled[0], expected)


def test_roi_align_writes_where_the_maximum_lies():
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 5, 2] = 3.
    rois = torch.tensor([[0., 0., 0., 8., 8.], [0., 5., 5., 4., 4.]])
    out, row, column = (torch.zeros(2, 1, 1, 1) for _ in range(3))
    mmcv_ops.roi_align_forward(
        maps,
        rois,
        out,
        row,
        column,
        aligned_height=1,
        aligned_width=1,
        spatial_scale=1.,
        sampling_ratio=0,
        pool_mode=0,
        aligned=True)
    # The second RoI has a negative size, so no sample.
    assert out.flatten().tolist() == [3., -10000.]
    assert row.flatten().tolist() == [5., -1.]
    assert column.flatten().tolist() == [2., -1.]


def test_roi_align_of_a_negative_size_is_zero(ops):
    maps = torch.ones(1, 1, 8, 8, requires_grad=True)
    pooled = ops.roi_align(maps, torch.tensor([[0., 5., 5., 4., 4.]]), 2)
    assert pooled.flatten().tolist() == [0.] * 4
    pooled.sum().backward()
    assert maps.grad.abs().sum() == 0


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_roi_align_without_rois(ops, mode):
    maps = torch.ones(1, 3, 8, 8, requires_grad=True)
    pooled = ops.roi_align(maps, torch.zeros(0, 5), 2, 1., 0, mode)
    assert pooled.shape == (0, 3, 2, 2)
    pooled.sum().backward()
    assert maps.grad.abs().sum() == 0


def loop_roi_pool(maps, rois, bins, scale):
    out = torch.zeros(len(rois), maps.shape[1], *bins, dtype=maps.dtype)
    for n, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        y1, x1, y2, x2 = (v * scale for v in (y1, x1, y2 + 1, x2 + 1))
        if y2 <= y1 or x2 <= x1:
            continue
        for p, q in np.ndindex(*bins):
            cells = [(y, x) for y, x in np.ndindex(*maps.shape[2:])
                     if y1 + p * (y2 - y1) / bins[0] < y + 1
                     and y < y1 + (p + 1) * (y2 - y1) / bins[0]
                     and x1 + q * (x2 - x1) / bins[1] < x + 1
                     and x < x1 + (q + 1) * (x2 - x1) / bins[1]]
            if cells:
                out[n, :, p, q] = torch.stack(
                    [maps[int(image), :, y, x] for y, x in cells]).amax(0)
    return out


def test_roi_pool_equals_loop(ops):
    generator = torch.Generator().manual_seed(8)
    maps = torch.randn(2, 2, 9, 8, generator=generator, dtype=torch.float64)
    rois = torch.cat([random_rois(), torch.tensor([[0., 9, 9, 2, 2]])])
    rois = rois.double()
    torch.testing.assert_close(
        ops.roi_pool(maps, rois, (3, 2), 0.1),
        loop_roi_pool(maps, rois, (3, 2), 0.1))
    assert torch.autograd.gradcheck(
        lambda x: ops.roi_pool(x, rois, (3, 2), 0.1),
        maps.requires_grad_(),
        fast_mode=True)


class FakeTorchvision:
    """Answer torchvision's two RoI ops and note the arguments."""

    def __init__(self):
        self.calls = []

    def roi_align(self, *args):
        self.calls.append(args[2:])
        return torch.full((len(args[1]), args[0].shape[1], *args[3:5]), 2.)

    def _roi_align_backward(self, *args):
        self.calls.append(args[2:])
        return torch.full(args[5:9], 3.)


def test_roi_align_calls_torchvision_off_the_cpu(monkeypatch):
    fake = FakeTorchvision()
    asked = []
    monkeypatch.setattr(mmcv_ops, '_torchvision_ops',
                        lambda device: asked.append(device) or fake)
    shared = dict(
        aligned_height=3,
        aligned_width=2,
        spatial_scale=0.5,
        sampling_ratio=4,
        pool_mode=1,
        aligned=True)

    class Elsewhere(torch.Tensor):
        device = torch.device('cuda')

    maps = torch.zeros(1, 5, 6, 7).as_subclass(Elsewhere)
    rois, none = torch.zeros(2, 5), torch.zeros(0)
    out = torch.zeros(2, 5, 3, 2)
    mmcv_ops.roi_align_forward(maps, rois, out, none, none, **shared)
    assert (out == 2).all()
    grad = torch.ones(1, 5, 6, 7)
    mmcv_ops.roi_align_backward(
        out.as_subclass(Elsewhere), rois, none, none, grad, **shared)
    assert (grad == 4).all()
    assert fake.calls == [(0.5, 3, 2, 4, True),
                          (0.5, 3, 2, 1, 5, 6, 7, 4, True)]
    assert asked == ['cuda', 'cuda']
    mmcv_ops.roi_align_forward(torch.zeros(1, 5, 6, 7), rois, out, none, none,
                               **shared)
    assert (out == 0).all() and len(fake.calls) == 2


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_torchvision_agrees(aligned, ratio):
    ops = mmcv_ops._torchvision_ops('cpu')
    if ops is None:
        pytest.skip('torchvision with compiled ops for this torch is missing')
    generator = torch.Generator().manual_seed(9)
    maps = torch.randn(2, 3, 24, 20, generator=generator)
    rois, none = random_rois(), torch.zeros(0)
    out, grad = torch.zeros(8, 3, 5, 4), torch.zeros_like(maps)
    mmcv_ops.roi_align_forward(maps, rois, out, none, none, 5, 4, 0.25, ratio,
                               1, aligned)
    mmcv_ops.roi_align_backward(out, rois, none, none, grad, 5, 4, 0.25,
                                ratio, 1, aligned)
    args = rois, 0.25, 5, 4
    torch.testing.assert_close(
        ops.roi_align(maps, *args, ratio, aligned), out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        ops._roi_align_backward(out, *args, *maps.shape, ratio, aligned),
        grad,
        rtol=1e-5,
        atol=1e-5)


# -- focal losses -------------------------------------------------------------


def focal_inputs(dtype=torch.float64):
    generator = torch.Generator().manual_seed(10)
    logits = torch.randn(12, 5, generator=generator, dtype=dtype) * 3
    return logits, torch.arange(12) % 6  # label 5 is background


@pytest.mark.parametrize('gamma', [0., 0.5, 2.])
@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_sigmoid_focal_loss(ops, gamma, reduction):
    logits, labels = focal_inputs()
    weight = torch.rand(5, dtype=torch.float64) + 0.5
    loss = ops.sigmoid_focal_loss(logits, labels, gamma, 0.3, weight,
                                  reduction)
    p = logits.sigmoid()
    hot = F.one_hot(labels, 6)[:, :5]
    right = torch.where(hot == 1, p, 1 - p)
    share = torch.where(hot == 1, 0.3, 0.7)
    factor = torch.cat([weight, weight.new_ones(1)])[labels]
    expected = -share * (1 - right)**gamma * right.log() * factor[:, None]
    if reduction != 'none':
        expected = expected.sum() / (12 if reduction == 'mean' else 1)
    torch.testing.assert_close(loss, expected)
    assert torch.autograd.gradcheck(
        lambda x: ops.sigmoid_focal_loss(x, labels, gamma, 0.3, weight,
                                         reduction), logits.requires_grad_())


def test_sigmoid_focal_loss_equals_mmdet(ops):
    losses = pytest.importorskip('mmdet.models.losses.focal_loss')
    logits, labels = focal_inputs(torch.float32)
    logits.requires_grad_()
    results = []
    for loss in (ops.sigmoid_focal_loss(logits, labels, 2., 0.25, None,
                                        'sum'),
                 losses.py_sigmoid_focal_loss(
                     logits, F.one_hot(labels, 6)[:, :5], reduction='sum')):
        results.append((loss, *torch.autograd.grad(loss, logits)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_sigmoid_focal_loss_of_a_confident_error(ops):
    # mmcv's CUDA code would stop at log(FLT_MIN) = -87.3 for logit 30.
    logits = torch.tensor([[30., -200.]], requires_grad=True)
    loss = ops.sigmoid_focal_loss(logits, torch.tensor([1]), 2., .25, None,
                                  'sum')
    assert loss.item() == pytest.approx(.75 * 30 + .25 * 200)
    loss.backward()
    assert logits.grad[0].tolist() == pytest.approx([.75, -.25])


@pytest.mark.parametrize('gamma', [0., 0.5, 2.])
def test_softmax_focal_loss(ops, gamma):
    logits, labels = focal_inputs()
    labels = labels % 5
    weight = torch.rand(5, dtype=torch.float64) + 0.5
    loss = ops.softmax_focal_loss(logits, labels, gamma, 0.3, weight, 'mean')
    cross = F.cross_entropy(logits, labels, reduction='none')
    expected = 0.3 * (1 - (-cross).exp())**gamma * cross * weight[labels]
    torch.testing.assert_close(loss, expected.mean())
    assert torch.autograd.gradcheck(
        lambda x: ops.softmax_focal_loss(x, labels, gamma, 0.3, weight, 'mean'
                                         ), logits.requires_grad_())


@pytest.mark.parametrize('gamma', [0., 0.5, 2.])
def test_softmax_focal_loss_is_finite_when_sure(ops, gamma):
    logits = torch.tensor([[300., 0.], [0., 300.]], requires_grad=True)
    loss = ops.softmax_focal_loss(logits, torch.tensor([0, 0]), gamma, 1.,
                                  None, 'sum')
    assert loss.item() == pytest.approx(-math.log(1.1754944e-38))
    loss.backward()
    assert logits.grad[0].tolist() == [0., 0.]
    assert logits.grad[1].tolist() == pytest.approx([-1., 1.])


@pytest.mark.parametrize('gamma', [0., 2.])
def test_softmax_focal_loss_ignores_other_labels(ops, gamma):
    logits, _ = focal_inputs()
    logits = logits[:2].requires_grad_()
    loss = ops.softmax_focal_loss(logits, torch.tensor([-1, 5]), gamma, .25,
                                  None, 'sum')
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().sum() == 0


# -- deformable attention -----------------------------------------------------


def attention_inputs(dtype=torch.float64):
    generator = torch.Generator().manual_seed(11)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=dtype)

    shapes = torch.tensor([[4, 3], [2, 5]])
    starts = torch.tensor([0, 12])
    # Up to a quarter of the map outside.
    return (rand(2, 22, 2, 3), shapes, starts,
            rand(2, 4, 2, 2, 3, 2) * 1.5 - 0.25, rand(2, 4, 2, 2, 3))


def test_deformable_attention_equals_loop():
    value, shapes, starts, where, share = attention_inputs()
    out = mmcv_ops.ms_deform_attn_forward(
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


# -- deformable convolution ---------------------------------------------------


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
                *leaves, 2, 1, 1, 2, 2), [x, offset, mask, weight, bias])
    else:
        assert torch.autograd.gradcheck(
            lambda *leaves: ops.deform_conv2d(*leaves, 2, 1, 1, 2, 2),
            [x, offset, weight])


# -- low precision ------------------------------------------------------------


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32(ops, dtype):
    generator = torch.Generator().manual_seed(14)

    def low(tensor):
        return tensor.to(dtype)

    boxes, scores = low(random_boxes(40, generator)), low(
        torch.rand(40, generator=generator))
    maps = low(torch.randn(2, 3, 24, 20, generator=generator))
    offset = low(torch.randn(2, 18, 24, 20, generator=generator))
    weight = low(torch.randn(4, 3, 3, 3, generator=generator))
    value, shapes, starts, where, share = attention_inputs()
    attend = importlib.import_module(
        'mmcv.ops.multi_scale_deform_attn').MultiScaleDeformableAttnFunction
    labels = torch.arange(40) % 4

    def results(cast):
        leaf = cast(maps).clone().requires_grad_()
        pooled = [
            ops.roi_align(leaf, cast(low(random_rois())), 3, 0.25, 0, mode)
            for mode in ('avg', 'max')
        ] + [ops.roi_pool(leaf, cast(low(random_rois())), 3, 0.25)]
        ious = ops.bbox_overlaps(cast(boxes), cast(boxes))
        kernel = cast(weight)
        return [
            ops.nms(cast(boxes), cast(scores), 0.5)[1],
            ops.soft_nms(cast(boxes), cast(scores), 0.5)[0],
            *ops.nms_match(torch.cat([boxes, scores[:, None]], 1), 0.5),
            ious,
            *pooled,
            torch.autograd.grad(sum(x.sum() for x in pooled), leaf)[0],
            ops.deform_conv2d(leaf, cast(offset), kernel, 1, 1),
            ops.modulated_deform_conv2d(leaf, cast(offset),
                                        cast(offset[:, :9]), kernel, None, 1,
                                        1),
            attend.apply(
                cast(low(value)), shapes, starts, cast(low(where)),
                cast(low(share)), 64),
            ops.sigmoid_focal_loss(cast(boxes) / 50, labels),
            ops.softmax_focal_loss(cast(boxes) / 50, labels),
        ]

    step = torch.finfo(dtype).eps
    for got, expected in zip(
            results(low), results(lambda tensor: low(tensor).float())):
        assert got.dtype in (dtype, torch.long)
        torch.testing.assert_close(
            got.float(), expected.float(), rtol=2 * step, atol=8 * step)


def test_autocast_does_not_round_the_product(ops):
    generator = torch.Generator().manual_seed(15)
    x = torch.randn(1, 4, 6, 6, generator=generator)
    weight = torch.randn(4, 4, 3, 3, generator=generator)
    offset = torch.randn(1, 18, 6, 6, generator=generator)
    expected = ops.deform_conv2d(x, offset, weight, 1, 1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(
            ops.deform_conv2d(x, offset, weight, 1, 1), expected)


if __name__ == '__main__':
    extension = importlib.import_module('mmcv._ext')
    if extension.__spec__.origin is None:
        sys.exit(NOT_COMPILED)
    torch.save(evaluate(), sys.argv[1])
