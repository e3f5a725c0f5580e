"""What the ops share: precision, torchvision's ops, sums of rows."""
from functools import lru_cache
from typing import Callable, List

import torch
import torch.nn.functional as F
from torch import Tensor

from ..torchvision import torchvision_problem


@lru_cache
def torchvision_ops(device_type: str):
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


def compute_dtype(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def weighted_rows(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum rows of (R, C) by index and weight (S, taps) into (S, C)."""
    return F.embedding_bag(index, table, mode='sum', per_sample_weights=weight)


def as_rows(maps: Tensor) -> Tensor:
    """Turn (N, C, H, W) into (N * H * W, C)."""
    # A transposed view would be read 20 times slower.
    rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return rows.contiguous()


def add_gradients(function: Callable[..., Tensor], inputs: List[Tensor],
                   grad_output: Tensor, grads: List[Tensor]) -> None:
    """Run a function again with autograd; add its gradients in place."""
    dtype = compute_dtype(inputs[0])
    leaves = [x.detach().to(dtype).requires_grad_() for x in inputs]
    with torch.enable_grad():
        output = function(*leaves)
    results = torch.autograd.grad(output, leaves, grad_output.to(dtype))
    for grad, result in zip(grads, results):
        grad += result
