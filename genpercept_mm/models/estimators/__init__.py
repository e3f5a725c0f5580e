from .dense_estimator import DenseEstimator
from .dense_tta_model import DenseTTAModel

__all__ = ['DenseEstimator', 'DenseTTAModel']
