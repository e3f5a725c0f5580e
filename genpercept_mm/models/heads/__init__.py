from .base_dense_head import BaseDenseHead
from .dpt_decode_head import DPTDecodeHead
from .vae_decode_head import VAEDecodeHead

__all__ = ['BaseDenseHead', 'DPTDecodeHead', 'VAEDecodeHead']
