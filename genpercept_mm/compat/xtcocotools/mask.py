"""Masks as run lengths: the functions of `pycocotools.mask`."""
from pycocotools.mask import (
    area,
    decode,
    encode,
    frPyObjects,
    iou,
    merge,
    toBbox,
)

__all__ = [
    'area', 'decode', 'encode', 'frPyObjects', 'iou', 'merge', 'toBbox'
]
