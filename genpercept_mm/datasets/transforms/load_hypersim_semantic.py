"""Hypersim's semantic labels."""
import numpy as np

from genpercept_mm.registry import TRANSFORMS

from .base_load_label import BaseLoadLabel, apply_label_map, errors_named
from ..io.hypersim_io import describe_frame, read_hdf5
from ..io.raster_io import check_size

NUM_CLASSES = 40


@TRANSFORMS.register_module()
class LoadHypersimSemantic(BaseLoadLabel):
    """Load NYU40 ids: 1..40 become 0..39, -1 (unlabelled) becomes 255.

    Required keys: ``seg_map_path`` (``*.semantic.hdf5``), ``label_map``
    (dict | None). Added keys: ``gt_seg_map`` (H, W) uint8. Errors name scene,
    camera and frame.
    """

    LABEL = 'seg'
    KEYS = ('seg_map_path', )

    def load(self, results):
        """See `BaseLoadLabel.load`."""
        path = results['seg_map_path']
        with errors_named(describe_frame(path)):
            ids = read_hdf5(path)
            wrong = (ids != -1) & ((ids < 1) | (ids > NUM_CLASSES))
            if wrong.any():
                raise ValueError(
                    f'{path} contains the label id {ids[wrong].flat[0]}; '
                    f'NYU40 ids are 1..{NUM_CLASSES}, and -1 means '
                    'unlabelled.')
            check_size(results, path, ids.shape)
        label = np.where(ids == -1, 255, ids - 1).astype(np.uint8)
        return dict(gt_seg_map=apply_label_map(label,
                                               results.get('label_map')))
