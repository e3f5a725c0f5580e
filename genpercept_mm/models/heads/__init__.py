from .base_dense_head import BaseDenseHead
from .dpt_decode_head import DPTDecodeHead
from .readout_head import ReadoutHead
from .readout_seg_head import ReadoutSegHead
from .vae_decode_head import VAEDecodeHead

__all__ = [
    'BaseDenseHead', 'DPTDecodeHead', 'ReadoutHead', 'ReadoutSegHead',
    'VAEDecodeHead'
]
