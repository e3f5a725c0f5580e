"""Surface normals, turned into one frame."""
import logging

import numpy as np
from mmengine.logging import print_log

from genpercept_mm.registry import TRANSFORMS
from genpercept_mm.utils.normal_axes import (
    axes_name,
    axis_signs,
    convert_axes,
)
from genpercept_mm.utils.normal_check import normals_disagree_with_depth

from .base_load_label import BaseLoadLabel, read_format
from ..io.normal_io import NORMAL_READERS, face_hypersim_camera
from ..io.raster_io import check_size

# Number of samples per data set that are compared with their depth
CHECKED_SAMPLES = 5


@TRANSFORMS.register_module()
class LoadNormal(BaseLoadLabel):
    """Load unit normals: x right, y up, z towards the viewer.

    Zero vectors and NaN are invalid; all other normals get unit length. If
    `LoadDepth` precedes this transform, the first samples of each data set are
    compared with their depth, and a warning names the axes that fit if they do
    so clearly better.

    Required keys: ``normal_path``, ``normal_format`` (a key of
    ``NORMAL_READERS``), ``normal_axes`` (see `axis_signs`). Optional keys:
    ``normal_min_norm`` (shorter vectors are invalid too) and, for the check,
    ``gt_depth_map`` and ``gt_depth_mask``. Added keys: ``gt_normal_map``
    (H, W, 3) float32, zero where invalid, and ``gt_normal_mask`` (H, W) bool.

    Args:
        axes (str | Sequence[int], optional): Replaces ``normal_axes``.
        face_camera (bool): Turn Hypersim's back-facing normals around, as
            Marigold's preprocessing does; other sets stay. Defaults to True.
        check (bool): Compare with depth. Defaults to True.

    Raises:
        ValueError: If the axes are unknown.
    """

    LABEL = 'normal'
    KEYS = ('normal_path', 'normal_format', 'normal_axes')

    def __init__(self, axes=None, face_camera=True, check=True):
        if axes is not None:
            axis_signs(axes)
        self.axes, self.face_camera, self.check = axes, face_camera, check
        self._checked = {}

    def load(self, results):
        """See `BaseLoadLabel.load`."""
        normals = read_format(results, 'normal', NORMAL_READERS)
        check_size(results, results['normal_path'], normals.shape[:2])
        axes = results['normal_axes'] if self.axes is None else self.axes
        normals = convert_axes(normals, axes, 'genpercept')
        length = np.linalg.norm(normals, axis=2, keepdims=True)
        least = max(results.get('normal_min_norm', 0), 1e-6)
        valid = np.isfinite(length) & (length > least)
        normals = np.where(valid, normals / np.where(valid, length, 1), 0)
        valid = valid[..., 0]
        if self.check and 'gt_depth_map' in results:
            # before the turn, which would partly make up for wrong axes
            self._compare_with_depth(results, normals, valid, axes)
        if self.face_camera and results['normal_format'] == 'hypersim':
            normals = face_hypersim_camera(normals,
                                           results.get('camera_from_uv'))
        return dict(
            gt_normal_map=normals.astype(np.float32), gt_normal_mask=valid)

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
