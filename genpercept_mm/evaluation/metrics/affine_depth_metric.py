"""Depth errors after alignment to the label."""
import io

import numpy as np
import torch
import torch.nn.functional as F

from genpercept_mm.registry import METRICS
from genpercept_mm.utils.affine_fit import fit_scale_and_shift
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.arrays import to_numpy
from genpercept_mm.utils.pictures import encode_png

from .base_dense_metric import BaseDenseMetric

FIELDS = {
    'auto': ('pred_depth_map', 'pred_disparity_map'),
    'least_square': ('pred_depth_map', ),
    'least_square_disparity': ('pred_disparity_map', ),
    None: ('pred_depth_map', ),
}
# rows and columns as fractions of height and width
CROPS = {
    'eigen_kitti': (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    'garg_kitti': (0.40810811, 0.99189189, 0.03594771, 0.96405229),
}


@METRICS.register_module()
class AffineDepthMetric(BaseDenseMetric):
    """Report depth errors after scale-and-shift alignment.

    Reads ``pred_depth_map`` or ``pred_disparity_map`` and ``gt_depth_map``,
    (1, H, W), labels in metres. Evaluated are pixels with
    ``min_depth < gt < max_depth`` (both strict), inside ``crop`` and in
    ``gt_depth_mask``. Each image is evaluated as by Marigold and GenPercept:
    scale and shift are fitted by least squares over these pixels, to depth, or
    for disparity to 1 / gt where the prediction is positive, and applied;
    aligned disparity is limited to at least 1e-3 and inverted; depth is
    clipped to [min_depth, max_depth] and to at least 1e-6. The numbers are
    means over pixels, then over images. With d the aligned prediction, g the
    label and e = ln d - ln g:

    ============ ===================================== =============
    ``abs_rel``  mean abs(d - g) / g                   lower
    ``sq_rel``   mean (d - g)^2 / g                    metres, lower
    ``rmse``     root of mean (d - g)^2                metres, lower
    ``rmse_log`` root of mean e^2                      lower
    ``log10``    mean abs(log10 d - log10 g)           lower
    ``delta1``   share with max(d / g, g / d) < 1.25   higher
    ``delta2``   the same, 1.25^2                      higher
    ``delta3``   the same, 1.25^3                      higher
    ``i_rmse``   root of mean (1 / d - 1 / g)^2        1/m, lower
    ``silog``    100 root of (mean e^2 - (mean e)^2)   lower
    ============ ===================================== =============

    Args:
        alignment (str, optional): ``'least_square'`` (field
            ``pred_depth_map``), ``'least_square_disparity'`` (field
            ``pred_disparity_map``), ``'auto'``, the one whose field a sample
            has, or None for predictions in metres. Defaults to 'auto'.
        min_depth (float): Metres. Defaults to 1e-5.
        max_depth (float, optional): Metres; no limit if None. Defaults to 80.
        crop (str, optional): ``'eigen_kitti'`` or ``'garg_kitti'``, fractions
            of height and width for the KITTI benchmark crop 352 x 1216; or
            ``'eigen_nyu'``, rows 45:471 and columns 41:601 of 480 x 640.
        mask_by_range (bool): Exclude pixels outside ``min_depth`` and
            ``max_depth``. False for DIODE, which has masks (labels must still
            be positive); predictions are clipped anyway. Defaults to True.
        alignment_max_res (int, optional): Fit on a nearest-neighbour subsample
            whose sides are at most this long; None fits on all pixels.
        alignment_width_only (bool): Subsample only along the width, by the
            factor of the longer side, as officially on ETH3D
            (``alignment_max_res=1024``). Defaults to False.
        output_format (str): Files in ``output_dir``: ``'npy'``, the unchanged
            prediction, (H, W) float32; ``'png'``, the same times 65535, 16
            bits; or ``'kitti_png'``, aligned depth in metres times 256
            (0 = none), 16 bits, which needs a label unless ``alignment`` is
            None and leaves out images without a valid pixel. Defaults to
            'npy'.
        **kwargs: Arguments of ``BaseDenseMetric``.

    Raises:
        ValueError: If an argument is outside its set.
    """

    BETTER = dict(
        dict.fromkeys(('abs_rel', 'sq_rel', 'rmse', 'rmse_log', 'log10',
                       'i_rmse', 'silog'), 'less'),
        **dict.fromkeys(('delta1', 'delta2', 'delta3'), 'greater'))
    label = 'depth'

    def __init__(self, alignment='auto', min_depth=1e-5, max_depth=80.,
                 crop=None, mask_by_range=True, alignment_max_res=None,
                 alignment_width_only=False, output_format='npy', **kwargs):
        super().__init__(**kwargs)
        for name, value, choices in (
                ('alignment', alignment, FIELDS),
                ('crop', crop, (*CROPS, 'eigen_nyu', None)),
                ('output_format', output_format, ('npy', 'png', 'kitti_png'))):
            check_choice('AffineDepthMetric', name, value, choices)
        if max_depth is not None and min_depth >= max_depth:
            raise ValueError('AffineDepthMetric: min_depth must be below '
                             f'max_depth, got {min_depth} and {max_depth}.')
        self.pred_fields = FIELDS[alignment]
        self.alignment, self.output_format = alignment, output_format
        self.validity = dict(min_depth=min_depth, max_depth=max_depth,
                             crop=crop, mask_by_range=mask_by_range)
        self.fit = dict(alignment_max_res=alignment_max_res,
                        alignment_width_only=alignment_width_only)

    def _alignment(self, field):
        """Return the alignment of a field."""
        if self.alignment != 'auto':
            return self.alignment
        return ('least_square' if field == 'pred_depth_map' else
                'least_square_disparity')

    def _aligned(self, field, pred, label, valid):
        return self.aligned_depth(
            pred, label, valid, self._alignment(field),
            self.validity['min_depth'], self.validity['max_depth'], **self.fit)

    def evaluate_sample(self, field, pred, label, mask):
        """See `BaseDenseMetric.evaluate_sample`."""
        valid = self.valid_mask(label, mask, **self.validity)
        if not valid.any():
            return None
        return _errors(self._aligned(field, pred, label, valid), label, valid)

    def to_file(self, field, pred, sample):
        """See `BaseDenseMetric.to_file`."""
        if self.output_format == 'npy':
            content = io.BytesIO()
            np.save(content, pred[0].astype(np.float32))
            return '.npy', content.getvalue()
        if self.output_format == 'png':
            values = np.clip(pred[0], 0, 1) * 65535
        else:
            label = valid = None
            if self._alignment(field) is not None:
                label, mask = self.read_label(sample, pred.shape[1:])
                valid = self.valid_mask(label, mask, **self.validity)
                if not valid.any():
                    return None
            depth = self._aligned(field, pred, label, valid)
            values = np.clip(depth * 256, 0, 65535)
        return '.png', encode_png(np.rint(values).astype(np.uint16))

    @staticmethod
    def valid_mask(gt, mask=None, min_depth=1e-5, max_depth=80., crop=None,
                   mask_by_range=True):
        """Select the pixels to evaluate, as an array (H, W) bool.

        ``gt`` (metres) and ``mask`` (True = valid) are tensors or arrays,
        (H, W) or (1, H, W); for the other arguments see the class. With
        ``'eigen_nyu'``, any size but 480 x 640 raises a ValueError.
        """
        gt = _plane(gt)
        valid = np.isfinite(gt) & (gt > 0)
        if mask is not None:
            valid &= _plane(mask).astype(bool)
        if mask_by_range:
            valid &= gt > min_depth
            if max_depth is not None:
                valid &= gt < max_depth
        height, width = gt.shape
        if crop == 'eigen_nyu':
            if gt.shape != (480, 640):
                raise ValueError(
                    "AffineDepthMetric: crop='eigen_nyu' needs labels of "
                    f'480 x 640, got {height} x {width}.')
            rows, columns = slice(45, 471), slice(41, 601)
        elif crop is not None:
            top, bottom, left, right = CROPS[crop]
            rows = slice(int(top * height), int(bottom * height))
            columns = slice(int(left * width), int(right * width))
        else:
            return valid
        inside = np.zeros_like(valid)
        inside[rows, columns] = True
        return valid & inside

    @staticmethod
    def aligned_depth(pred, gt, valid, alignment='least_square',
                      min_depth=1e-5, max_depth=80., alignment_max_res=None,
                      alignment_width_only=False):
        """Convert a prediction to metres, clipped, (H, W) float64.

        Scale and shift solve the least-squares problem in closed form, in
        float64. A prediction that is constant where it is fitted becomes the
        mean of the values that it is fitted to; disparity that is nowhere
        positive becomes 1e-3.

        ``pred`` and ``gt`` (metres; not used if ``alignment`` is None) are
        (H, W) or (1, H, W), ``valid`` comes from `valid_mask`. For the other
        arguments see the class; ``alignment`` cannot be 'auto' here.
        """
        depth = _plane(pred).astype(np.float64)
        if alignment is not None:
            target = _plane(gt).astype(np.float64)
            if alignment == 'least_square_disparity':
                valid = valid & (depth > 0)
                target = np.divide(1, target, where=valid,
                                   out=np.zeros(target.shape))
            scale, shift = fit_scale_and_shift(*_subsample(
                depth, target, valid, alignment_max_res,
                alignment_width_only))
            depth = scale * depth + shift
            if alignment == 'least_square_disparity':
                depth = 1 / np.maximum(depth, 1e-3)
        return np.maximum(np.clip(depth, min_depth, max_depth), 1e-6)

    @classmethod
    def calculate(cls, pred, gt, mask=None, alignment='least_square',
                  min_depth=1e-5, max_depth=80., crop=None, mask_by_range=True,
                  alignment_max_res=None, alignment_width_only=False):
        """Calculate the ten numbers of one image, a dict[str, float].

        ``pred``, ``gt`` (metres) and ``mask`` (True = valid) are tensors or
        arrays, (H, W) or (1, H, W). For the other arguments see the class;
        ``alignment`` cannot be 'auto' here. Without a valid pixel, a
        ValueError is raised.
        """
        valid = cls.valid_mask(gt, mask, min_depth, max_depth, crop,
                               mask_by_range)
        if not valid.any():
            raise ValueError('AffineDepthMetric: no valid pixel; check the '
                             'unit of gt (metres) and the mask.')
        depth = cls.aligned_depth(
            pred, gt, valid, alignment, min_depth, max_depth,
            alignment_max_res, alignment_width_only)
        return _errors(depth, gt, valid)


def _errors(depth, gt, valid):
    """Compare aligned depth with the label where it is valid."""
    d = depth[valid]
    g = _plane(gt)[valid].astype(np.float64)
    error = d - g
    square = error**2
    log = np.log(d) - np.log(g)
    ratio = np.maximum(d / g, g / d)
    return dict(
        abs_rel=float((np.abs(error) / g).mean()),
        sq_rel=float((square / g).mean()),
        rmse=float(np.sqrt(square.mean())),
        rmse_log=float(np.sqrt((log**2).mean())),
        log10=float(np.abs(log).mean() / np.log(10)),
        delta1=float((ratio < 1.25).mean()),
        delta2=float((ratio < 1.25**2).mean()),
        delta3=float((ratio < 1.25**3).mean()),
        i_rmse=float(np.sqrt(((1 / d - 1 / g)**2).mean())),
        silog=float(100 * log.std()))


def _plane(array):
    """Turn a map (H, W) or (1, H, W) into an array (H, W)."""
    array = to_numpy(array)
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def _subsample(pred, target, valid, max_res, width_only):
    """Select the values to fit, from all pixels or a subsample."""
    if max_res is not None and max_res < max(pred.shape):
        factor = max_res / max(pred.shape)
        height, width = pred.shape
        rows = slice(None) if width_only else _nearest(height, factor)[:, None]
        pick = np.s_[rows, _nearest(width, factor)]
        pred, target, valid = pred[pick], target[pick], valid[pick]
    return pred[valid], target[valid]


def _nearest(size, factor):
    """Compute the indices that torch keeps when it scales an axis down."""
    indices = torch.arange(size, dtype=torch.float32)
    return F.interpolate(indices[None, None], scale_factor=factor)[
        0, 0].long().numpy()
