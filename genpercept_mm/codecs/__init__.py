from .affine_depth_codec import AffineDepthCodec
from .base_codec import (
    BaseDenseCodec,
    directional_label_keys,
    mirror_directions,
)
from .colormap_codec import ColormapCodec
from .matte_codec import MatteCodec
from .normal_codec import NormalCodec

__all__ = [
    'AffineDepthCodec', 'BaseDenseCodec', 'ColormapCodec', 'MatteCodec',
    'NormalCodec', 'directional_label_keys', 'mirror_directions'
]
