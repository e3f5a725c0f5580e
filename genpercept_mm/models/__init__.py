from .backbones import SDUNet
from .data_preprocessors import OneStepDataPreprocessor

__all__ = ['OneStepDataPreprocessor', 'SDUNet']
