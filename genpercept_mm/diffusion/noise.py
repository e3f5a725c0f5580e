"""Noise for training and for the start of sampling."""
import zlib

import torch
import torch.nn.functional as F

LEVELS = 10


def image_generator(seed, name=None):
    """Make the random generator of an image's noise, on the CPU.

    It depends on the arguments alone, so predictions do not depend on the rest
    of the batch or on earlier images. Images get different noise, so no single
    draw decides the score of a data set. ``seed`` is that of the whole test;
    it is the generator's own seed if the image has no ``name``.
    """
    if name is not None:
        # torch's CPU generator uses no more than 32 bits
        seed = zlib.crc32(f'{seed} {name}'.encode())
    return torch.Generator().manual_seed(seed)


def gaussian_noise(shape, generator=None, device=None, dtype=None):
    """Draw a tensor of standard normal values.

    They are drawn on the CPU in fp32, by ``generator`` (on the CPU; torch's
    global one by default; or a list of one for each image), and then moved to
    ``device`` and ``dtype``, if given, so a seed means the same on every
    device and in every precision.
    """
    if isinstance(generator, list):
        values = torch.cat([gaussian_noise((1, *shape[1:]), one)
                            for one in generator])
    else:
        values = torch.randn(
            tuple(shape), generator=generator, dtype=torch.float32)
    return values.to(device=device, dtype=dtype)


def multi_resolution_noise(
        shape, strength, generator=None, device=None, dtype=None):
    """Draw the noise with low frequencies that Marigold trains with.

    Up to ten levels of Gaussian noise are added to a first one
    (arXiv:2312.02145; the variant called "original" in its code). Level
    i = 0, 1, ... draws r in [2, 4), divides the previous level's height and
    width by ``r**i``, down to 1, and has the weight ``strength**i``; a level
    whose height or width is 1 is the last. The sum is divided by its
    standard deviation over the whole batch, as in Marigold's code; with a
    list of generators, r and the deviation are those of each image. As level
    0 has full size, strength 0 gives the normalized sum of two Gaussians.

    Args:
        shape (Sequence[int]): (N, C, h, w).
        strength (float | Tensor): In [0, 1], for all samples or (N, ).
        generator (torch.Generator, optional): See `gaussian_noise`.
        device (torch.device, optional): Defaults to None (CPU).
        dtype (torch.dtype, optional): Defaults to None (fp32).

    Returns:
        Tensor: (N, C, h, w).
    """
    strength = torch.as_tensor(strength, dtype=torch.float32).cpu()
    if isinstance(generator, list):
        return torch.cat([
            multi_resolution_noise((1, *shape[1:]), one, each)
            for one, each in zip(strength.expand(shape[0]), generator)
        ]).to(device=device, dtype=dtype)
    strength = strength.reshape(-1, 1, 1, 1)
    noise = gaussian_noise(shape, generator)
    size = full_size = tuple(shape[2:])
    for level in range(LEVELS):
        ratio = 2 + 2 * torch.rand((), generator=generator).item()
        size = tuple(max(1, int(length / ratio**level)) for length in size)
        coarse = gaussian_noise((*shape[:2], *size), generator)
        noise = noise + strength**level * F.interpolate(
            coarse, full_size, mode='bilinear', align_corners=False)
        if 1 in size:
            break
    return (noise / noise.std()).to(device=device, dtype=dtype)


def annealed_strength(timesteps, strength, num_train_timesteps=1000):
    """Weaken low frequencies where there is little noise. Returns the strength
    at each timestep, one or (N, ); ``strength`` is that at timestep
    ``num_train_timesteps``."""
    return strength * (timesteps / num_train_timesteps)
