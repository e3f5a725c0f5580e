"""Which calibration belongs to which result."""
import os
import os.path as osp

from .calibration import Calibration, calibrate

SUFFIXES = ('.txt', '.csv', '.xyz', '.npy', '.png', '.tiff', '.exr')


class MetricScale:
    """Find the calibration of a result.

    Args:
        source (Calibration | str): A calibration, or the JSON file of one,
            which is used for all results; a file of known points, see
            `calibrate`, which belongs to one image; or a folder of such
            files, named like the images.
        mode (str): See `calibrate`.
        depth_scale (float, optional): See `calibrate`.

    Raises:
        FileNotFoundError: If there is no such file or folder.
    """

    def __init__(self, source, mode='affine', depth_scale=None):
        self.mode, self.depth_scale = mode, depth_scale
        self.calibration = self.points = None
        self.source = source
        if isinstance(source, Calibration):
            self.calibration = source
        elif not osp.exists(source):
            raise FileNotFoundError(
                f'calibrate: {source} does not exist; give a file of known '
                'points, a folder of them, or a saved calibration (.json).')
        elif str(source).lower().endswith('.json'):
            self.calibration = Calibration.load(source)
        elif not osp.isdir(source):
            self.points = os.fspath(source)
        self._used_by = None

    def of(self, result):
        """Return the calibration of a result.

        Raises:
            FileNotFoundError: If the folder has no points for its image.
            ValueError: If one file of points is asked for a second image, or
                the fit fails.
        """
        if self.calibration is not None:
            return self.calibration
        points = self.points
        if points is None:
            points = self._beside(result['name'])
        elif self._used_by not in (None, result['name']):
            raise ValueError(
                f'calibrate: {points} holds the points of one image, and '
                'scale and shift differ from image to image; give a folder '
                'with a file of points for each, or a saved calibration.')
        self._used_by = result['name']
        return calibrate(result, points, self.mode,
                         depth_scale=self.depth_scale)

    def _beside(self, name):
        for suffix in SUFFIXES:
            path = osp.join(self.source, name + suffix)
            if osp.isfile(path):
                return path
        raise FileNotFoundError(
            f'calibrate: {self.source} has no points for {name}; expected '
            f'{osp.join(self.source, name)} with one of '
            f'{", ".join(SUFFIXES)}.')
