from .one_step_data_preprocessor import OneStepDataPreprocessor

__all__ = ['OneStepDataPreprocessor']
