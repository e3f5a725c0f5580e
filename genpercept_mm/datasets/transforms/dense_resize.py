"""Resizing images and dense targets."""
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform

from genpercept_mm.registry import TRANSFORMS
from genpercept_mm.utils.arguments import check_choice

from .base_load_label import is_sample

MODES = ('bilinear', 'bicubic', 'nearest-exact')


def resize_map(array, size, mode):
    """Resize (H, W) or (H, W, C) as the official pipelines resize tensors, to
    ``size`` (height, width) by one of ``MODES``, of which the first two use
    antialiasing. The dtype stays; integers are rounded."""
    if array.shape[:2] == tuple(size):
        return array
    maps = array[..., None] if array.ndim == 2 else array
    tensor = torch.from_numpy(np.ascontiguousarray(maps, np.float32))
    tensor = tensor.permute(2, 0, 1)[None]
    tensor = F.interpolate(
        tensor, size=tuple(size), mode=mode, antialias=mode != 'nearest-exact')
    maps = tensor[0].permute(1, 2, 0).numpy()
    if array.dtype != bool and np.issubdtype(array.dtype, np.integer):
        limits = np.iinfo(array.dtype)
        maps = np.clip(np.round(maps), limits.min, limits.max)
    maps = np.ascontiguousarray(maps.astype(array.dtype))
    return maps[..., 0] if array.ndim == 2 else maps


@TRANSFORMS.register_module()
class DenseResize(BaseTransform):
    """Resize an image with antialiasing, and its labels.

    The new size is either ``scale``, or that at which the image just fits into
    a square of ``long_edge`` (aspect ratio kept, sizes rounded down, small
    images enlarged), like the official processing resolution. Targets use
    their codec's interpolation, labels the nearest pixel. In a test pipeline,
    load labels afterwards: they keep the original size, at which predictions
    are returned.

    Required keys: ``img``, ``seg_fields``. Modified keys: ``img``, the maps of
    ``seg_fields``, ``img_shape``. Added keys: ``scale_factor``.

    Args:
        scale (tuple[int], optional): (width, height).
        long_edge (int, optional): Pixels.
        interpolation (str): For images: ``'bilinear'``, ``'bicubic'`` or
            ``'nearest-exact'`` (official training). Defaults to 'bilinear'.
        round_image (bool): Round the pixels of images, as the official
            pipeline does. False leaves them float32, as in diffusers' Marigold
            and in Lotus. Defaults to True.
        integer_size (bool): Compute the size for ``long_edge`` with integers,
            as diffusers does. In the official code, rounding of floats makes
            some images one pixel smaller. Defaults to False.
        only_photographs (bool): Resize images alone, as inferencers give them
            to pipelines, and leave samples of data sets as they are, whose
            benchmarks run at their own size. Defaults to False.

    Raises:
        ValueError: If not exactly one of ``scale`` and ``long_edge`` is given,
            or an argument is outside its set.
    """

    def __init__(self, scale=None, long_edge=None, interpolation='bilinear',
                 round_image=True, integer_size=False,
                 only_photographs=False):
        if (scale is None) == (long_edge is None):
            raise ValueError('DenseResize: set either scale=(width, height) '
                             f'or long_edge, got {scale} and {long_edge}.')
        check_choice('DenseResize', 'interpolation', interpolation, MODES)
        self.scale, self.long_edge = scale, long_edge
        self.interpolation = interpolation
        self.round_image = round_image
        self.integer_size = integer_size
        self.only_photographs = only_photographs

    def _fit(self, height, width):
        if self.integer_size:
            longer = max(height, width)
            size = (height * self.long_edge // longer,
                    width * self.long_edge // longer)
        else:
            factor = min(self.long_edge / width, self.long_edge / height)
            size = int(height * factor), int(width * factor)
        return max(size[0], 1), max(size[1], 1)

    def transform(self, results):
        """Resize one sample."""
        if self.only_photographs and is_sample(results):
            return results
        height, width = results['img'].shape[:2]
        if self.scale is not None:
            size = self.scale[1], self.scale[0]
        else:
            size = self._fit(height, width)
        if not self.round_image:
            results['img'] = results['img'].astype(np.float32)
        results['img'] = resize_map(results['img'], size, self.interpolation)
        for key in results.get('seg_fields', ()):
            smooth = (key == 'gt_target'
                      and results['codec'].interpolation == 'bilinear')
            results[key] = resize_map(
                results[key], size,
                'bilinear' if smooth else 'nearest-exact')
        results['img_shape'] = size
        results['scale_factor'] = (size[1] / width, size[0] / height)
        return results
