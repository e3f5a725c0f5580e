from .backbones import SDUNet
from .data_preprocessors import OneStepDataPreprocessor
from .distillers import TinyAutoencoderDistiller
from .estimators import DenseEstimator, LatentDiffusionEstimator
from .heads import (
    BaseDenseHead,
    DPTDecodeHead,
    ReadoutHead,
    ReadoutSegHead,
    VAEDecodeHead,
)
from .losses import *  # noqa: F401, F403

__all__ = [
    'BaseDenseHead', 'DPTDecodeHead', 'DenseEstimator',
    'LatentDiffusionEstimator', 'OneStepDataPreprocessor', 'ReadoutHead',
    'ReadoutSegHead', 'SDUNet', 'TinyAutoencoderDistiller', 'VAEDecodeHead'
]
