"""The six measures of dichotomous image segmentation."""
import numpy as np

from genpercept_mm.registry import METRICS

from .base_dense_metric import (
    BaseDenseMetric,
    to_numpy,
    to_uint8,
    write_png,
)


@METRICS.register_module()
class DISMetric(BaseDenseMetric):
    """Report the measures of DIS5K, by PySODMetrics.

    Reads ``pred_alpha_map`` and ``gt_alpha_map``, (1, H, W) in [0, 1].
    Predictions become 8 bit as in the files that the official code saves,
    then PySODMetrics stretches each to [0, 1]; a label pixel is object if
    its 8-bit value is above 128. Whole images are measured.

    ============== =================================================
    ``max_f``      F, beta^2 = 0.3: mean over images at each of 256
                   thresholds, then the best threshold; higher
    ``weighted_f`` weighted F, beta^2 = 1; higher
    ``mae``        mean absolute error; lower
    ``s_alpha``    structure measure, alpha = 0.5; higher
    ``mean_e``     enhanced alignment, mean over 256 thresholds, of
                   which 0 is one, so that 0.997 is perfect; higher
    ``hce``        human correction effort, relax 5, epsilon 2.0, a
                   number of points; lower
    ============== =================================================

    Note:
        IS-Net's own script averages precision and recall over images before
        it takes F, with 255 bins, and does not stretch predictions for
        ``hce``: compare ``max_f`` and ``hce`` of different papers with care.
        ``hce`` depends on resolution and takes seconds per image of DIS5K.

    Args:
        with_hce (bool): Whether to report ``hce``. Defaults to True.
        **kwargs: Arguments of ``BaseDenseMetric``.

    Raises:
        ImportError: If PySODMetrics is not installed.
    """

    label = 'alpha'
    pred_fields = ('pred_alpha_map', )
    whole_images = True

    def __init__(self, with_hce=True, **kwargs):
        super().__init__(**kwargs)
        _sod_metrics()
        self.with_hce = with_hce

    def evaluate_sample(self, field, pred, label, mask):
        """Measure one image.

        Args:
            field (str): ``pred_alpha_map``.
            pred (np.ndarray): (1, H, W).
            label (np.ndarray): (1, H, W).
            mask (np.ndarray): (H, W) bool, all True.

        Returns:
            dict: ``f``, (256, ), one per threshold, and the other numbers.
        """
        return _measure(pred, label, self.with_hce)

    def summarize(self, entries):
        """Average over images.

        Args:
            entries (list[dict]): From ``evaluate_sample``.

        Returns:
            dict[str, float]: The numbers of the class.
        """
        means = {key: np.mean([entry[key] for entry in entries], axis=0)
                 for key in entries[0]}
        result = dict(max_f=float(means.pop('f').max()))
        result.update((key, float(mean)) for key, mean in means.items())
        return result

    def write(self, path, field, pred, sample):
        """Write one prediction as 8-bit grey PNG.

        Args:
            path (str): File to write, without its suffix.
            field (str): ``pred_alpha_map``.
            pred (np.ndarray): (1, H, W).
            sample (dict): The sample; not used.
        """
        write_png(path + '.png', to_uint8(pred[0]))

    @staticmethod
    def calculate(pred, gt, with_hce=True):
        """Calculate the numbers of one image.

        Args:
            pred (Tensor | np.ndarray): (H, W) or (1, H, W) in [0, 1].
            gt (Tensor | np.ndarray): Same size, in [0, 1].
            with_hce (bool): Whether to add ``hce``. Defaults to True.

        Returns:
            dict[str, float]: See the class; ``max_f`` is at the threshold
            best for this image.
        """
        result = _measure(pred, gt, with_hce)
        return dict(max_f=float(result.pop('f').max()), **result)


def _sod_metrics():
    """Import PySODMetrics."""
    try:
        import py_sod_metrics
    except ImportError as error:
        # alone, it installs a second OpenCV over the one that is there
        raise ImportError(
            'DISMetric: needs PySODMetrics; run "pip install scikit-image '
            'scikit-learn" and "pip install --no-deps pysodmetrics", or '
            '"python tools/install.py --groups dis".') from error
    return py_sod_metrics


def _measure(pred, gt, with_hce):
    """The numbers of one image, F at every threshold."""
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
