"""Metric depth from whatever file a data set keeps it in."""
import logging

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from genpercept_mm.registry import TRANSFORMS

from .label_errors import errors_named, require
from ..depth_io import DEPTH_READERS
from ..raster_io import check_size, read_npy, read_raster, single_channel


@TRANSFORMS.register_module()
class LoadDepth(BaseTransform):
    """Load depth in metres and which pixels have it.

    A pixel is valid if its depth is finite and strictly inside
    ``depth_range``; where the data set has a mask file, that decides
    instead. NaN and infinite depth becomes 0. A map without a single valid
    pixel is passed on, with one warning; losses and metrics skip it.

    Required Keys:

    - depth_path, depth_format (a key of ``DEPTH_READERS``) and what the
      format needs (``depth_scale``, ``camera_path``, ...)
    - depth_range ((min, max) in metres, optional): any positive depth
      without it
    - depth_mask_path (optional): non-zero where valid
    - ori_shape, if the image is loaded: must be the label's size
    - seg_fields (list)

    Added Keys:

    - gt_depth_map (H, W) float32, metres along the view axis
    - gt_depth_mask (H, W) bool

    Modified Keys:

    - seg_fields

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If its content does not fit its format or the image.
    """

    def __init__(self):
        self._warned = False

    def transform(self, results):
        """Load the depth of one sample.

        Args:
            results (dict): Has the keys named above.

        Returns:
            dict: With ``gt_depth_map`` and ``gt_depth_mask``.
        """
        with errors_named('LoadDepth'):
            require(results, 'depth', ('depth_path', 'depth_format'))
            kind = results['depth_format']
            if kind not in DEPTH_READERS:
                raise ValueError(
                    f'depth_format must be one of {sorted(DEPTH_READERS)}, '
                    f'got {kind!r}; change what the data set says of '
                    f'{results["depth_path"]}.')
            depth = DEPTH_READERS[kind](results)
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
        results['gt_depth_map'] = depth
        results['gt_depth_mask'] = valid
        results['seg_fields'] += ['gt_depth_map', 'gt_depth_mask']
        return results

    @staticmethod
    def _mask(results, depth):
        path = results.get('depth_mask_path')
        if not path:
            low, high = results.get('depth_range', (0, np.inf))
            return (depth > low) & (depth < high)
        read = read_npy if path.lower().endswith('.npy') else read_raster
        mask = single_channel(read(path), path)
        if mask.shape != depth.shape:
            raise ValueError(
                f'{path} is {mask.shape} and {results["depth_path"]} is '
                f'{depth.shape} (H, W); they must be equal.')
        return mask != 0
