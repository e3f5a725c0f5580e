"""Checking class maps before a loss or a metric misreads them."""
import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log

from genpercept_mm.registry import HOOKS
from genpercept_mm.utils.arrays import to_numpy
from genpercept_mm.utils.class_ids import check_ids

from ..model_wrappers import unwrap_model

# Number of training labels after which a class must have been seen
ENOUGH = 100


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Refuse class maps that the model would misread.

    Torch's losses fail on an id beyond the classes without naming the file, on
    a GPU in another place, and mmseg's metric counts it as another class. Ids
    are compared with ``num_classes`` and ``ignore_index`` of the decode head,
    for any data set and pipeline of mmseg. Masks of 0 and 255, whose objects
    would be ignored, give a warning, and an error after a test of two classes.
    ``tools/train.py`` and ``tools/test.py`` add this hook.

    Raises:
        ValueError: If a label is wrong; names the file.
    """

    def __init__(self):
        self._forget()

    def _forget(self):
        self._ids, self._count, self._example = set(), 0, None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        """Look at the labels of a batch, which are on the CPU still."""
        before = self._count
        if isinstance(data_batch, dict):
            self._check(runner, data_batch.get('data_samples'))
        if before < ENOUGH <= self._count:
            self._warn(runner)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        """Look at the labels of a batch."""
        if isinstance(data_batch, dict):
            self._check(runner, data_batch.get('data_samples'))

    before_test_iter = before_val_iter

    def before_val_epoch(self, runner):
        """Forget the labels before."""
        self._forget()

    before_test_epoch = before_val_epoch

    def after_val_epoch(self, runner, metrics=None):
        """Warn if all labels look like masks of 0 and 255."""
        self._warn(runner)

    def after_test_epoch(self, runner, metrics=None):
        """Refuse the scores of masks of 0 and 255 for two classes."""
        text = self._warn(runner)
        if text and self._head(runner).num_classes == 2:
            raise ValueError(text)

    @staticmethod
    def _head(runner):
        return getattr(unwrap_model(runner.model), 'decode_head', None)

    def _check(self, runner, samples):
        head = self._head(runner)
        classes = getattr(head, 'num_classes', None)
        if classes is None or not isinstance(samples, (list, tuple)):
            return
        for sample in samples:
            if 'gt_sem_seg' not in sample:
                continue
            path = sample.get('seg_map_path') or sample.get('img_path')
            ids = check_ids(
                'LabelCheckHook', to_numpy(sample.gt_sem_seg), classes, path,
                getattr(head, 'ignore_index', 255))
            self._count += 1
            self._ids.update(ids)
            if self._example is None and 255 in ids:
                self._example = path

    def _warn(self, runner):
        head = self._head(runner)
        if self._ids != {0, 255} or getattr(head, 'ignore_index', 255) != 255:
            return None
        text = (
            f'LabelCheckHook: all {self._count} labels hold only class 0 and '
            f'255, which is ignored, as in {self._example}. If 255 stands for '
            "a class, load labels with dict(type='genpercept_mm.LoadSegLabel',"
            f' num_ids={head.num_classes}, label_map={{255: 1}}).')
        print_log(text, logger='current', level=logging.WARNING)
        return text
