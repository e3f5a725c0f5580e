from .ddim import add_noise, ddim_step, split_velocity, velocity_target
from .noise import (
    annealed_strength,
    gaussian_noise,
    image_generator,
    multi_resolution_noise,
)
from .protocol import PROTOCOLS, DiffusionProtocol, build_protocol
from .schedule import NoiseSchedule

__all__ = [
    'DiffusionProtocol', 'NoiseSchedule', 'PROTOCOLS', 'add_noise',
    'annealed_strength', 'build_protocol', 'ddim_step', 'gaussian_noise',
    'image_generator', 'multi_resolution_noise', 'split_velocity',
    'velocity_target'
]
