"""Which calibration belongs to which result."""
import os
import os.path as osp

from .calibration import (
    QUANTITIES,
    SUFFIXES,
    TEXTS,
    Calibration,
    calibrate,
)


class MetricScale:
    """Find the calibration of a result.

    Args:
        source (Calibration | str | np.ndarray | Sequence): A calibration, or
            the JSON file of one, which is used for all results; known points
            or their file, see `calibrate`, which belong to one image; or a
            folder of such files, named like the images.
        mode (str): See `calibrate`.
        depth_scale (float, optional): See `calibrate`.

    Raises:
        FileNotFoundError: If ``source`` is a path that does not exist.
        ValueError: If ``depth_scale`` is given for a calibration.
    """

    def __init__(self, source, mode='affine', depth_scale=None):
        self.mode, self.depth_scale = mode, depth_scale
        self.calibration = self.points = self.folder = self._used_by = None
        if isinstance(source, Calibration):
            self.calibration = source
        elif not isinstance(source, (str, os.PathLike)):
            self.points = source
        elif not osp.exists(source):
            raise FileNotFoundError(
                f'calibrate: {source} does not exist; give a file of known '
                'points, a folder of them, or a saved calibration (.json).')
        elif osp.isdir(source):
            self.folder = os.fspath(source)
        elif os.fspath(source).lower().endswith('.json'):
            self.calibration = Calibration.load(source)
        else:
            self.points = os.fspath(source)
        if self.calibration is not None and depth_scale is not None:
            raise ValueError('calibrate: depth_scale is for maps of known '
                             'depth, and a calibration is given.')

    def check(self, quantity):
        """Raise a ValueError if results of a quantity cannot be calibrated,
        before there are any."""
        if quantity not in QUANTITIES:
            raise ValueError('calibrate: only depth or disparity can become '
                             f'metres, and the model predicts {quantity}.')
        if self.calibration is not None and (
                self.calibration.quantity != quantity):
            raise ValueError(
                'calibrate: the calibration is one of '
                f'{self.calibration.quantity}, and the model predicts '
                f'{quantity}.')

    def of(self, result):
        """Return the calibration of a result.

        Raises:
            FileNotFoundError: If the folder has no points for its image.
            ValueError: If points of one image are asked for a second one, two
                images have one name, or the fit fails.
        """
        if self.calibration is not None:
            return self.calibration
        points, name = self.points, result['name']
        path = result.get('path')
        image = name, path and osp.realpath(path)
        if points is None:
            if result.get('stem', name) != name:
                raise ValueError(
                    f'calibrate: another input is called {result["stem"]}, '
                    'too, so its points cannot be told; keep such images in '
                    'sub-folders of one folder.')
            points = self._beside(name)
        elif self._used_by not in (None, image):
            raise ValueError(
                'calibrate: these are the points of one image, and scale and '
                'shift differ from image to image; give a folder with a file '
                'of points for each, or a saved calibration.')
        self._used_by = image
        # a folder may have both kinds of files
        scale = None if self.folder and points.endswith(TEXTS) else (
            self.depth_scale)
        return calibrate(result, points, self.mode, depth_scale=scale)

    def _beside(self, name):
        for suffix in SUFFIXES:
            path = osp.join(self.folder, name + suffix)
            if osp.isfile(path):
                return path
        raise FileNotFoundError(
            f'calibrate: {self.folder} has no points for {name}; expected '
            f'{osp.join(self.folder, name)} with one of '
            f'{", ".join(SUFFIXES)}.')
