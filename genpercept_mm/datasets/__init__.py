from .ade20k_nyu40 import ADE20KNYU40Dataset
from .hypersim import HypersimDataset
from .transforms import *  # noqa: F401, F403

__all__ = ['ADE20KNYU40Dataset', 'HypersimDataset']
