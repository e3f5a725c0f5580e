"""Masks of pixels at the resolution of a latent."""
import torch.nn.functional as F


def latent_mask(mask, stride, size):
    """Find the latent cells all of whose pixels are valid.

    Args:
        mask (Tensor): (N, 1, H, W) bool, the valid pixels.
        stride (int): Pixels per cell along each axis.
        size (tuple[int]): Height h and width w of the latent.

    Returns:
        Tensor: (N, 1, h, w) bool.
    """
    invalid = F.max_pool2d((~mask).float(), stride)
    return invalid[..., :size[0], :size[1]] == 0
