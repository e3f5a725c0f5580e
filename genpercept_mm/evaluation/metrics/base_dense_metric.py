"""What the metrics of dense labels have in common."""
import logging
import os.path as osp
from abc import abstractmethod
from collections import Counter

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from genpercept_mm.utils.arrays import to_numpy
from genpercept_mm.utils.files import write_named

# users' metrics import it from here
from genpercept_mm.utils.pictures import write_png  # noqa: F401

from ..output_names import OutputNames


class BaseDenseMetric(BaseMetric):
    """Compare predicted maps with labels, sample by sample.

    Each sample adds one small entry to ``results`` (a few floats, at most a
    histogram), never a map. Samples of other data sets add placeholders, so
    that positions agree with those of the loader: mmengine drops by position
    what a distributed sampler repeats, and one loader over a ``ConcatDataset``
    may serve one metric per data set.

    A subclass sets its ``label`` ('depth' reads ``gt_depth_map`` and, if it
    exists, ``gt_depth_mask``), its ``pred_fields`` in order of preference, its
    ``channels`` and whether it is defined for ``whole_images`` only, without
    masks. It implements ``evaluate_sample``, ``to_file`` and, unless the
    result is a mean over images, ``summarize``.

    Args:
        dataset_name (str | Sequence[str], optional): Evaluate only samples
            whose metainfo ``dataset_name`` is given here; None for all.
        output_dir (str, optional): Folder to write predictions to, one file
            per sample, named by its ``sample_name`` or else like the image.
        format_only (bool): Only write predictions; labels are not needed.
            Defaults to False.
        keep_results (bool): Unused; mmseg's tool passes it. Defaults to False.
        collect_device (str): ``'cpu'`` or ``'gpu'``. Defaults to 'cpu'.
        prefix (str, optional): Put before the names of the numbers, with a
            slash; None takes ``dataset_name``, several are joined by ``+``.

    Raises:
        ValueError: If ``format_only`` is set without ``output_dir``.
    """

    #: For each number, the rule of ``save_best``: 'less' or 'greater'.
    BETTER = {}
    label = None
    pred_fields = ()
    channels = 1
    whole_images = False

    def __init__(self, dataset_name=None, output_dir=None, format_only=False,
                 keep_results=False, collect_device='cpu', prefix=None):
        names = ((dataset_name, ) if isinstance(dataset_name, str)
                 else tuple(dataset_name or ()))
        super().__init__(
            collect_device=collect_device,
            prefix=('+'.join(names) or None) if prefix is None else prefix)
        if format_only and output_dir is None:
            raise ValueError(f'{self.name}: format_only needs output_dir; '
                             'name a folder.')
        self.dataset_names = names
        self.output_dir, self.format_only = output_dir, format_only
        self._names = OutputNames(self.name)

    @property
    def name(self):
        """str: Name of the class, for messages."""
        return type(self).__name__

    @abstractmethod
    def evaluate_sample(self, field, pred, label, mask):
        """Return the entry of one sample, or None if no pixel is evaluated.

        ``field`` is the name of the prediction ``pred``, which like ``label``
        is (channels, H, W) float, and finite; ``mask`` is (H, W) bool with at
        least one True. By default, an entry is a dict with a float per number.
        """

    def to_file(self, field, pred, sample):
        """Return the suffix and the bytes of the file of a prediction, or None
        for no file; for ``field`` and ``pred`` see `evaluate_sample`.

        Metrics from before this method have ``write(path, field, pred,
        sample)`` instead, which writes a file to a path without suffix.
        """
        path = osp.join(self.output_dir, self._names.claim(sample))
        self.write(path, field, pred, sample)

    def summarize(self, entries):
        """Turn the entries of all samples, at least one, into a
        dict[str, float]: by default the mean over images of each number."""
        return {key: float(mean) for key, mean in average(entries).items()}

    def process(self, data_batch, data_samples):
        """Evaluate ``data_samples``, and write them if requested.

        Raises:
            ValueError: If a field is missing, sizes differ or a prediction
                is not finite.
        """
        for sample in data_samples:
            self.results.append(self._process_sample(sample))

    def _process_sample(self, sample):
        """Return a kind and what is kept of the sample. This is never None,
        which mmengine would drop, so that the others would shift."""
        if self.dataset_names:
            other = sample.get('dataset_name')
            if other not in self.dataset_names:
                return 'other', other
        field, pred = self.read_prediction(sample)
        if self.output_dir is not None:
            content = self.to_file(field, pred, sample)
            if content is not None:
                write_named(self.output_dir,
                            self._names.claim(sample) + content[0], content[1])
        if self.format_only:
            return 'written', None
        label, mask = self.read_label(sample, pred.shape[1:])
        entry = None
        if mask.any():
            entry = self.evaluate_sample(field, pred, label, mask)
        if entry is None:
            return 'empty', str(sample.get('img_path'))
        wrong = [key for key, value in entry.items()
                 if not np.isfinite(value).all()]
        if wrong:
            raise ValueError(
                f'{self.name}: {wrong} of {sample.get("img_path")} are not '
                'finite; prediction or label has values too large to compare '
                f'(up to {np.abs(pred).max():g} and '
                f'{np.abs(label[:, mask]).max():g}).')
        return 'image', entry

    def read_prediction(self, sample):
        """Return field and map (channels, H, W) of a sample's prediction,
        after checking its shape and values."""
        path = sample.get('img_path')
        field = next((f for f in self.pred_fields if f in sample), None)
        if field is None:
            there = sorted(key for key in sample if key.startswith('pred_'))
            raise ValueError(
                f'{self.name}: {" or ".join(self.pred_fields)} is missing '
                f'for {path}; the model predicts {there or "nothing"}. '
                'Choose a metric that fits the codec of the head.')
        pred = to_numpy(sample[field])
        if pred.ndim != 3 or len(pred) != self.channels:
            raise ValueError(
                f'{self.name}: {field} must have shape ({self.channels}, H, '
                f'W), got {pred.shape} for {path}.')
        if not np.isfinite(pred).all():
            raise ValueError(
                f'{self.name}: {field} must be finite, got NaN or infinity '
                f'for {path}; check the weights, or test in float32.')
        return field, pred

    def read_label(self, sample, shape):
        """Return the label (channels, H, W) and mask (H, W) bool of a sample,
        of the prediction's size; a mask that it does not have is all True."""
        path = sample.get('img_path')
        field = f'gt_{self.label}_map'
        if field not in sample:
            there = sorted(key for key in sample if key.startswith('gt_'))
            raise ValueError(
                f'{self.name}: {field} is missing for {path} (labels found: '
                f'{there or "none"}); load it in the test pipeline, or set '
                'format_only=True to only write predictions.')
        label = to_numpy(sample[field])
        if label.shape != (self.channels, *shape):
            raise ValueError(
                f'{self.name}: {field} must have shape '
                f'{(self.channels, *shape)} like the prediction, got '
                f'{label.shape} for {path}; do not resize labels in the test '
                'pipeline (predictions have the original size).')
        mask = np.isfinite(label).all(axis=0)
        if self.whole_images and not mask.all():
            raise ValueError(f'{self.name}: {field} must be finite, got NaN or'
                             f' infinity for {path}; check the label file.')
        field = f'gt_{self.label}_mask'
        if field in sample:
            given = to_numpy(sample[field]).astype(bool)
            if given.shape != (1, *shape):
                raise ValueError(
                    f'{self.name}: {field} must have shape {(1, *shape)}, '
                    f'got {given.shape} for {path}.')
            mask &= given[0]
            if self.whole_images and mask.any() and not mask.all():
                raise ValueError(
                    f'{self.name}: measures whole images, but {field} leaves '
                    f'{np.count_nonzero(~mask)} pixels of {path} out; drop '
                    'the mask from the test pipeline.')
        return label, mask

    def evaluate(self, size):
        """See mmengine's ``BaseMetric.evaluate``."""
        if self.output_dir is not None:
            self._names.compare_ranks()
        return super().evaluate(size)

    def compute_metrics(self, results):
        """Summarize the kinds and entries of samples, and log a table.

        The dict[str, float] is empty with ``format_only``. A ValueError is
        raised if no sample belongs to ``dataset_name`` or has a valid pixel.
        """
        kinds = Counter(kind for kind, _ in results)
        if kinds['other'] == len(results):
            seen = sorted({str(name) for _, name in results})
            raise ValueError(
                f'{self.name}: no sample has dataset_name='
                f'{self.dataset_names}; names found: {seen}. Give the data '
                'set and its metric the same name.')
        if self.format_only:
            print_log(f'{self.name}: {kinds["written"]} predictions are in '
                      f'{self.output_dir}', logger='current')
            return {}
        if kinds['empty']:
            first = next(path for kind, path in results if kind == 'empty')
            text = (f'{kinds["empty"]} image(s) without a valid pixel, first '
                    f'{first}')
            if not kinds['image']:
                raise ValueError(
                    f'{self.name}: nothing to evaluate, {text}; check unit '
                    'and mask of the labels.')
            print_log(f'{self.name}: skipped {text}', logger='current',
                      level=logging.WARNING)
        metrics = self.summarize(
            [entry for kind, entry in results if kind == 'image'])
        table = PrettyTable(['images', *metrics])
        table.add_row(
            [kinds['image'], *(f'{value:.4f}' for value in metrics.values())])
        title = ' '.join([self.name, *self.dataset_names])
        print_log(f'{title}:\n{table.get_string()}', logger='current')
        return metrics


def average(entries):
    """Average the entries of samples, floats or arrays, key by key."""
    return {key: np.mean([entry[key] for entry in entries], axis=0)
            for key in entries[0]}


def to_uint8(values):
    """Quantize floats to uint8 as the official code does: clip to [0, 1],
    multiply by 255 and truncate. The float32 v / 255 becomes v again."""
    return (np.clip(values, 0, 1).astype(np.float32)
            * np.float32(255)).astype(np.uint8)
