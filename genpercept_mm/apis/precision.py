"""The precision in which networks predict."""
import contextlib

import torch

from genpercept_mm.utils.arguments import check_choice

PRECISIONS = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)


def find_dtype(dtype, device):
    """Return a torch.dtype for a name, itself, or None.

    None is bf16 on GPUs that have it, and fp32 otherwise. Raises a ValueError
    for other names.
    """
    if dtype is None:
        half = device.type == 'cuda' and torch.cuda.is_bf16_supported(
            including_emulation=False)
        return torch.bfloat16 if half else torch.float32
    if dtype in PRECISIONS.values():
        return dtype
    check_choice('DenseInferencer', 'dtype', dtype, tuple(PRECISIONS))
    return PRECISIONS[dtype]


def autocast(network, dtype):
    """Return a context in which a network runs in a precision."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(next(network.parameters()).device.type, dtype)
