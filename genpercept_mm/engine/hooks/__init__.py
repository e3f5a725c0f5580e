from .resume_data_hook import ResumeDataHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .scene_visualization_hook import SceneVisualizationHook
from .strict_load_hook import StrictLoadHook

__all__ = [
    'ResumeDataHook', 'SafeCheckpointHook', 'SceneVisualizationHook',
    'StrictLoadHook'
]
