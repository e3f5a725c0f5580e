"""Packing of dense labels and targets."""
import numpy as np
from mmcv.transforms import to_tensor
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from genpercept_mm.codecs import directional_label_keys
from genpercept_mm.registry import TRANSFORMS

META_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape',
             'pad_shape', 'scale_factor', 'flip', 'flip_direction',
             'reduce_zero_label', 'dataset_name', 'sample_name', 'crop_box')
# How far resizing may take targets out of [-1, 1]
SLACK = 1e-2


@TRANSFORMS.register_module()
class PackDenseInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` for any dense label.

    Every ``gt_*`` entry of ``seg_fields`` becomes a field of the data sample,
    a (C, H, W) tensor in ``PixelData``.

    Args:
        meta_keys (Sequence[str]): Keys to keep as metadata. Defaults to
            mmseg's, the names of data set and sample, and ``crop_box``.

    Raises:
        ValueError: If directions, such as normals, were flipped by a
            transform that does not change their sign, or targets are outside
            of [-1, 1].
    """

    def __init__(self, meta_keys=META_KEYS):
        super().__init__(meta_keys=meta_keys)

    def transform(self, results):
        """Pack one sample into ``inputs`` and ``data_samples``."""
        self._check_flip(results)
        self._check_target(results)
        packed = super().transform(results)
        for key in results.get('seg_fields', ()):
            if key == 'gt_seg_map' or not key.startswith('gt_'):
                continue
            maps = results[key]
            maps = maps[None] if maps.ndim == 2 else maps.transpose(2, 0, 1)
            packed['data_samples'].set_data({
                key: PixelData(data=to_tensor(np.ascontiguousarray(maps)))
            })
        return packed

    @staticmethod
    def _check_target(results):
        """Find values that a transform after `EncodeTarget` has filled in."""
        target = results.get('gt_target')
        if target is None or not target.size:
            return
        largest = np.abs(target).max()
        if not largest <= 1 + SLACK:
            raise ValueError(
                f'PackDenseInputs: a target of {results.get("img_path")} has '
                f'the value {largest:g} or its negative, but targets are in '
                '[-1, 1]. A transform between EncodeTarget and this one has '
                'filled it in; leave out that transform, or let it come '
                'before the label is loaded.')

    @staticmethod
    def _check_flip(results):
        if not results.get('flip') or results.get('mirrored'):
            return
        directions = directional_label_keys().intersection(
            results.get('seg_fields', ()))
        if 'codec' in results and results['codec'].mirrors:
            directions.add('gt_target')
        if directions:
            raise ValueError(
                f'PackDenseInputs: {sorted(directions)} were flipped like a '
                'picture, but their values are directions and need a change '
                "of sign. Use type='genpercept_mm.DenseRandomFlip' instead of "
                'RandomFlip.')
