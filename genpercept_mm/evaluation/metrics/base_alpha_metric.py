"""What the metrics of mattes and masks have in common."""
from .base_dense_metric import BaseDenseMetric, to_uint8, write_png


class BaseAlphaMetric(BaseDenseMetric):
    """Compare ``pred_alpha_map`` with ``gt_alpha_map`` over whole images.

    Both are (1, H, W) in [0, 1]. ``output_dir`` receives 8-bit grey PNG.
    """

    label = 'alpha'
    pred_fields = ('pred_alpha_map', )
    whole_images = True

    def write(self, path, field, pred, sample):
        """See `BaseDenseMetric.write`."""
        write_png(path + '.png', to_uint8(pred[0]))
