"""IoU over a subset of classes."""

import numpy as np
import torch
from mmseg.evaluation import IoUMetric

from genpercept_mm.registry import METRICS
from genpercept_mm.utils.arguments import check_keywords
from genpercept_mm.utils.arrays import to_numpy
from genpercept_mm.utils.class_ids import check_ids
from genpercept_mm.utils.files import write_named
from genpercept_mm.utils.pictures import encode_png

from ..output_names import OutputNames


@METRICS.register_module()
class SegIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric``, averaged over a subset of the classes.

    Areas are counted over all classes, so predicting a class outside the
    subset is an error; only the mean and the table leave those classes out.
    Files in ``output_dir`` keep the sub-folders of the images, see
    `OutputNames`. Their ids are those of the label files; they have 16 bits if
    there are more than 255 classes.

    Args:
        class_indices (Sequence[int], optional): 0-based classes; None for all.
        image_root (str, optional): Folder below which the paths of images are
            the names of files, for data sets that do not name their samples.
        keep_results (bool): Unused; mmseg's tool passes it. Defaults to False.
        **kwargs: Arguments of mmseg's ``IoUMetric``.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If a label has ids that are neither classes nor ignored, or
            differs in size from the prediction.
    """

    BETTER = dict.fromkeys(
        ('aAcc', 'mIoU', 'mAcc', 'mDice', 'mFscore', 'mPrecision', 'mRecall'),
        'greater')

    def __init__(self, class_indices=None, image_root=None,
                 keep_results=False, **kwargs):
        # the stock metric would ignore others
        check_keywords('SegIoUMetric', kwargs, [IoUMetric.__init__],
                       "class_indices, image_root and those of mmseg's "
                       'IoUMetric')
        super().__init__(**kwargs)
        self.class_indices = class_indices
        self._names = OutputNames('SegIoUMetric', image_root)

    def process(self, data_batch, data_samples):
        """Count the areas of a batch, and write predictions if requested."""
        for sample in data_samples:
            pred = to_numpy(sample['pred_sem_seg'])[0]
            if not self.format_only:
                self._count(pred, sample)
            if self.output_dir is not None:
                self._write(pred, sample)

    def _count(self, pred, sample):
        path = sample.get('seg_map_path') or sample.get('img_path')
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                f'SegIoUMetric: {sample.get("img_path")} has no label; load '
                'it in the test pipeline, or set format_only=True to only '
                'write predictions.')
        label = to_numpy(sample['gt_sem_seg'])[0]
        if label.shape != pred.shape:
            raise ValueError(
                f'SegIoUMetric: the label {path} is {label.shape} (H, W) and '
                f'its prediction {pred.shape}; do not resize labels in the '
                'test pipeline.')
        classes = len(self.dataset_meta['classes'])
        check_ids('SegIoUMetric', label, classes, path, self.ignore_index)
        self.results.append(self.intersect_and_union(
            *(torch.from_numpy(ids.astype(np.int64)) for ids in (pred, label)),
            classes, self.ignore_index))

    def _write(self, pred, sample):
        meta = self.dataset_meta or {}
        ids = pred + (1 if sample.get('reduce_zero_label', False)
                      else meta.get('first_id', 0))
        classes = meta.get('classes') or ()
        wide = len(classes) > 255 or ids.max(initial=0) > 255
        ids = ids.astype(np.uint16 if wide else np.uint8)
        write_named(self.output_dir, self._names.claim(sample) + '.png',
                    encode_png(ids))

    def evaluate(self, size):
        """See mmengine's ``BaseMetric.evaluate``."""
        if self.output_dir is not None:
            self._names.compare_ranks()
        return super().evaluate(size)

    def compute_metrics(self, results):
        """Average over the subset, in percent; a class index out of range
        raises a ValueError."""
        if self.class_indices is None or self.format_only:
            return super().compute_metrics(results)
        meta = self.dataset_meta
        classes = meta['classes']
        indices = list(self.class_indices)
        if not all(0 <= index < len(classes) for index in indices):
            raise ValueError('SegIoUMetric: class_indices must be in 0..'
                             f'{len(classes) - 1}, got {indices}.')
        self.dataset_meta = dict(
            meta, classes=tuple(classes[index] for index in indices))
        try:
            return super().compute_metrics([
                tuple(areas[indices] for areas in result)
                for result in results])
        finally:
            self.dataset_meta = meta
