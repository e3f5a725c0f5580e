"""What data sets of dense labels have in common."""
import inspect
import os.path as osp

import cv2
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from genpercept_mm.utils.arguments import check_choice

from .io.file_listing import FileListing

# What identifies a sample, and how its image was read
NAMES = ('dataset_name', 'sample_name', 'ignore_orientation')


class BaseDenseDataset(BaseDataset):
    """List images with depth, normals, mattes or class maps.

    A subclass implements `list_samples` and sets ``LABELS``, ``TREE`` (the
    files it expects) and, unless samples say otherwise, ``NAME``. Samples have

    - ``img_path`` and, for each requested label, ``<label>_path``
      (``seg_map_path`` for ``'seg'``),
    - ``dataset_name`` (``NAME``, or the subset if metrics tell subsets apart)
      and ``sample_name`` (unique together with that name, without suffix),
    - ``seg_fields``, ``label_map`` and ``reduce_zero_label``, as mmseg's
      transforms need them,
    - what the loader must know about the format, such as ``depth_format``.

    Building a data set reads lists and folders, but no image. There is no meta
    information, so ``ConcatDataset`` accepts any two of these sets.

    Args:
        labels (str | Sequence[str], optional): The labels to list, from
            ``LABELS``; None takes the first of them.
        data_root (str, optional): Folder of the data set; None takes
            ``DATA_ROOT``.
        ann_file (str, optional): List or table of samples, absolute or
            relative to ``data_root``; None takes the file name of ``LIST``.
        missing (str): What to do about samples without files: ``'raise'``, or
            ``'skip'``, for a partial download. Defaults to 'raise'.
        max_samples (int, optional): Keep this many samples, evenly spread over
            the list; None keeps all.
        **kwargs: Arguments of mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If the folder, the list or a listed file is missing.
        TypeError: If an argument is unknown or would have no effect.
        ValueError: If an argument is outside its set.
    """

    #: ``dataset_name`` of samples that do not have their own.
    NAME = ''
    #: Labels that the set has; the first one is the default.
    LABELS = ()
    #: Default of ``data_root``.
    DATA_ROOT = ''
    #: The list of samples; '' if there is no default, None if none is read.
    LIST = ''
    #: The expected files, which error messages show.
    TREE = ''
    #: Whether labels belong to images as they are stored, whatever EXIF says.
    IGNORE_ORIENTATION = False
    #: The class that receives ``**kwargs``, and arguments without effect.
    _HOST = BaseDataset
    _UNUSED = frozenset(['filter_cfg', 'data_prefix'])

    def __init__(self, labels=None, data_root=None, ann_file=None,
                 missing='raise', max_samples=None, **kwargs):
        name = type(self).__name__
        base, host = (set(inspect.signature(kind).parameters)
                      for kind in (BaseDenseDataset, self._HOST))
        own = set().union(*(
            inspect.signature(kind).parameters for kind in type(self).__mro__
            if issubclass(kind, BaseDenseDataset)
            and kind is not BaseDenseDataset))
        takes = (own | base | host) - self._UNUSED - {'args', 'kwargs'}
        if self.LIST is None or 'ann_file' not in own:
            takes.discard('ann_file')
        given = {*kwargs, 'ann_file'} if ann_file else set(kwargs)
        if given - takes:
            raise TypeError(f'{name}: unknown argument(s) '
                            f'{sorted(given - takes)}; it takes '
                            f'{sorted(takes)}.')
        labels = self.LABELS[:1] if labels is None else labels
        self.labels = (labels, ) if isinstance(labels, str) else tuple(labels)
        if not self.labels or not set(self.labels) <= set(self.LABELS):
            raise ValueError(f'{name}: labels must be from {self.LABELS}, got '
                             f'{labels!r}.')
        check_choice(name, 'missing', missing, ('raise', 'skip'))
        self.missing = missing
        if max_samples is not None and max_samples < 1:
            raise ValueError(f'{name}: max_samples must be positive, got '
                             f'{max_samples}.')
        self.max_samples = max_samples
        self._HOST.__init__(
            self,
            ann_file=(osp.basename(self.LIST or '') if ann_file is None
                      else ann_file),
            data_root=self.DATA_ROOT if data_root is None else data_root,
            **kwargs)

    def _choices(self, name, value, allowed):
        """Turn one or several values of a closed set into a tuple."""
        values = (value, ) if isinstance(value, str) else tuple(value)
        for value in values:
            check_choice(type(self).__name__, name, value, allowed)
        return values

    def list_samples(self, listing):
        """Name the samples, one dict each, without touching their files.

        ``listing`` (FileListing) looks into folders. A dict has
        ``sample_name``, ``img_path``, the paths of ``self.labels`` and what
        loaders must know of their formats; keys that end in ``_path`` name
        files that must exist.
        """
        raise NotImplementedError

    def describe(self, path):
        """Spell out a missing file for the error message."""
        return path

    def load_data_list(self):
        """List the samples, one dict each, and check that files exist."""
        name = type(self).__name__
        if not osp.isdir(self.data_root):
            raise FileNotFoundError(
                f'{name}: data_root {self.data_root!r} does not exist; '
                f'{self.TREE}')
        listing = FileListing()
        samples, absent, names, total = [], [], set(), 0
        for sample in self.list_samples(listing):
            total += 1
            sample = dict(
                dict(
                    dataset_name=self.NAME,
                    label_map=None,
                    reduce_zero_label=False,
                    seg_fields=[]), **sample)
            if self.IGNORE_ORIENTATION:
                sample['ignore_orientation'] = True
            identity = sample['dataset_name'], sample['sample_name']
            if identity in names:
                raise ValueError(
                    f'{name}: two samples are named '
                    f'{sample["sample_name"]!r}; the second is '
                    f'{sample["img_path"]}. Remove one.')
            names.add(identity)
            lacking = [
                path for key, path in sample.items()
                if key.endswith('_path') and not listing.exists(path)]
            if lacking:
                absent.append(lacking[0])
                continue
            samples.append(sample)
        if absent and (self.missing == 'raise' or not samples):
            raise FileNotFoundError(
                f'{name}: {len(absent)} of {total} samples lack files; the '
                f"first is {self.describe(absent[0])}. Set missing='skip' to "
                f'use the others; {self.TREE}')
        if not samples:
            raise FileNotFoundError(
                f'{name}: found no sample in {self.data_root}; {self.TREE}')
        if absent:
            print_log(
                f'{name}: skips {len(absent)} of {total} samples whose files '
                f'are missing, such as {absent[0]}',
                logger='current')
        if self.max_samples is None or self.max_samples >= len(samples):
            return samples
        return [samples[index * len(samples) // self.max_samples]
                for index in range(self.max_samples)]

    def prepare_data(self, idx):
        """Run the pipeline on one sample, which is never replaced.

        Raises:
            OSError: If OpenCV fails on a file, which it does not name.
            ValueError: If the pipeline returns nothing, or a transform cannot
                change masks.
        """
        info = self.get_data_info(idx)
        place = (f'{type(self).__name__}: sample {info["sample_name"]!r}, '
                 f'image {info["img_path"]}')
        try:
            data = self.pipeline(info)
        except cv2.error as error:
            if 'bool' in str(error):
                raise ValueError(
                    f'{place}: a transform cannot change masks ({error}); use '
                    "genpercept_mm's DenseResize, DenseRandomFlip and "
                    'RandomCrop in place of geometric transforms of mmseg.'
                ) from error
            raise OSError(f'{place}: OpenCV fails, as it does on empty files '
                          f'({error}).') from error
        if data is None:
            raise ValueError(f'{place}: the pipeline returned nothing; '
                             'replace the transform that drops samples.')
        name_sample(data, info)
        return data


def name_sample(data, info):
    """Give a packed sample the names of its data set and itself, which not
    every packing transform keeps."""
    sample = data.get('data_samples') if isinstance(data, dict) else None
    if hasattr(sample, 'set_metainfo'):
        sample.set_metainfo({
            key: info[key] for key in NAMES
            if key in info and key not in sample})
