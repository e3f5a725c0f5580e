from .autocast_hook import AutocastHook
from .class_names_hook import ClassNamesHook
from .cudnn_benchmark_hook import CudnnBenchmarkHook
from .dense_visualization_hook import DenseVisualizationHook
from .deploy_hook import DeployHook
from .finite_guard_hook import FiniteGuardHook
from .label_check_hook import LabelCheckHook
from .resume_config_hook import ResumeConfigHook
from .resume_data_hook import ResumeDataHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .strict_load_hook import StrictLoadHook
from .trained_weights_hook import TrainedWeightsHook

__all__ = [
    'AutocastHook', 'ClassNamesHook', 'CudnnBenchmarkHook',
    'DenseVisualizationHook', 'DeployHook', 'FiniteGuardHook',
    'LabelCheckHook', 'ResumeConfigHook', 'ResumeDataHook',
    'SafeCheckpointHook', 'StrictLoadHook', 'TrainedWeightsHook'
]
