"""Mattes and object masks."""
from genpercept_mm.registry import TRANSFORMS

from .base_load_label import BaseLoadLabel
from ..io.raster_io import check_size, read_alpha


@TRANSFORMS.register_module()
class LoadAlpha(BaseLoadLabel):
    """Load a matte or mask with values in [0, 1], see `read_alpha`.

    Required keys: ``alpha_path`` (an image of 8 or 16 bits). Added keys:
    ``gt_alpha_map`` (H, W) float32.
    """

    LABEL = 'alpha'
    KEYS = ('alpha_path', )

    def load(self, results):
        """See `BaseLoadLabel.load`."""
        path = results['alpha_path']
        alpha = read_alpha(path)
        check_size(results, path, alpha.shape)
        return dict(gt_alpha_map=alpha)
