from .dense_random_flip import DenseRandomFlip
from .dense_resize import DenseResize
from .encode_target import EncodeTarget
from .kitti_benchmark_crop import KITTIBenchmarkCrop
from .load_alpha import LoadAlpha
from .load_depth import LoadDepth
from .load_hypersim_image import LoadHypersimImage
from .load_hypersim_semantic import LoadHypersimSemantic
from .load_normal import LoadNormal
from .load_seg_label import LoadSegLabel
from .pack_dense_inputs import PackDenseInputs
from .sensor_depth_noise import SensorDepthNoise

__all__ = [
    'DenseRandomFlip', 'DenseResize', 'EncodeTarget', 'KITTIBenchmarkCrop',
    'LoadAlpha', 'LoadDepth', 'LoadHypersimImage', 'LoadHypersimSemantic',
    'LoadNormal', 'LoadSegLabel', 'PackDenseInputs', 'SensorDepthNoise'
]
