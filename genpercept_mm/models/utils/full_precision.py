"""Last layers that half precision leaves alone."""
import torch
from torch import nn

HALF = (torch.float16, torch.bfloat16)


class FullPrecisionConv2d(nn.Conv2d):
    """A convolution that computes in single precision at least.

    bf16 has 256 values between 1 and 2, so a map that leaves the network in
    it shows steps. This layer keeps its weights and its output in fp32, under
    autocast and when the model is moved to half precision
    (``model.to(torch.bfloat16)``).
    """

    def _apply(self, fn, recurse=True):
        return super()._apply(lambda tensor: _moved(fn, tensor), recurse)

    def forward(self, x):
        """Convolve (N, C, H, W) of any floating type."""
        x = x.to(self.weight.dtype)
        if x.is_meta or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x)


def keep_full_precision(conv):
    """Turn a convolution of another library into a `FullPrecisionConv2d`, in
    place."""
    if type(conv) is not nn.Conv2d:
        raise TypeError('keep_full_precision: expected a torch.nn.Conv2d, got '
                        f'{type(conv).__name__}.')
    conv.__class__ = FullPrecisionConv2d


def _moved(fn, tensor):
    moved = fn(tensor)
    if moved.dtype not in HALF or tensor.dtype in HALF:
        return moved
    return torch.empty_like(moved, dtype=tensor.dtype).copy_(tensor)
