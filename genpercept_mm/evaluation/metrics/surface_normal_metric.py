"""Angular errors of surface normals."""
import numpy as np

from genpercept_mm.registry import METRICS
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.arrays import to_numpy
from genpercept_mm.utils.normal_axes import AXES, convert_axes
from genpercept_mm.utils.pictures import encode_png

from .base_dense_metric import BaseDenseMetric

THRESHOLDS = (5, 7.5, 11.25, 22.5, 30)
# bins per degree of the histogram that gives the pooled median
RESOLUTION = 100


@METRICS.register_module()
class SurfaceNormalMetric(BaseDenseMetric):
    """Report angular errors of normals, in degrees.

    Reads ``pred_normal_map`` and ``gt_normal_map``, (3, H, W), both in the
    frame x right, y up, z towards the viewer. Their lengths have no influence;
    a predicted zero vector has an error of 90 degrees. Pixels whose label is
    the zero vector, or which ``gt_normal_mask`` excludes, are not evaluated.
    Reports ``mean``, ``median`` and ``rmse`` (degrees, lower is better) and
    ``a5``, ``a7.5``, ``a11.25``, ``a22.5`` and ``a30``, the percentages of
    pixels with an error strictly below these degrees (higher is better).

    Note:
        With ``pooling='pixels'``, the median is that of errors rounded to
        0.01 degrees, so it is at most 0.005 degrees off; all other numbers
        are exact. The histogram of an image takes up to 108 kB.

    Args:
        pooling (str): ``'pixels'``, all valid pixels of the set together, as
            in DSINE's evaluation and the paper's table, or ``'images'``, the
            mean over images, as in Marigold's. Defaults to 'pixels'.
        axes (str): Frame of the files in ``output_dir``: ``'genpercept'``
            (x, y, z); ``'opencv'`` (x, -y, -z), i.e. x right, y down, z
            forward; or ``'dsine'`` (-x, y, z), i.e. normals that point away
            from the viewer in OpenCV's frame. Defaults to 'genpercept'.
        output_bits (int): 8 or 16, the depth of the files, whose RGB is
            (n + 1) / 2. Defaults to 8.
        **kwargs: Arguments of ``BaseDenseMetric``.

    Raises:
        ValueError: If an argument is outside its set.
    """

    BETTER = {**dict.fromkeys(('mean', 'median', 'rmse'), 'less'),
              **dict.fromkeys((f'a{t:g}' for t in THRESHOLDS), 'greater')}
    label = 'normal'
    pred_fields = ('pred_normal_map', )
    channels = 3

    def __init__(self, pooling='pixels', axes='genpercept', output_bits=8,
                 **kwargs):
        super().__init__(**kwargs)
        for name, value, choices in (
                ('pooling', pooling, ('pixels', 'images')),
                ('axes', axes, AXES), ('output_bits', output_bits, (8, 16))):
            check_choice('SurfaceNormalMetric', name, value, choices)
        self.pooling, self.axes, self.output_bits = pooling, axes, output_bits

    def evaluate_sample(self, field, pred, label, mask):
        """See `BaseDenseMetric.evaluate_sample`."""
        errors = self.angular_errors(pred, label, mask)
        if not errors.size:
            return None
        if self.pooling == 'images':
            return _numbers(errors)
        bins, counts = np.unique(
            np.rint(errors * RESOLUTION).astype(np.uint16),
            return_counts=True)
        return dict(
            pixels=errors.size,
            total=errors.sum(),
            squares=(errors**2).sum(),
            below=np.array([(errors < t).sum() for t in THRESHOLDS]),
            bins=bins,
            counts=counts.astype(np.uint32))

    def summarize(self, entries):
        """See `BaseDenseMetric.summarize`."""
        if self.pooling == 'images':
            return super().summarize(entries)
        pixels = sum(entry['pixels'] for entry in entries)
        histogram = np.zeros(180 * RESOLUTION + 1, np.int64)
        for entry in entries:
            histogram[entry['bins']] += entry['counts']
        # the middle pixel, or the two middle ones of an even number
        middle = np.searchsorted(
            np.cumsum(histogram), [(pixels - 1) // 2, pixels // 2], 'right')
        mean = sum(entry['total'] for entry in entries) / pixels
        square = sum(entry['squares'] for entry in entries) / pixels
        below = 100 * sum(entry['below'] for entry in entries) / pixels
        return _named(mean, middle.mean() / RESOLUTION, np.sqrt(square),
                      below)

    def to_file(self, field, pred, sample):
        """See `BaseDenseMetric.to_file`."""
        normals = convert_axes(
            pred.transpose(1, 2, 0), 'genpercept', self.axes)
        top = 2**self.output_bits - 1
        values = np.rint(np.clip((normals + 1) / 2, 0, 1) * top)
        return '.png', encode_png(values.astype(f'uint{self.output_bits}'))

    @staticmethod
    def angular_errors(pred, gt, mask=None):
        """Return the angles between two maps (3, H, W), in [0, 180] degrees.

        The array (pixels, ) leaves out zero vectors of ``gt``, and pixels
        where ``mask``, (H, W) or (1, H, W), is False.
        """
        pred, gt = to_numpy(pred), to_numpy(gt)
        valid = np.isfinite(gt).all(0) & (gt != 0).any(0)
        if mask is not None:
            valid &= to_numpy(mask).astype(bool).reshape(valid.shape)
        pred = pred[:, valid].astype(np.float64)
        gt = gt[:, valid].astype(np.float64)
        lengths = np.sqrt((pred**2).sum(0)) * np.sqrt((gt**2).sum(0))
        cosine = np.divide((pred * gt).sum(0), lengths, where=lengths > 0,
                           out=np.zeros_like(lengths))
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))

    @classmethod
    def calculate(cls, pred, gt, mask=None):
        """Calculate the numbers of one image, with the exact median.

        See `angular_errors`; without a valid pixel, a ValueError is raised.
        """
        errors = cls.angular_errors(pred, gt, mask)
        if not errors.size:
            raise ValueError('SurfaceNormalMetric: no valid pixel; check '
                             'gt (zero vectors are invalid) and the mask.')
        return _numbers(errors)


def _numbers(errors):
    """Compute the numbers of a set of angles in degrees."""
    return _named(errors.mean(), np.median(errors),
                  np.sqrt((errors**2).mean()),
                  [100 * (errors < t).mean() for t in THRESHOLDS])


def _named(mean, median, rmse, percentages):
    """Give the numbers their names."""
    result = dict(mean=float(mean), median=float(median), rmse=float(rmse))
    for threshold, percentage in zip(THRESHOLDS, percentages):
        result[f'a{threshold:g}'] = float(percentage)
    return result
