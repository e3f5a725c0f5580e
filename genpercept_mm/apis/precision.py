"""The precision in which networks predict."""
import contextlib
import functools

import torch

from genpercept_mm.models.backbones import SDUNet
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


def use_precision(network, dtype, device=None):
    """Let a network run in a precision.

    With an `SDUNet`, bf16 takes the weights themselves. Other networks run
    under autocast, and so does fp16, as what overflows is predicted again
    with weights in fp32.

    Args:
        network (nn.Module): Changed in place.
        dtype (torch.dtype): See `find_dtype`.
        device (torch.device, optional): Where it will run. Defaults to None,
            where it is.

    Returns:
        callable: Gives the context in which the network must be called.
    """
    if dtype == torch.bfloat16 and isinstance(
            getattr(network, 'backbone', None), SDUNet):
        network.to(dtype)
        dtype = torch.float32
    if dtype == torch.float32:
        return contextlib.nullcontext
    device = device or next(network.parameters()).device
    return functools.partial(torch.autocast, device.type, dtype)
