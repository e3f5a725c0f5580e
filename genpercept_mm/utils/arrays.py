"""Maps as NumPy arrays, whatever holds them."""
import numpy as np
import torch
from mmengine.structures import BaseDataElement


def to_numpy(value):
    """Turn a map into an array that NumPy can calculate with.

    ``value`` is a tensor on any device, an array, or the PixelData or dict
    that holds it as ``data``; bfloat16 and float16 become float32.
    """
    if isinstance(value, (dict, BaseDataElement)):
        value = value.get('data')
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.is_floating_point() and value.dtype != torch.float64:
            value = value.float()
        value = value.numpy()
    return np.asarray(value)


def channels_last(value):
    """Turn a map of (1, H, W), see `to_numpy`, into (H, W), and one of
    (K, H, W) into (H, W, K)."""
    maps = to_numpy(value)
    return maps[0] if len(maps) == 1 else maps.transpose(1, 2, 0)
