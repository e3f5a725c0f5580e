"""Hypersim's semantic labels."""
import numpy as np
from mmcv.transforms import BaseTransform

from genpercept_mm.registry import TRANSFORMS

from .label_map import apply_label_map
from .load_hypersim_image import describe_frame
from ..hypersim_layout import read_hdf5

NUM_CLASSES = 40


@TRANSFORMS.register_module()
class LoadHypersimSemantic(BaseTransform):
    """Load NYU40 ids: 1..40 become 0..39, -1 (unlabelled) becomes 255.

    Required Keys:

    - seg_map_path (``*.semantic.hdf5``)
    - label_map (dict | None), seg_fields (list)
    - ori_shape, if the image is loaded: must be the label's size

    Added Keys:

    - gt_seg_map (H, W) uint8

    Raises:
        OSError: If the file cannot be read.
        ValueError: If an id is outside -1, 1..40, or sizes differ.
    """

    def transform(self, results):
        """Load the label of one frame.

        Args:
            results (dict): Has ``seg_map_path``.

        Returns:
            dict: With ``gt_seg_map``.
        """
        path = results['seg_map_path']
        try:
            ids = read_hdf5(path)
        except (OSError, KeyError) as error:
            raise OSError(f'{describe_frame(path)}: {error}') from error
        wrong = (ids != -1) & ((ids < 1) | (ids > NUM_CLASSES))
        if wrong.any():
            raise ValueError(
                f'Hypersim: {describe_frame(path)}: {path} holds the label '
                f'id {ids[wrong].flat[0]}; NYU40 ids are 1..{NUM_CLASSES}, '
                'and -1 where unlabelled.')
        if ids.shape != results.get('ori_shape', ids.shape):
            raise ValueError(
                f'Hypersim: {describe_frame(path)}: image '
                f'{results["img_path"]} is {results["ori_shape"]} and label '
                f'{path} is {ids.shape} (H, W); they must be equal.')
        label = np.where(ids == -1, 255, ids - 1).astype(np.uint8)
        results['gt_seg_map'] = apply_label_map(label,
                                                results.get('label_map'))
        results['seg_fields'].append('gt_seg_map')
        return results
