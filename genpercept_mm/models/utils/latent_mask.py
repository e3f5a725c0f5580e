"""Masks of pixels at the resolution of a latent."""
import torch.nn.functional as F


def latent_mask(mask, stride, size):
    """Find the latent cells whose pixels are all valid, (N, 1, h, w) bool,
    from a mask of valid pixels, (N, 1, H, W) bool. A cell has ``stride``
    pixels along each axis, and ``size`` is (h, w)."""
    # a small stem has a cell for what is left over at the edges, too
    invalid = F.max_pool2d((~mask).float(), stride, ceil_mode=True)
    return invalid[..., :size[0], :size[1]] == 0
