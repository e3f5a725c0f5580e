"""Class index maps from image files, with checks."""
import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations

from genpercept_mm.registry import TRANSFORMS

from .base_load_label import apply_label_map, errors_named, is_sample
from ..io.raster_io import check_size


@TRANSFORMS.register_module()
class LoadSegLabel(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, refusing files that it would misread.

    The stock transform casts the content of any file to uint8 and accepts any
    shape and any id. ``reduce_zero_label`` is that of the data set; here, it
    can only repeat it.

    Required keys: ``seg_map_path``, ``seg_fields``, ``label_map``,
    ``reduce_zero_label``, and ``ori_shape`` if the image is loaded. Added
    keys: ``gt_seg_map`` (H, W) uint8.

    Args:
        num_ids (int): Ids in the file are 0..num_ids - 1, or 255 (ignored), so
            there are at most 255 of them; with ``reduce_zero_label`` the
            ignored 0 is one.
        label_map (dict[int, int], optional): New ids by those in the file, for
            example ``{255: 1}`` for masks of 0 and 255; ``num_ids`` counts the
            new ones.
        **kwargs: Arguments of mmseg's ``LoadAnnotations``.

    Raises:
        OSError: If the file cannot be decoded.
        ValueError: If ``num_ids`` is not 1..255, ``label_map`` gives ids out
            of range, ``reduce_zero_label`` is not that of the data set, or the
            label has several channels or an id out of range, or may not match
            the image in size or EXIF rotation.
    """

    def __init__(self, num_ids, label_map=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 < num_ids <= 255:
            raise ValueError('LoadSegLabel: num_ids must be 1..255, as 255 '
                             f'stands for pixels to ignore, got {num_ids}.')
        allowed = (*range(num_ids), 255)
        wrong = [new for new in (label_map or {}).values()
                 if new not in allowed]
        if wrong:
            raise ValueError(
                f'LoadSegLabel: label_map gives the ids {wrong}; new ids are '
                f'0..{num_ids - 1}, or 255 for pixels to ignore.')
        self.num_ids = num_ids
        self.label_map = label_map

    def transform(self, results):
        """Add the label of one sample; see `BaseLoadLabel` for images that do
        not come from a data set."""
        return super().transform(results) if is_sample(results) else results

    def _load_seg_map(self, results):
        if self.reduce_zero_label not in (None, results['reduce_zero_label']):
            raise ValueError(
                'LoadSegLabel: reduce_zero_label is '
                f'{self.reduce_zero_label} here and '
                f'{results["reduce_zero_label"]} in the data set, which '
                'decides; leave it out here, and give label_map={0: 255, '
                '1: 0, ...} where the data set cannot set it.')
        with errors_named('LoadSegLabel'):
            label = self._read(results)
        # unlike the stock transform, no squeeze: labels may be one pixel wide
        if results['reduce_zero_label']:
            label[label == 0] = 255
            label[label != 255] -= 1
        results['gt_seg_map'] = apply_label_map(label,
                                                results.get('label_map'))
        results['seg_fields'].append('gt_seg_map')

    def _read(self, results):
        path = results['seg_map_path']
        content = fileio.get(path, backend_args=self.backend_args)
        try:
            raw = mmcv.imfrombytes(
                content, flag='unchanged', backend=self.imdecode_backend)
        except OSError as error:
            raise OSError(f'{path} cannot be decoded ({error}).') from error
        if raw is None:  # OpenCV's way to say the same
            raise OSError(f'{path} cannot be decoded.')
        if raw.ndim != 2:
            raise ValueError(
                f'{path} has shape {raw.shape}; a label has one channel of '
                'class ids. Colour-coded labels must be converted first.')
        if raw.dtype == bool:  # an image of 1 bit
            raw = raw.astype(np.uint8)
        raw = apply_label_map(raw, self.label_map)
        wrong = (raw >= self.num_ids) & (raw != 255) | (raw < 0)
        if wrong.any():
            raise ValueError(
                f'{path} contains the label id '
                f'{np.asarray(raw)[wrong].flat[0]}; this data set has ids '
                f'0..{self.num_ids - 1}, and 255 for ignored pixels.')
        check_size(results, path, raw.shape)
        return raw.astype(np.uint8)
