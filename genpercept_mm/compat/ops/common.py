"""What the ops share: precision, torchvision's ops, sums of rows."""
from functools import lru_cache

import torch
import torch.nn.functional as F

from ..torchvision import torchvision_problem


@lru_cache
def torchvision_ops(device_type):
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


def compute_dtype(tensor):
    return torch.promote_types(tensor.dtype, torch.float32)


def weighted_rows(table, index, weight):
    """Sum rows of (R, C) by index and weight (S, taps) into (S, C)."""
    return F.embedding_bag(index, table, mode='sum', per_sample_weights=weight)


def as_rows(maps):
    """Turn (N, C, H, W) into (N * H * W, C)."""
    # A transposed view would be read 20 times slower.
    rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return rows.contiguous()


def add_gradients(function, inputs, grad_output, grads):
    """Run a function again with autograd and add its gradients in place;
    inputs, and places of gradients that are not needed, may be None."""
    dtype = compute_dtype(inputs[0])
    leaves = [None if x is None else x.detach().to(dtype) for x in inputs]
    wanted = [leaf.requires_grad_() for leaf, grad in zip(leaves, grads)
              if grad is not None]
    with torch.enable_grad():
        output = function(*leaves)
    results = list(
        torch.autograd.grad(output, wanted, grad_output.to(dtype)))
    for grad in grads:
        if grad is not None:
            grad += results.pop(0)
