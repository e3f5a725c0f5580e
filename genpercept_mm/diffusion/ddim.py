"""Mixing and separating clean samples and noise, in v-parametrisation.

Note:
    - x0: clean sample; n: noise; x: noisy sample; v: velocity
    - a: alpha-bar, the product of ``1 - beta`` up to a timestep; in [0, 1],
      broadcastable to the samples

    With ``x = sqrt(a) x0 + sqrt(1 - a) n`` and ``v = sqrt(a) n -
    sqrt(1 - a) x0`` (Salimans and Ho, arXiv:2202.00512), (x, v) is (x0, n)
    rotated, so either pair gives the other at every a, at 0 and 1 too.
"""


def add_noise(clean, noise, alpha):
    """Mix clean samples with noise.

    Args:
        clean (Tensor): (N, C, h, w), x0.
        noise (Tensor): (N, C, h, w), n.
        alpha (Tensor): a.

    Returns:
        Tensor: (N, C, h, w), x.
    """
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise


def velocity_target(clean, noise, alpha):
    """Compute the velocity that a network should predict.

    Args:
        clean (Tensor): (N, C, h, w), x0.
        noise (Tensor): (N, C, h, w), n.
        alpha (Tensor): a.

    Returns:
        Tensor: (N, C, h, w), v; with a = 0 it is ``-x0``.
    """
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * clean


def split_velocity(sample, velocity, alpha):
    """Compute clean samples and noise from a prediction.

    Args:
        sample (Tensor): (N, C, h, w), x.
        velocity (Tensor): (N, C, h, w), v.
        alpha (Tensor): a.

    Returns:
        tuple[Tensor, Tensor]: x0 and n.
    """
    signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
    return (signal * sample - noise * velocity,
            signal * velocity + noise * sample)


def ddim_step(sample, velocity, alpha, previous_alpha):
    """Go to a smaller timestep without drawing noise.

    The update of DDIM with eta = 0 (Song et al., arXiv:2010.02502,
    equation 12). diffusers computes the variance of the noise that is not
    drawn, and multiplies it by 0; at beta = 1 it is 0 / 0, and the result
    NaN. Here it does not appear.

    Args:
        sample (Tensor): (N, C, h, w), x.
        velocity (Tensor): (N, C, h, w), v.
        alpha (Tensor): a.
        previous_alpha (Tensor): a of the smaller timestep.

    Returns:
        tuple[Tensor, Tensor]: x of the smaller timestep, and x0.
    """
    clean, noise = split_velocity(sample, velocity, alpha)
    return add_noise(clean, noise, previous_alpha), clean
