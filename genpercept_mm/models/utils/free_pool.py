"""Adaptive pooling whose input may have any size in an exported file."""
import torch
from torch import nn
from torch.nn.modules.utils import _pair


class FreeAveragePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products.

    ONNX has no such layer, and torch writes it out for the size of the example
    alone.

    Args:
        output_size (int | Sequence[int]): Height and width of the output.
    """

    def __init__(self, output_size):
        super().__init__()
        self.output_size = _pair(output_size)

    def forward(self, x):
        """Average (N, C, H, W) over cells."""
        rows, columns = (
            self._weights(size, length, x.device)
            for size, length in zip(self.output_size, x.shape[2:]))
        # sums in half precision would be coarser than torch's
        return (rows @ x.float() @ columns.transpose(0, 1)).to(x.dtype)

    def _weights(self, size, length, device):
        """(size, length): cell i has pixels floor(i length / size) up to
        ceil((i + 1) length / size)."""
        cells = torch.arange(size, device=device)[:, None]
        pixels = torch.arange(length, device=device)[None]
        first = cells * length // size
        end = ((cells + 1) * length + size - 1) // size
        inside = (pixels >= first) & (pixels < end)
        return inside.float() / (end - first)


def use_free_pools(model):
    """Replace adaptive average pools of a model, in place."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d) and None not in _pair(
                    child.output_size):
                setattr(module, name, FreeAveragePool(child.output_size))
