"""IoU over a subset of classes."""
import os.path as osp

from mmseg.evaluation import IoUMetric

from genpercept_mm.datasets.io.hypersim_io import frame_name
from genpercept_mm.registry import METRICS
from genpercept_mm.utils.arguments import check_keywords


@METRICS.register_module()
class SegIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric``, averaged over a subset of the classes.

    Areas are counted over all classes, so predicting a class outside the
    subset is an error; only the mean and the table leave those classes out.
    The names of files in ``output_dir`` include scene, camera and frame,
    because Hypersim repeats file names from scene to scene.

    Args:
        class_indices (Sequence[int], optional): 0-based classes; None for all.
        keep_results (bool): Unused; mmseg's tool passes it. Defaults to False.
        **kwargs: Arguments of mmseg's ``IoUMetric``.

    Raises:
        TypeError: If an argument is unknown.
    """

    def __init__(self, class_indices=None, keep_results=False, **kwargs):
        # the stock metric would ignore others
        check_keywords('SegIoUMetric', kwargs, [IoUMetric.__init__],
                       "class_indices and those of mmseg's IoUMetric")
        super().__init__(**kwargs)
        self.class_indices = class_indices

    def process(self, data_batch, data_samples):
        """Count the areas of a batch, and write predictions if requested."""
        if self.output_dir is not None:
            data_samples = [
                dict(sample, img_path=osp.join(
                    osp.dirname(sample['img_path']),
                    frame_name(sample['img_path']) + '.png'))
                for sample in data_samples]
        super().process(data_batch, data_samples)

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
