from .backbones import SDUNet
from .data_preprocessors import OneStepDataPreprocessor
from .estimators import DenseEstimator
from .heads import BaseDenseHead, DPTDecodeHead, VAEDecodeHead
from .losses import *  # noqa: F401, F403

__all__ = [
    'BaseDenseHead', 'DPTDecodeHead', 'DenseEstimator',
    'OneStepDataPreprocessor', 'SDUNet', 'VAEDecodeHead'
]
