from .dense_visualization_hook import DenseVisualizationHook
from .resume_data_hook import ResumeDataHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .strict_load_hook import StrictLoadHook
from .trained_weights_hook import TrainedWeightsHook

__all__ = [
    'DenseVisualizationHook', 'ResumeDataHook', 'SafeCheckpointHook',
    'StrictLoadHook', 'TrainedWeightsHook'
]
