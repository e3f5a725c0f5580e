"""What the metrics of mattes and masks have in common."""
from genpercept_mm.utils.pictures import encode_png

from .base_dense_metric import BaseDenseMetric, to_uint8


class BaseAlphaMetric(BaseDenseMetric):
    """Compare ``pred_alpha_map`` with ``gt_alpha_map`` over whole images.

    Both are (1, H, W) in [0, 1]. ``output_dir`` receives 8-bit grey PNG.
    """

    label = 'alpha'
    pred_fields = ('pred_alpha_map', )
    whole_images = True

    def to_file(self, field, pred, sample):
        """See `BaseDenseMetric.to_file`."""
        return '.png', encode_png(to_uint8(pred[0]))
