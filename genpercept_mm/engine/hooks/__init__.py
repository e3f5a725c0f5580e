from .resume_data_hook import ResumeDataHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .scene_visualization_hook import SceneVisualizationHook
from .strict_load_hook import StrictLoadHook
from .trained_weights_hook import TrainedWeightsHook

__all__ = [
    'ResumeDataHook', 'SafeCheckpointHook', 'SceneVisualizationHook',
    'StrictLoadHook', 'TrainedWeightsHook'
]
