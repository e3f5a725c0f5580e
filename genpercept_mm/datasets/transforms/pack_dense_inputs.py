"""Packing of dense labels and targets."""
import numpy as np
from mmcv.transforms import to_tensor
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from genpercept_mm.codecs import BaseDenseCodec
from genpercept_mm.registry import TRANSFORMS

META_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape',
             'pad_shape', 'scale_factor', 'flip', 'flip_direction',
             'reduce_zero_label', 'dataset_name', 'sample_name', 'crop_box')


@TRANSFORMS.register_module()
class PackDenseInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` for any dense label.

    Every ``gt_*`` entry of ``seg_fields`` becomes a field of the data
    sample, (C, H, W) tensors in ``PixelData``.

    Args:
        meta_keys (Sequence[str]): Keys to keep as metadata. Defaults to
            mmseg's, the names of data set and sample, and ``crop_box``.

    Raises:
        ValueError: If normals were flipped by a transform that does not know
            directions.
    """

    def __init__(self, meta_keys=META_KEYS):
        super().__init__(meta_keys=meta_keys)

    def transform(self, results):
        """Pack one sample.

        Args:
            results (dict): From the pipeline.

        Returns:
            dict: ``inputs`` and ``data_samples``.
        """
        self._check_flip(results)
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
    def _check_flip(results):
        if not results.get('flip') or results.get('mirrored'):
            return
        codec = results.get('codec', BaseDenseCodec)
        directed = 'gt_normal_map' in results.get('seg_fields', ()) or (
            getattr(codec.mirror, '__func__', codec.mirror)
            is not BaseDenseCodec.mirror)
        if directed:
            raise ValueError(
                'PackDenseInputs: normals were flipped like a picture, their '
                "x component not negated. Use type='genpercept_mm."
                "DenseRandomFlip' instead of RandomFlip.")
