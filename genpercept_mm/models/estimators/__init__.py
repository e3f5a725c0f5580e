from .dense_estimator import DenseEstimator
from .latent_diffusion_estimator import LatentDiffusionEstimator

__all__ = ['DenseEstimator', 'LatentDiffusionEstimator']
