"""Mixing and separating clean samples and noise, in v-parametrisation.

Note:
    - x0: clean sample; n: noise; x: noisy sample; v: velocity
    - a: alpha-bar, the product of ``1 - beta`` up to a timestep; in [0, 1],
      broadcastable to the samples

    Samples are tensors (N, C, h, w). With ``x = sqrt(a) x0 + sqrt(1 - a) n``
    and ``v = sqrt(a) n - sqrt(1 - a) x0`` (Salimans and Ho,
    arXiv:2202.00512), (x, v) is a rotation of (x0, n), so each pair gives
    the other for every a, including 0 and 1.
"""


def add_noise(clean, noise, alpha):
    """Mix clean samples x0 and noise n into noisy samples x."""
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise


def velocity_target(clean, noise, alpha):
    """Compute the velocity v that a network should predict from x0 and n;
    with a = 0 it is ``-x0``."""
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * clean


def split_velocity(sample, velocity, alpha):
    """Compute clean samples x0 and noise n from x and a predicted v."""
    signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
    return (signal * sample - noise * velocity,
            signal * velocity + noise * sample)


def ddim_step(sample, velocity, alpha, previous_alpha):
    """Go to a smaller timestep without drawing noise.

    This is DDIM's update with eta = 0 (Song et al., arXiv:2010.02502, equation
    12). diffusers multiplies the variance of the noise by eta; at beta = 1
    this variance is 0 / 0, which makes its result NaN. It does not appear
    here.

    The arguments are x, v, a, and a of the smaller timestep. Returns x of the
    smaller timestep, and x0.
    """
    clean, noise = split_velocity(sample, velocity, alpha)
    return add_noise(clean, noise, previous_alpha), clean
