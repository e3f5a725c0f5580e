"""A user's own images and labels, in two folders."""
import logging
import os.path as osp

import numpy as np
from mmengine.logging import print_log

from genpercept_mm.registry import DATASETS
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.files import printable
from genpercept_mm.utils.normal_axes import axis_signs

from .base_dense_dataset import BaseDenseDataset
from .io.file_listing import IMAGE_SUFFIXES, walk_files

LABEL_SUFFIXES = {
    'depth': ('.png', '.npy', '.exr'),
    'normal': ('.png', '.npy', '.exr'),
    'alpha': IMAGE_SUFFIXES,
    'seg': ('.png', '.bmp', '.tif', '.tiff'),
}


@DATASETS.register_module()
class FolderPairsDataset(BaseDenseDataset):
    """Match images and labels by their names, including sub-folders.

    What the label files contain:

    ==========  ==========================================================
    label       file
    ==========  ==========================================================
    ``depth``   16-bit PNG (metres = value x ``depth_scale``), NPY or EXR
                (metres, or x ``depth_scale``)
    ``normal``  8- or 16-bit RGB PNG ((n + 1) / 2), NPY or EXR
    ``alpha``   8- or 16-bit grey image
    ``seg``     class ids, for mmseg's ``LoadAnnotations`` or `LoadSegLabel`
    ==========  ==========================================================

    Args:
        img_dir (str): Image folder, absolute or relative to ``data_root``.
        label_dir (str, optional): Label folder, likewise; None lists images to
            predict on, without labels.
        label (str, optional): From the table; required with ``label_dir``.
        img_suffix (str, optional): End of image names, for example
            ``'_rgb.png'``; the part before it must be the same in image and
            label. None takes any image suffix.
        label_suffix (str, optional): End of label names; None takes any suffix
            of the table's formats.
        depth_scale (float, optional): Metres per unit of the file, for example
            1 / 1000 for millimetres; required for PNG, otherwise None is 1.
        depth_range (Sequence[float], optional): Valid depth in metres, not
            including the ends; None for any positive depth.
        normal_axes (str | Sequence[int]): See `axis_signs`. Defaults to
            'genpercept' (x right, y up, z towards the viewer).
        ignore_orientation (bool): Labels belong to images as they are stored,
            whatever their EXIF tag says. Defaults to False.
        name (str): ``dataset_name`` of samples. Defaults to 'folder_pairs'.
        data_root (str): Folder that relative ones start from. Defaults to '.'.
        **kwargs: Arguments of `BaseDenseDataset`; ``missing='skip'`` leaves
            out files without a partner, ``metainfo`` names the classes.

    Raises:
        FileNotFoundError: If a folder is missing or a file has no partner.
        ValueError: If a name occurs twice or the label needs another argument.
    """

    LABELS = tuple(LABEL_SUFFIXES)
    _UNUSED = BaseDenseDataset._UNUSED | {'labels'}
    TREE = """expected
  <img_dir>/<name><img_suffix>
  <label_dir>/<name><label_suffix>
with the same <name>, which may contain folders"""

    def __init__(self, img_dir, label_dir=None, label=None, img_suffix=None,
                 label_suffix=None, depth_scale=None, depth_range=None,
                 normal_axes='genpercept', ignore_orientation=False,
                 name='folder_pairs', data_root='.', **kwargs):
        if label_dir is None:
            # nothing will be loaded, but there must be some label
            label = self.LABELS[0]
        check_choice(type(self).__name__, 'label', label, self.LABELS)
        if depth_scale is not None and depth_scale <= 0:
            raise ValueError('FolderPairsDataset: depth_scale must be '
                             f'positive (metres per unit), got {depth_scale}.')
        meta = kwargs.get('metainfo') or {}
        if 'palette' not in meta and isinstance(
                meta.get('classes'), (list, tuple)):
            # mmseg's visualizer needs colours; these are its random ones
            kwargs['metainfo'] = dict(meta, palette=np.random.RandomState(
                42).randint(0, 255, (len(meta['classes']), 3)).tolist())
        if label == 'seg' and 'classes' not in meta:
            raise ValueError(
                "FolderPairsDataset: label='seg' needs the names of the "
                "classes for the metric: metainfo=dict(classes=('a', 'b')).")
        axis_signs(normal_axes)
        self.img_dir, self.label_dir = img_dir, label_dir
        self.img_suffix, self.label_suffix = img_suffix, label_suffix
        self.depth_scale, self.depth_range = depth_scale, depth_range
        self.normal_axes = normal_axes
        self.IGNORE_ORIENTATION = ignore_orientation
        self.NAME = name
        super().__init__(labels=label, data_root=data_root, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        label = self.labels[0]
        images = self._files(
            'img', self.img_dir,
            (self.img_suffix, ) if self.img_suffix else IMAGE_SUFFIXES)
        if self.label_dir is None:
            for stem in sorted(images):
                yield dict(sample_name=stem, img_path=images[stem])
            return
        labels = self._files(
            'label', self.label_dir, (self.label_suffix, )
            if self.label_suffix else LABEL_SUFFIXES[label])
        if self.label_suffix:
            # labels in the same folder may look like images
            theirs = set(labels.values())
            images = {stem: path for stem, path in images.items()
                      if path not in theirs}
        for stems, others, ours, theirs in (
                (images, labels, 'images', 'label'),
                (labels, images, 'labels', 'image')):
            alone = sorted(set(stems) - set(others))
            if alone and (self.missing == 'raise' or len(alone) == len(stems)):
                raise FileNotFoundError(
                    f'FolderPairsDataset: {len(alone)} of {len(stems)} {ours} '
                    f'have no {theirs} of the same name; the first is '
                    f'{stems[alone[0]]}. Set img_suffix and label_suffix to '
                    "what follows the common name, or set missing='skip'; "
                    f'{self.TREE}')
        key = 'seg_map_path' if label == 'seg' else f'{label}_path'
        for stem in sorted(set(images) & set(labels)):
            yield dict({
                'sample_name': stem,
                'img_path': images[stem],
                key: labels[stem]
            }, **self._facts(label, labels[stem]))

    def _files(self, kind, folder, suffixes):
        """Map common names to files."""
        folder = osp.join(self.data_root, folder)
        if not osp.isdir(folder):
            raise FileNotFoundError(
                f'FolderPairsDataset: {kind}_dir {folder!r} does not exist; '
                f'{self.TREE}')
        found, others = {}, []
        for path in walk_files(folder):
            suffix = next(
                (s for s in suffixes if path.lower().endswith(s.lower())),
                None)
            if suffix is None:
                others.append(path)
                continue
            stem = path[:-len(suffix)]
            path = osp.join(folder, path)
            if stem in found:
                raise ValueError(
                    f'FolderPairsDataset: {found[stem]} and {path} have the '
                    f'same name; set {kind}_suffix to tell which to use.')
            found[stem] = path
        if not found:
            raise FileNotFoundError(
                f'FolderPairsDataset: no file in {folder} ends with one of '
                f'{tuple(suffixes)}; set {kind}_suffix.')
        if others and len(suffixes) > 1:
            print_log(
                f'FolderPairsDataset: leaves out {len(others)} files of '
                f'{folder}, such as {printable(others[0])}, because they do '
                f'not end with one of {tuple(suffixes)}; set {kind}_suffix to '
                'use them.', logger='current', level=logging.WARNING)
        return found

    def _facts(self, label, path):
        suffix = osp.splitext(path)[1].lower()
        check_choice(type(self).__name__, f'suffix of {path}', suffix,
                     LABEL_SUFFIXES[label])
        if label == 'normal':
            return dict(normal_format=suffix[1:], normal_axes=self.normal_axes)
        if label != 'depth':
            return {}
        if suffix == '.png' and self.depth_scale is None:
            raise ValueError(
                f'FolderPairsDataset: depth_scale must be set for PNG depth '
                f'such as {path}: metres per unit, for example 1 / 1000 for '
                'millimetres.')
        facts = dict(depth_format=suffix[1:])
        if self.depth_scale is not None:
            facts['depth_scale'] = self.depth_scale
        if self.depth_range is not None:
            facts['depth_range'] = tuple(self.depth_range)
        return facts
