"""Mattes and object masks."""
from genpercept_mm.registry import TRANSFORMS

from .base_load_label import BaseLoadLabel
from ..io.raster_io import check_size, read_alpha


@TRANSFORMS.register_module()
class LoadAlpha(BaseLoadLabel):
    """Load a matte or mask with values in [0, 1], see `read_alpha`.

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
        ValueError: If the file does not have 8 or 16 bits, its colour
            channels differ, or it has another size than the image.
    """

    LABEL = 'alpha'
    KEYS = ('alpha_path', )

    def load(self, results):
        """See `BaseLoadLabel.load`."""
        path = results['alpha_path']
        alpha = read_alpha(path)
        check_size(results, path, alpha.shape)
        return dict(gt_alpha_map=alpha)
