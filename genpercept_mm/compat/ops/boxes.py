"""Overlaps of boxes and their suppression."""
import torch

from .common import compute_dtype, torchvision_ops

# Boxes of which all pairs are compared at once. A larger block saves steps
# and wastes comparisons with boxes that the block itself suppresses.
NMS_BLOCK = 512


def _overlaps(boxes1, boxes2, offset, over_first=False):
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


def bbox_overlaps(bboxes1, bboxes2, ious, mode, aligned, offset):
    """Compute overlaps (M1, M2), or (M1,) if ``aligned``, in place.

    ``mode`` is 0 for intersection over union and 1 for intersection over the
    area of ``bboxes1``; ``offset`` is 1 if a box includes its last pixel.
    """
    dtype = compute_dtype(bboxes1)
    bboxes1, bboxes2 = bboxes1.to(dtype), bboxes2.to(dtype)
    if not aligned:
        bboxes1 = bboxes1[:, None]
    ious.copy_(_overlaps(bboxes1, bboxes2, offset, over_first=mode == 1))


def _suppressors(boxes, threshold, offset, inclusive):
    """Say which box removes each of (M, 4) boxes, in order of falling score.

    Returns (M,) positions: that of the first kept box whose overlap with the
    box is above the threshold (or equal to it, if ``inclusive``), and its own
    position for a kept box.
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


def nms(boxes, scores, iou_threshold, offset):
    """Return the indices of the boxes that are kept, by falling score."""
    if boxes.numel() == 0:
        return torch.zeros(0, dtype=torch.long, device=boxes.device)
    # Not a stable sort, as in mmcv: equal scores come out the same way.
    order = scores.sort(dim=0, descending=True)[1]
    boxes = boxes[order].to(compute_dtype(boxes))
    ops = torchvision_ops(boxes.device.type) if offset == 0 else None
    if ops is not None:
        # torchvision sorts again, stably: ranks instead of scores keep the
        # order. It compares in double, mmcv with a float32 threshold.
        ranks = torch.arange(len(boxes), 0, -1, device=boxes.device)
        return order[ops.nms(boxes, ranks.to(boxes),
                             torch.tensor(iou_threshold).item())]
    owner = _suppressors(boxes, iou_threshold, offset, inclusive=False)
    return order[owner == torch.arange(len(owner), device=owner.device)]


def nms_match(dets, iou_threshold):
    """Group (M, 5) boxes and scores by the box that suppresses them: one list
    per kept box, of its own index and the removed ones, all by falling
    score."""
    order = dets[:, 4].sort(dim=0, descending=True)[1]
    boxes = dets[order, :4].to(compute_dtype(dets))
    owner = _suppressors(boxes, iou_threshold, offset=0, inclusive=True)
    groups = {}
    for index, kept in zip(order.tolist(), order[owner].tolist()):
        groups.setdefault(kept, []).append(index)
    return list(groups.values())


def softnms(boxes, scores, dets, iou_threshold, sigma, min_score, method,
            offset):
    """Lower the scores of overlapping boxes.

    Method 0 removes boxes, 1 multiplies scores by 1 - overlap, 2 by
    exp(-overlap ** 2 / sigma). Returns the indices of the kept boxes in the
    order in which they were picked; only that many rows of ``dets`` (M, 5),
    boxes and new scores, are written.
    """
    dtype = compute_dtype(boxes)
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
