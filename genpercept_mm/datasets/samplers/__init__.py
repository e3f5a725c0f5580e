from .mixture_sampler import MixtureSampler
from .step_batch_sampler import StepBatchSampler

__all__ = ['MixtureSampler', 'StepBatchSampler']
