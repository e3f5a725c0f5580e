import math
import types

import numpy as np
import pytest
import torch
from mmcv_cases import random_boxes

from genpercept_mm.compat.ops import boxes as boxes_ops


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
    monkeypatch.setattr(boxes_ops, 'NMS_BLOCK', block)
    monkeypatch.setattr(boxes_ops, 'torchvision_ops', lambda device: None)
    generator = torch.Generator().manual_seed(3)
    boxes = random_boxes(80, generator, dtype=torch.float64)
    scores = torch.randint(0, 9, (80, ), generator=generator) / 8
    for threshold in (0.1, 0.4, 0.8):
        expected = loop_groups(boxes, scores, threshold, offset, False)
        kept = boxes_ops.nms(
            boxes, scores, iou_threshold=threshold, offset=offset)
        assert kept.dtype == torch.long
        assert kept.tolist() == [group[0] for group in expected]
        assert 0 < len(kept) < 80


@pytest.mark.parametrize('block', [1, 7, 512])
def test_nms_match_equals_loop(monkeypatch, block):
    monkeypatch.setattr(boxes_ops, 'NMS_BLOCK', block)
    generator = torch.Generator().manual_seed(4)
    boxes = random_boxes(80, generator, dtype=torch.float64)
    scores = torch.randint(0, 9, (80, ), generator=generator).double() / 8
    groups = boxes_ops.nms_match(
        torch.cat([boxes, scores[:, None]], 1), iou_threshold=0.4)
    assert groups == loop_groups(boxes, scores, 0.4, 0, True)
    assert boxes_ops.nms_match(torch.zeros(0, 5), iou_threshold=0.4) == []


def test_nms_resolves_a_chain():
    # Each box hits only the next one, so every second one stays.
    left = torch.arange(40.) * 4
    boxes = torch.stack([left, left * 0, left + 10, left * 0 + 10], 1)
    scores = torch.linspace(1, 0.1, 40)
    assert boxes_ops.nms(boxes, scores, 0.3, 0).tolist() == list(
        range(0, 40, 2))


def test_nms_threshold_is_exclusive_and_float32():
    # 0.1 in float32 lies above 0.1 in double; both sides are float32.
    boxes = torch.tensor([[0., 0, 10, 1], [0, 0, 1, 1]])
    scores = torch.tensor([1., 0.5])
    assert boxes_ops.nms(boxes, scores, 0.1, 0).tolist() == [0, 1]
    assert boxes_ops.nms(boxes, scores, 0.099, 0).tolist() == [0]


def test_nms_match_threshold_is_inclusive():
    dets = torch.tensor([[0., 0, 2, 1, .8], [0, 0, 2, 2, .9]])
    assert boxes_ops.nms_match(dets, 0.5) == [[1, 0]]
    assert boxes_ops.nms_match(dets, 0.51) == [[1], [0]]


def test_nms_offset_counts_the_last_pixel():
    # 0 without and 1 / 7 with offset 1: 4 + 4 pixels, one shared.
    boxes = torch.tensor([[0., 0, 1, 1], [1, 1, 2, 2]])
    scores = torch.tensor([1., 0.5])
    assert boxes_ops.nms(boxes, scores, 0.1, 0).tolist() == [0, 1]
    assert boxes_ops.nms(boxes, scores, 0.1, 1).tolist() == [0]


def test_nms_keeps_boxes_without_area():
    boxes = torch.tensor([[1., 1, 1, 1], [1, 1, 1, 1]])
    assert boxes_ops.nms(boxes, torch.tensor([.5, .9]), 0.5, 0).tolist() == [
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
    monkeypatch.setattr(boxes_ops, 'torchvision_ops', lambda device: stub)
    generator = torch.Generator().manual_seed(5)
    boxes = random_boxes(60, generator)
    scores = torch.randint(0, 9, (60, ), generator=generator) / 8
    kept = boxes_ops.nms(boxes, scores, 0.4, offset).tolist()
    assert kept == [
        group[0]
        for group in loop_groups(boxes, scores, 0.4, offset, False)
    ]
    float32 = np.float32(0.4).item()
    assert calls == ([(torch.float32, float32)] if offset == 0 else [])


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
    index = boxes_ops.softnms(
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
        boxes_ops.softnms(boxes, torch.tensor([.9, .8]), dets, threshold, 0.5,
                         0.1, 1, 0)
        assert dets[1].tolist() == pytest.approx([0, 0, 2, 1, score])


@pytest.mark.parametrize('offset, mode, value', [(0, 0, 1 / 7), (0, 1, 1 / 4),
                                                 (1, 0, 4 / 14), (1, 1, 4 / 9)
                                                 ])
def test_bbox_overlaps_by_hand(offset, mode, value):
    a, b = torch.tensor([[0., 0, 2, 2]]), torch.tensor([[1., 1, 3, 3]])
    for aligned, shape in ((True, (1, )), (False, (1, 1))):
        ious = torch.full(shape, -1.)
        boxes_ops.bbox_overlaps(
            a, b, ious, mode=mode, aligned=aligned, offset=offset)
        assert ious.flatten().tolist() == pytest.approx([value])
