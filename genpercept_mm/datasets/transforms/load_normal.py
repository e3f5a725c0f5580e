"""Surface normals, turned into one frame."""
import logging

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from genpercept_mm.registry import TRANSFORMS
from genpercept_mm.utils.normal_axes import (
    axes_name,
    axis_signs,
    convert_axes,
)

from .label_errors import errors_named, require
from ..normal_check import normals_disagree_with_depth
from ..normal_io import NORMAL_READERS, face_hypersim_camera
from ..raster_io import check_size

# Samples per data set that are compared with their depth
CHECKED_SAMPLES = 5


@TRANSFORMS.register_module()
class LoadNormal(BaseTransform):
    """Load unit normals: x right, y up, z towards the viewer.

    Zero vectors and NaN are invalid; everything else gets unit length. If
    the depth of the sample is loaded already (`LoadDepth` stands before),
    the first samples of each data set are compared with it, and a warning
    says which axes would fit if others do clearly better.

    Required Keys:

    - normal_path, normal_format (a key of ``NORMAL_READERS``)
    - normal_axes (see `axis_signs`)
    - normal_min_norm (float, optional): shorter vectors are invalid too
    - ori_shape, if the image is loaded: must be the label's size
    - seg_fields (list)
    - gt_depth_map, gt_depth_mask, optional: for the check

    Added Keys:

    - gt_normal_map (H, W, 3) float32, zero where invalid
    - gt_normal_mask (H, W) bool

    Modified Keys:

    - seg_fields

    Args:
        axes (str | Sequence[int], optional): Frame of the files, instead of
            what the data set says. Defaults to None.
        face_camera (bool): Turn Hypersim's back-facing normals round, as
            Marigold's preprocessing does. Other sets stay as they are.
            Defaults to True.
        check (bool): Compare with depth. Defaults to True.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If its content does not fit its format or the image, or
            the axes are unknown.
    """

    def __init__(self, axes=None, face_camera=True, check=True):
        if axes is not None:
            axis_signs(axes)
        self.axes = axes
        self.face_camera = face_camera
        self.check = check
        self._checked = {}

    def transform(self, results):
        """Load the normals of one sample.

        Args:
            results (dict): Has the keys named above.

        Returns:
            dict: With ``gt_normal_map`` and ``gt_normal_mask``.
        """
        with errors_named('LoadNormal'):
            require(results, 'normal',
                    ('normal_path', 'normal_format', 'normal_axes'))
            kind = results['normal_format']
            if kind not in NORMAL_READERS:
                raise ValueError(
                    f'normal_format must be one of {sorted(NORMAL_READERS)}, '
                    f'got {kind!r}; change what the data set says of '
                    f'{results["normal_path"]}.')
            normals = NORMAL_READERS[kind](results)
            check_size(results, results['normal_path'], normals.shape[:2])
            axes = (results['normal_axes'] if self.axes is None
                    else self.axes)
            normals = convert_axes(normals, axes, 'genpercept')
        length = np.linalg.norm(normals, axis=2, keepdims=True)
        least = max(results.get('normal_min_norm', 0), 1e-6)
        valid = np.isfinite(length) & (length > least)
        normals = np.where(valid, normals / np.where(valid, length, 1), 0)
        valid = valid[..., 0]
        if self.check and 'gt_depth_map' in results:
            # before the turn, which would make up for wrong axes in part
            self._compare_with_depth(results, normals, valid, axes)
        if self.face_camera and kind == 'hypersim':
            normals = face_hypersim_camera(normals,
                                           results.get('camera_from_uv'))
        results['gt_normal_map'] = normals.astype(np.float32)
        results['gt_normal_mask'] = valid
        results['seg_fields'] += ['gt_normal_map', 'gt_normal_mask']
        return results

    def _compare_with_depth(self, results, normals, valid, axes):
        name = results.get('dataset_name')
        if self._checked.get(name, 0) >= CHECKED_SAMPLES:
            return
        self._checked[name] = self._checked.get(name, 0) + 1
        fit = normals_disagree_with_depth(
            results['gt_depth_map'], normals,
            results['gt_depth_mask'] & valid)
        if fit is None or not fit.disagrees:
            return
        self._checked[name] = CHECKED_SAMPLES  # warn once
        better = axes_name(
            [a * b for a, b in zip(fit.signs, axis_signs(axes))])
        print_log(
            f'LoadNormal: {results["normal_path"]} of data set {name!r} does '
            f'not fit the depth {results["depth_path"]}: with axes={axes!r} '
            f'the normals are {fit.stated_angle:.0f} degrees from those of '
            f'the depth on average, with axes={better} '
            f'{fit.angle:.0f}. Set axes={better} in LoadNormal if the '
            'pictures of the labels look wrong, or check=False.',
            logger='current',
            level=logging.WARNING)
