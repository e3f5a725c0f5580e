"""Metric depth from the file format of any data set."""
import logging

import numpy as np
from mmengine.logging import print_log

from genpercept_mm.registry import TRANSFORMS

from .base_load_label import BaseLoadLabel, read_format
from ..io.depth_io import DEPTH_READERS
from ..io.raster_io import check_size, read_array, single_channel


@TRANSFORMS.register_module()
class LoadDepth(BaseLoadLabel):
    """Load depth in metres and a mask of the pixels that have it.

    A pixel is valid if its depth is finite and strictly inside
    ``depth_range``; a mask file, if there is one, decides instead of the
    range. NaN and infinite depth becomes 0. A map without a valid pixel is
    passed on, with a warning for the first one; losses and metrics skip it.

    Required keys: ``depth_path``, ``depth_format`` (a key of
    ``DEPTH_READERS``) and what the format needs, such as ``depth_scale``.
    Optional keys: ``depth_range`` ((min, max) in metres; without it, any
    positive depth is valid) and ``depth_mask_path`` (non-zero where valid).
    Added keys: ``gt_depth_map`` (H, W) float32, metres along the view axis,
    and ``gt_depth_mask`` (H, W) bool.
    """

    LABEL = 'depth'
    KEYS = ('depth_path', 'depth_format')

    def __init__(self):
        self._warned = False

    def load(self, results):
        """See `BaseLoadLabel.load`."""
        depth = read_format(results, 'depth', DEPTH_READERS)
        check_size(results, results['depth_path'], depth.shape)
        valid = np.isfinite(depth)
        depth[~valid] = 0
        valid &= self._mask(results, depth)
        if not valid.any() and not self._warned:
            self._warned = True
            print_log(
                f'LoadDepth: {results["depth_path"]} has no valid pixel '
                f'(range {results.get("depth_range")} metres); further such '
                'files are not reported.',
                logger='current',
                level=logging.WARNING)
        return dict(gt_depth_map=depth, gt_depth_mask=valid)

    @staticmethod
    def _mask(results, depth):
        path = results.get('depth_mask_path')
        if not path:
            low, high = results.get('depth_range', (0, np.inf))
            return (depth > low) & (depth < high)
        mask = single_channel(read_array(path), path)
        if mask.shape != depth.shape:
            raise ValueError(
                f'{path} is {mask.shape} and {results["depth_path"]} is '
                f'{depth.shape} (H, W); they must be equal.')
        return mask != 0
