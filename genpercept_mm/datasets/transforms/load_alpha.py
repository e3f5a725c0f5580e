"""Mattes and object masks."""
import numpy as np
from mmcv.transforms import BaseTransform

from genpercept_mm.registry import TRANSFORMS

from .label_errors import errors_named, require
from ..raster_io import check_size, read_raster, single_channel


@TRANSFORMS.register_module()
class LoadAlpha(BaseTransform):
    """Load a matte or mask with values in [0, 1].

    One channel, or several equal ones, are taken as they are. Of four
    channels the last one counts (a cut-out), unless it is opaque
    everywhere: then the other three must be equal.

    Required Keys:

    - alpha_path (an image of 8 or 16 bits)
    - ori_shape, if the image is loaded: must be the label's size
    - seg_fields (list)

    Added Keys:

    - gt_alpha_map (H, W) float32 in [0, 1], value / maximum of the dtype

    Modified Keys:

    - seg_fields

    Raises:
        OSError: If the file is missing or cannot be decoded.
        ValueError: If it holds other than 8 or 16 bits, different colour
            channels, or has another size than the image.
    """

    def transform(self, results):
        """Load the matte of one sample.

        Args:
            results (dict): Has the keys named above.

        Returns:
            dict: With ``gt_alpha_map``.
        """
        with errors_named('LoadAlpha'):
            require(results, 'alpha', ('alpha_path', ))
            path = results['alpha_path']
            raster = read_raster(path)
            if raster.dtype not in (np.uint8, np.uint16):
                raise ValueError(f'{path} holds {raster.dtype}; mattes have '
                                 '8 or 16 bits.')
            most = np.iinfo(raster.dtype).max
            if raster.ndim == 3 and raster.shape[2] == 4:
                opaque = (raster[..., 3] == most).all()
                raster = raster[..., :3] if opaque else raster[..., 3]
            alpha = single_channel(raster, path)
            check_size(results, path, alpha.shape)
        results['gt_alpha_map'] = (alpha / np.float32(most)).astype(
            np.float32)
        results['seg_fields'].append('gt_alpha_map')
        return results
