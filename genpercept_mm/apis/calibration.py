"""From relative depth to metres, by a few known points."""
import json
import os
import os.path as osp
from dataclasses import asdict, dataclass

import numpy as np

from genpercept_mm.datasets.io.raster_io import read_array
from genpercept_mm.utils.affine_fit import fit_scale_and_shift
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.files import write_bytes

MODES = ('affine', 'scale', 'log')
QUANTITIES = ('depth', 'disparity')
# Of files of points
TEXTS = ('.txt', '.csv', '.xyz')
SUFFIXES = (*TEXTS, '.npy', '.png', '.tif', '.tiff', '.exr')
TRIALS, SEED = 1000, 0
# Points without which there is no vote on outliers, and those that suffice
FEWEST, MOST = 8, 5000
# Smallest and largest result, in metres
SMALLEST, LARGEST = 1e-3, 1e3
# Smallest prediction in log space
TINY = 1e-6


@dataclass
class Calibration:
    """What turns predictions of one camera and scene into metres.

    ========= ====================== ==========================
    mode      depth                  disparity
    ========= ====================== ==========================
    'affine'  z = scale d + shift    z = 1 / (scale d + shift)
    'scale'   z = scale d            z = 1 / (scale d)
    'log'     z = exp(shift) d^scale z = 1 / (exp(shift) d^scale)
    ========= ====================== ==========================

    Attributes:
        quantity (str): ``'depth'`` or ``'disparity'``.
        scale (float): See above.
        shift (float): See above.
        points (int): Number of known points.
        inliers (int): Number of those that the fit is based on.
        error (float): Median of abs(z' - z) / z over all points.
        mode (str): See above.
    """
    quantity: str
    scale: float
    shift: float
    points: int = 0
    inliers: int = 0
    error: float = 0.
    mode: str = 'affine'

    def __post_init__(self):
        check_choice('Calibration', 'quantity', self.quantity, QUANTITIES)
        check_choice('Calibration', 'mode', self.mode, MODES)
        self.scale, self.shift = float(self.scale), float(self.shift)

    def apply(self, pred):
        """Turn a prediction into metres.

        Args:
            pred (np.ndarray | dict): (H, W), or a result of `DenseInferencer`.

        Returns:
            np.ndarray: (H, W) float32; NaN where the line gives no distance
            in front of the camera, less than a millimetre or more than a
            kilometre.

        Raises:
            ValueError: If the prediction is of the other quantity.
        """
        values, _ = _prediction(pred, self.quantity)
        values = values.astype(np.float64)
        if self.mode == 'log':
            values = np.log(np.maximum(values, TINY))
        fitted = self.scale * values + self.shift
        if self.mode == 'log':
            fitted = np.exp(fitted)
        if self.quantity == 'disparity':
            fitted = np.where(fitted > 0, fitted, np.nan)
            fitted = 1 / fitted
        inside = (fitted >= SMALLEST) & (fitted <= LARGEST)
        return np.where(inside, fitted, np.nan).astype(np.float32)

    def to_json(self):
        """Return it as the bytes of a JSON file."""
        return (json.dumps(asdict(self), indent=1) + '\n').encode()

    def save(self, path):
        """Write it as JSON."""
        write_bytes(path, self.to_json())

    @classmethod
    def load(cls, path):
        """Read what `save` wrote; raises a ValueError for other files."""
        try:
            with open(path, encoding='utf-8') as file:
                return cls(**json.load(file))
        except (TypeError, ValueError) as error:
            raise ValueError(f'{path} is not a saved calibration '
                             f'({error}).') from error


def calibrate(pred, points, mode='affine', robust=True, quantity=None,
              depth_scale=None):
    """Fit scale and shift of a relative prediction to known distances.

    The fit is ordinary least squares in the space of the prediction, depth or
    inverse depth; in mode ``'log'``, of their logarithms; in mode ``'scale'``,
    the median of the ratios. With ``robust`` and at least eight points, up to
    half of them may be wrong: of 1000 lines through two points, from a fixed
    seed, the one with the smallest median error decides which points count,
    those within 2.5 standard deviations or 2 % (Rousseeuw and Leroy, 1987,
    with their factor for few points).

    Args:
        pred (np.ndarray | dict): (H, W), or a result of `DenseInferencer`.
        points (np.ndarray | str): (N, 3) of u, v, z: column and row in pixels
            and planar depth in metres; or (H, W) metres, where 0 and NaN are
            unknown; or a file with either: text of ``u v z`` lines, ``.npy``,
            or a depth picture, for which see ``depth_scale``.
        mode (str): ``'affine'``, ``'scale'`` or ``'log'``, see `Calibration`.
            Defaults to 'affine'.
        robust (bool): Defaults to True.
        quantity (str, optional): ``'depth'`` or ``'disparity'``; None takes
            that of the result.
        depth_scale (float, optional): Metres per unit of a map, for example
            1 / 1000 for millimetres. Maps of integers need it.

    Returns:
        Calibration: To ``apply`` to predictions and to ``save``.

    Raises:
        ValueError: If there are too few points, points outside the image, or
            the prediction decreases with the known values.
    """
    check_choice('calibrate', 'mode', mode, MODES)
    values, quantity = _prediction(pred, quantity)
    rows, columns, metres = _read_points(points, values.shape, depth_scale)
    x = values[rows, columns].astype(np.float64)
    y = 1 / metres if quantity == 'disparity' else metres
    if mode != 'affine':
        # the clipped end of the range says nothing about ratios
        positive = x > 0
        if len(x) and not positive.any():
            raise ValueError(f'calibrate: mode={mode!r} needs a positive '
                             'prediction at a known point.')
        x, y = x[positive], y[positive]
    if mode == 'log':
        x, y = np.log(x), np.log(y)
    least = 1 if mode == 'scale' else 2
    if len(y) < least:
        raise ValueError(f'calibrate: {len(y)} known points; mode={mode!r} '
                         f'needs at least {least}.')
    inside = np.ones(len(y), bool)
    if robust and mode != 'scale' and len(y) >= FEWEST:
        inside = _consensus(x, y, .02 if mode == 'log' else .02 * np.abs(y))
    if mode != 'scale':
        scale, shift = fit_scale_and_shift(x[inside], y[inside])
    else:
        scale, shift = np.median(y / x), 0.
    if not scale > 0:
        raise ValueError(
            f'calibrate: the prediction does not increase with the known '
            f'{quantity} (scale {scale:g}); check the order of u and v, and '
            'that image and points belong together.')
    found = Calibration(quantity, float(scale), float(shift), len(metres),
                        int(inside.sum()), mode=mode)
    at_points = found.apply(values)[rows, columns]
    errors = np.abs(at_points - metres) / metres
    # no distance is as wrong as can be
    found.error = float(np.median(np.where(
        np.isfinite(errors), errors, np.inf)))
    if not np.isfinite(found.error):
        raise ValueError(
            'calibrate: the fit gives no distance at half of the known '
            'points; check that image and points belong together, and that z '
            'is in metres.')
    return found


def _prediction(pred, quantity):
    if isinstance(pred, dict):
        own = pred.get('quantity')
        if own not in QUANTITIES:
            raise ValueError('calibrate: only depth or disparity can become '
                             f'metres, got {own!r}.')
        if quantity not in (None, own):
            raise ValueError(f'calibrate: the calibration is one of {quantity}'
                             f', and the prediction is {own}.')
        pred, quantity = pred[own], own
    check_choice('calibrate', 'quantity', quantity, QUANTITIES)
    values = np.asarray(pred)
    if values.ndim != 2:
        raise ValueError('calibrate: a prediction must be (H, W), got '
                         f'{values.shape}.')
    return values, quantity


def _read_points(points, shape, depth_scale):
    """Return rows, columns and metres of the known points."""
    name = 'points'
    if isinstance(points, (str, os.PathLike)):
        name = os.fspath(points)
        points = _read_file(name)
    points = np.asarray(points)
    is_map = points.shape == shape and shape[1] != 3
    if depth_scale is not None and not is_map:
        raise ValueError(
            f"calibrate: depth_scale is for maps of the image's size {shape}, "
            f'and {name} is {points.shape}; z of points u v z is in metres.')
    if depth_scale is not None and not depth_scale > 0:
        raise ValueError('calibrate: depth_scale must be positive, in metres '
                         f'per unit, got {depth_scale}.')
    if is_map and depth_scale is None and points.dtype.kind in 'iu':
        raise ValueError(
            f'calibrate: {name} holds integers and needs depth_scale, metres '
            'per unit, for example 1 / 1000 for millimetres, 1 / 256 for '
            'KITTI.')
    points = points.astype(np.float64) * (depth_scale or 1)
    if is_map:
        rows, columns = np.nonzero(np.isfinite(points) & (points > 0))
        return rows, columns, points[rows, columns]
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(
            f'calibrate: {name} must be (N, 3) of u, v, z or a map of the '
            f"prediction's size {shape}, got {points.shape}.")
    u, v, metres = points[np.isfinite(points).all(1)].T
    # pixels have whole numbers at their centres, or in their corners
    outside = (u < -.5) | (u >= shape[1]) | (v < -.5) | (v >= shape[0])
    columns, rows = (
        np.clip(np.round(place), 0, length - 1).astype(int)
        for place, length in ((u, shape[1]), (v, shape[0])))
    if outside.any():
        raise ValueError(
            f'calibrate: {outside.sum()} of {len(rows)} points of {name} are '
            f'outside the image of {shape[1]} x {shape[0]}, such as u v = '
            f'{u[outside][0]:g} {v[outside][0]:g}; they must be in its '
            'pixels.')
    valid = metres > 0
    return rows[valid], columns[valid], metres[valid]


def _read_file(path):
    suffix = osp.splitext(path)[1].lower()
    if suffix in (*TEXTS, ''):
        try:
            return np.loadtxt(path, delimiter=',' if suffix == '.csv' else
                              None, ndmin=2, encoding='utf-8-sig')
        except ValueError as error:
            raise ValueError(f'calibrate: {path} must have lines of u v z '
                             f'({error}).') from error
    try:
        return read_array(path)
    except (OSError, ValueError) as error:
        if suffix in SUFFIXES:
            raise
        raise ValueError(f'calibrate: {path} has none of the suffixes '
                         f'{SUFFIXES} ({error})') from error


def _consensus(x, y, least):
    """Find the points near the line through two of them from which half of
    all points are least far (Rousseeuw, 1984); those within ``least`` count
    anyway."""
    rng = np.random.default_rng(SEED)
    if len(x) > MOST:  # a vote needs no more
        some = rng.choice(len(x), MOST, replace=False)
        slope, offset, spread = _best_line(x[some], y[some], rng)
    else:
        slope, offset, spread = _best_line(x, y, rng)
    if spread is None:
        return np.ones(len(x), bool)
    # 1.4826 median = one standard deviation of normal errors
    limit = 2.5 * 1.4826 * (1 + 5 / (len(x) - 2)) * spread
    return np.abs(slope * x + offset - y) <= np.maximum(limit, least)


def _best_line(x, y, rng):
    """Return slope, offset and median error; the latter is None if there is
    no line."""
    first = rng.integers(0, len(x), TRIALS)
    second = (first + rng.integers(1, len(x), TRIALS)) % len(x)
    span = x[second] - x[first]
    usable = np.abs(span) > 1e-9
    if not usable.any():
        return 0., 0., None
    first, second, span = first[usable], second[usable], span[usable]
    slopes = (y[second] - y[first]) / span
    offsets = y[first] - slopes * x[first]
    medians = [np.median(np.abs(slope * x + offset - y))
               for slope, offset in zip(slopes, offsets)]
    best = int(np.argmin(medians))
    return slopes[best], offsets[best], medians[best]
