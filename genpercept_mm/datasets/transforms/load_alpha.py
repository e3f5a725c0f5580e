"""Mattes and object masks."""
import logging

from mmengine.logging import print_log

from genpercept_mm.registry import TRANSFORMS

from .base_load_label import BaseLoadLabel
from ..io.raster_io import check_size, read_alpha


@TRANSFORMS.register_module()
class LoadAlpha(BaseLoadLabel):
    """Load a matte or mask with values in [0, 1], see `read_alpha`.

    Required keys: ``alpha_path`` (an image of 8 or 16 bits). Added keys:
    ``gt_alpha_map`` (H, W) float32.

    Args:
        max_value (float, optional): Value of an opaque pixel in the files, for
            example 1 for masks of 0 and 1. None is 255, or 65535 in files of
            16 bits; files that hold nothing near it are taken for masks of 0
            and 1, or for 8 bits, with one warning for each data set.

    Raises:
        ValueError: If ``max_value`` is not positive, or a file holds values
            beyond it.
    """

    LABEL = 'alpha'
    KEYS = ('alpha_path', )

    def __init__(self, max_value=None):
        if max_value is not None and not max_value > 0:
            raise ValueError('LoadAlpha: max_value must be positive, got '
                             f'{max_value}.')
        self.max_value = max_value
        self._warned = set()

    def load(self, results):
        """See `BaseLoadLabel.load`."""
        path = results['alpha_path']

        def warn(text):
            name = results.get('dataset_name')
            if name not in self._warned:
                self._warned.add(name)
                print_log(f'LoadAlpha: {text} Further files of data set '
                          f'{name!r} are not reported.', logger='current',
                          level=logging.WARNING)

        alpha = read_alpha(path, self.max_value, warn)
        check_size(results, path, alpha.shape)
        return dict(gt_alpha_map=alpha)
