from .affine_depth_metric import AffineDepthMetric
from .base_alpha_metric import BaseAlphaMetric
from .base_dense_metric import BaseDenseMetric
from .dis_metric import DISMetric
from .matting_metric import MattingMetric
from .seg_iou_metric import SegIoUMetric
from .surface_normal_metric import SurfaceNormalMetric

__all__ = [
    'AffineDepthMetric', 'BaseAlphaMetric', 'BaseDenseMetric', 'DISMetric',
    'MattingMetric', 'SegIoUMetric', 'SurfaceNormalMetric'
]
