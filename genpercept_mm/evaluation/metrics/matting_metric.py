"""The five errors of image matting."""
import numpy as np
from scipy import ndimage

from genpercept_mm.registry import METRICS
from genpercept_mm.utils.arrays import to_numpy

from .base_alpha_metric import BaseAlphaMetric
from .base_dense_metric import to_uint8

# of the Gaussian whose derivatives give the gradient
SIGMA = 1.4


@METRICS.register_module()
class MattingMetric(BaseAlphaMetric):
    """Report errors of mattes over whole images.

    Reads ``pred_alpha_map`` and ``gt_alpha_map``, (1, H, W) in [0, 1]. The
    numbers are means over images, lower is better, as in P3M-Net's evaluation
    of whole images (without trimap). With p the prediction and a the label:

    ======== ==========================================================
    ``sad``  sum of abs(p - a), in thousands
    ``mad``  mean of abs(p - a)
    ``mse``  mean of (p - a)^2
    ``grad`` sum of squared differences of the gradients' lengths, with
             derivatives of a Gaussian of sigma 1.4; in tens
    ``conn`` connectivity error (Rhemann et al., 2009) with levels 0.1
             apart and 4-connected regions, in thousands
    ======== ==========================================================

    Note:
        The toolbox of alphamatting.com crops these derivatives to 9 x 9,
        scales them to unit length and divides ``grad`` by 1000, which gives
        about 4 % less, because the square of their length is about 1 / 96.5.
        Like P3M-Net, ``conn`` skips levels that the two mattes nowhere reach
        together, so an empty prediction has a ``conn`` of 0. Read it together
        with ``sad``.

    Args:
        quantize (bool): Quantize predictions to 8 bits first, like the files
            that the official code saves. Defaults to True.
        classical_grad (bool): Take the toolbox's ``grad``. Defaults to False.
        **kwargs: Arguments of ``BaseDenseMetric``.
    """

    BETTER = dict.fromkeys(('sad', 'mad', 'mse', 'grad', 'conn'), 'less')

    def __init__(self, quantize=True, classical_grad=False, **kwargs):
        super().__init__(**kwargs)
        self.quantize = quantize
        self.classical_grad = classical_grad

    def evaluate_sample(self, field, pred, label, mask):
        """See `BaseDenseMetric.evaluate_sample`."""
        return self.calculate(pred, label, self.quantize,
                              self.classical_grad)

    @staticmethod
    def calculate(pred, gt, quantize=True, classical_grad=False):
        """Calculate the errors of one image, see the class.

        ``pred`` and ``gt`` are tensors or arrays, (H, W) or (1, H, W).
        ``pred`` is clipped to [0, 1], and ``gt``, which is in [0, 1], rounded
        to multiples of 1 / 255.
        """
        shape = np.shape(pred)[-2:]
        pred = to_numpy(pred).reshape(shape)
        # float32 rounding of v / 255 would move pixels across levels
        gt = np.rint(to_numpy(gt).reshape(shape) * 255.)
        gt = gt.astype(np.float64) / 255
        if quantize:
            pred = to_uint8(pred) / 255
        else:
            pred = np.clip(pred.astype(np.float64), 0, 1)
        error = np.abs(pred - gt)
        length, unit = ((_toolbox_gradient, 1000) if classical_grad else
                        (_gradient, 10))
        return dict(
            sad=float(error.sum() / 1000),
            mad=float(error.mean()),
            mse=float((error**2).mean()),
            grad=float(((length(pred) - length(gt))**2).sum() / unit),
            conn=_connectivity_error(pred, gt))


def _gradient(alpha):
    """Compute the length of the gradient of a smoothed matte."""
    return np.hypot(ndimage.gaussian_filter(alpha, SIGMA, order=(1, 0)),
                    ndimage.gaussian_filter(alpha, SIGMA, order=(0, 1)))


def _toolbox_gradient(alpha):
    """Compute the same with short kernels of unit length."""
    steps = np.arange(-4, 5)
    smooth = np.exp(-steps**2 / (2 * SIGMA**2))
    slope = steps * smooth
    smooth, slope = (k / np.linalg.norm(k) for k in (smooth, slope))

    def derive(axis):
        derived = ndimage.correlate1d(alpha, slope, axis, mode='nearest')
        return ndimage.correlate1d(derived, smooth, 1 - axis, mode='nearest')

    return np.hypot(derive(0), derive(1))


def _connectivity_error(pred, gt):
    """Sum the differences in connectivity, in thousands.

    The level of a pixel is the last one at which it still belongs to the
    largest region that both mattes cover. The part of a matte above that
    level, if at least 0.15, is not connected.
    """
    # 0.6 is 0.6000000000000001 here, which 153 / 255 does not reach
    levels = np.arange(0, 1.1, 0.1)
    level = np.full(gt.shape, -1.)
    for lower, upper in zip(levels[:-1], levels[1:]):
        regions, count = ndimage.label((pred >= upper) & (gt >= upper))
        if not count:
            continue
        sizes = np.bincount(regions.ravel())[1:]
        largest = regions == sizes.argmax() + 1
        level[(level == -1) & ~largest] = lower
    level[level == -1] = 1
    connectivity = []
    for alpha in (pred, gt):
        above = alpha - level
        connectivity.append(1 - above * (above >= 0.15))
    return float(np.abs(connectivity[0] - connectivity[1]).sum() / 1000)
