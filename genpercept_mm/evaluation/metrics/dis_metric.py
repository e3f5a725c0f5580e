"""The six measures of dichotomous image segmentation."""
import numpy as np

from genpercept_mm.registry import METRICS
from genpercept_mm.utils.arrays import to_numpy

from .base_alpha_metric import BaseAlphaMetric
from .base_dense_metric import average, to_uint8


@METRICS.register_module()
class DISMetric(BaseAlphaMetric):
    """Report the measures of DIS5K, computed by PySODMetrics.

    Reads ``pred_alpha_map`` and ``gt_alpha_map``, (1, H, W) in [0, 1].
    Predictions are quantized to 8 bits, like the files that the official code
    saves, and PySODMetrics stretches each to [0, 1]. A label pixel belongs to
    the object if its 8-bit value is above 128. Whole images are evaluated.

    ============== =================================================
    ``max_f``      F, beta^2 = 0.3: mean over images at each of 256
                   thresholds, then the best threshold; higher
    ``weighted_f`` weighted F, beta^2 = 1; higher
    ``mae``        mean absolute error; lower
    ``s_alpha``    structure measure, alpha = 0.5; higher
    ``mean_e``     enhanced alignment, mean over 256 thresholds, one of
                   which is 0, so that 0.997 is perfect; higher
    ``hce``        human correction effort, relax 5, epsilon 2.0, a
                   number of points; lower
    ============== =================================================

    Note:
        IS-Net's own script averages precision and recall over images before
        it computes F, uses 255 bins, and does not stretch predictions for
        ``hce``. Compare ``max_f`` and ``hce`` of different papers with care.
        ``hce`` depends on the resolution and takes seconds for an image of
        DIS5K.

    Args:
        with_hce (bool): Whether to report ``hce``. Defaults to True.
        **kwargs: Arguments of ``BaseDenseMetric``.

    Raises:
        ImportError: If PySODMetrics is not installed.
    """

    BETTER = dict(max_f='greater', weighted_f='greater', mae='less',
                  s_alpha='greater', mean_e='greater', hce='less')

    def __init__(self, with_hce=True, **kwargs):
        super().__init__(**kwargs)
        _sod_metrics()
        self.with_hce = with_hce

    def evaluate_sample(self, field, pred, label, mask):
        """See `BaseDenseMetric.evaluate_sample`."""
        return _measure(pred, label, self.with_hce)

    def summarize(self, entries):
        """See `BaseDenseMetric.summarize`."""
        means = average(entries)
        max_f = means.pop('f').max()
        return {key: float(mean)
                for key, mean in dict(max_f=max_f, **means).items()}

    @staticmethod
    def calculate(pred, gt, with_hce=True):
        """Calculate the numbers of one image, see the class.

        ``pred`` and ``gt`` are tensors or arrays, (H, W) or (1, H, W), in
        [0, 1]. The dict[str, float] has the ``max_f`` of the best threshold
        for this image.
        """
        result = _measure(pred, gt, with_hce)
        return dict(max_f=float(result.pop('f').max()), **result)


def _sod_metrics():
    """Import PySODMetrics, or say how to install it."""
    try:
        import py_sod_metrics
    except ImportError as error:
        # with its dependencies, it would install a second OpenCV over ours
        raise ImportError(
            'DISMetric: needs PySODMetrics; run "pip install scikit-image '
            'scikit-learn" and "pip install --no-deps pysodmetrics", or '
            '"python tools/install.py --groups dis".') from error
    return py_sod_metrics


def _measure(pred, gt, with_hce):
    """Compute the numbers of one image, and F at every threshold."""
    sod = _sod_metrics()
    shape = np.shape(pred)[-2:]
    pred = to_uint8(to_numpy(pred)).reshape(shape)
    # rounded, as labels are exact multiples of 1 / 255
    gt = np.rint(to_numpy(gt) * 255).astype(np.uint8).reshape(shape)
    f = sod.FmeasureV2(dict(f=sod.FmeasureHandler(
        with_dynamic=True, with_adaptive=False, beta=0.3)))
    measures = dict(
        f=f, weighted_f=sod.WeightedFmeasure(beta=1), mae=sod.MAE(),
        s_alpha=sod.Smeasure(alpha=0.5), mean_e=sod.Emeasure())
    # beyond an object at the edge there are no pixels, whose mean is NaN
    ssim = measures['s_alpha'].ssim
    measures['s_alpha'].ssim = lambda pred, gt: (
        ssim(pred, gt) if pred.size else 1.)
    if with_hce:
        measures['hce'] = sod.HumanCorrectionEffortMeasure(
            relax=5, epsilon=2.0)
    for measure in measures.values():
        measure.step(pred, gt)
    found = {key: measure.get_results() for key, measure in measures.items()}
    result = dict(
        f=found['f']['f']['dynamic'],
        weighted_f=float(found['weighted_f']['wfm']),
        mae=float(found['mae']['mae']),
        s_alpha=float(found['s_alpha']['sm']),
        mean_e=float(found['mean_e']['em']['curve'].mean()))
    if with_hce:
        result['hce'] = float(found['hce']['hce'])
    return result
