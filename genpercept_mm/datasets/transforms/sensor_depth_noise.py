"""Depth as a stereo camera or structured-light sensor measures it."""
import zlib

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from genpercept_mm.registry import TRANSFORMS

from .base_load_label import errors_named, require

_NEIGHBOURS = np.ones((3, 3), np.uint8)


@TRANSFORMS.register_module()
class SensorDepthNoise(BaseTransform):
    r"""Give exact depth the errors of a sensor.

    If only rendered scenes are available, this replaces the labels of real
    data sets, which come from sensors that triangulate. It does not imitate
    their larger errors, such as those of glass and mirrors.

    A depth z becomes the disparity ``disparity_scale / z``, gets Gaussian
    noise of ``noise`` pixels and is rounded to multiples of ``step``. Away
    from edges, the error of depth is therefore about

    .. math:: \sigma_z = z^2 / s \cdot \sqrt{noise^2 + step^2 / 12}

    with s the scale. Pixels of one matching window have the same error: noise
    and missing returns are drawn once for each block of ``window`` x
    ``window`` pixels. Returns are missing

    - beyond ``max_range``, and where no disparity is left,
    - at depth edges, with probability ``edge_loss``: pixels whose 3 x 3
      neighbourhood contains depths of a ratio above ``edge_ratio``,
    - on dark surfaces, with a probability that rises from 0 at a brightness of
      ``dark_level`` to ``dark_loss`` at black.

    At the remaining edges, foreground and background bleed: the disparity
    moves by the share ``edge_bleed`` towards the mean of its neighbourhood.

    A sample's errors depend on ``seed`` and its name, so they are the same in
    every epoch, process and run. Nothing changes if all parameters of noise
    and loss and ``step`` are 0 and ``max_range`` is None.

    Required keys: ``gt_depth_map`` (H, W) metres, ``gt_depth_mask`` (H, W)
    bool, ``dataset_name``, ``sample_name`` and, if ``dark_loss`` is set,
    ``img`` (H, W, 3) uint8. Modified keys: ``gt_depth_map``, which becomes 0
    where a return is missing, and ``gt_depth_mask``.

    Args:
        disparity_scale (float): Focal length times baseline, in pixels times
            metres; about 580 x 0.075 for the first Kinect. Defaults to 43.5.
        noise (float): Standard deviation, pixels. Defaults to 0.25.
        step (float): Step of disparity, pixels; 0 for none. Defaults to 0.125.
        window (int): Side length of a block, pixels. Defaults to 4.
        edge_ratio (float): Depth ratio at an edge, above 1. Defaults to 1.2.
        edge_loss (float): Probability, in [0, 1]. Defaults to 0.3.
        edge_bleed (float): Share, in [0, 1]. Defaults to 0.5.
        dark_level (float): Brightness, in (0, 1]: the mean of the channels,
            1 is white. Defaults to 0.25.
        dark_loss (float): Probability, in [0, 1]. Defaults to 0.3.
        max_range (float, optional): Metres; no limit if None. Defaults to 5.0.
        seed (int): Not negative. Defaults to 0.

    Raises:
        ValueError: If an argument is out of range, or a sample lacks a key.
    """

    def __init__(self, disparity_scale=43.5, noise=0.25, step=0.125, window=4,
                 edge_ratio=1.2, edge_loss=0.3, edge_bleed=0.5,
                 dark_level=0.25, dark_loss=0.3, max_range=5.0, seed=0):
        for name, value, fits, wanted in (
                ('disparity_scale', disparity_scale, disparity_scale > 0,
                 'positive'),
                ('noise', noise, noise >= 0, 'at least 0'),
                ('step', step, step >= 0, 'at least 0'),
                ('window', window, window >= 1, 'at least 1'),
                ('edge_ratio', edge_ratio, edge_ratio > 1, 'above 1'),
                ('edge_loss', edge_loss, 0 <= edge_loss <= 1, 'in [0, 1]'),
                ('edge_bleed', edge_bleed, 0 <= edge_bleed <= 1, 'in [0, 1]'),
                ('dark_level', dark_level, 0 < dark_level <= 1, 'in (0, 1]'),
                ('dark_loss', dark_loss, 0 <= dark_loss <= 1, 'in [0, 1]'),
                ('max_range', max_range, max_range is None or max_range > 0,
                 'positive or None'),
                ('seed', seed, seed >= 0, 'at least 0')):
            if not fits:
                raise ValueError(f'SensorDepthNoise: {name} must be {wanted},'
                                 f' got {value}.')
            setattr(self, name, value)

    def transform(self, results):
        """Measure the depth of one sample."""
        with errors_named('SensorDepthNoise'):
            require(results, 'depth', (
                'gt_depth_map', 'gt_depth_mask', 'dataset_name',
                'sample_name', *(['img'] if self.dark_loss else [])))
        name = f'{results["dataset_name"]}/{results["sample_name"]}'
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        depth, valid = results['gt_depth_map'], results['gt_depth_mask']
        loss = np.zeros(depth.shape)
        edges = find_edges(depth, valid, self.edge_ratio)
        loss[edges] = self.edge_loss
        if self.dark_loss:
            brightness = results['img'].mean(axis=2) / 255
            dark = np.clip(1 - brightness / self.dark_level, 0, 1)
            loss = 1 - (1 - loss) * (1 - self.dark_loss * dark)

        disparity = np.divide(self.disparity_scale, depth, where=valid,
                              out=np.zeros(depth.shape))
        around = neighbourhood_mean(disparity, valid)
        disparity[edges] += self.edge_bleed * (around - disparity)[edges]
        disparity += self.noise * self._blocks(rng.standard_normal, depth)
        if self.step:
            disparity = np.round(disparity / self.step) * self.step
        returned = valid & (disparity > 0) & (
            self._blocks(rng.random, depth) >= loss)
        if self.max_range is not None:
            returned &= depth <= self.max_range
        results['gt_depth_map'] = np.divide(
            self.disparity_scale, disparity, where=returned,
            out=np.zeros(depth.shape)).astype(depth.dtype)
        results['gt_depth_mask'] = returned
        return results

    def _blocks(self, draw, depth):
        """Draw one random number per block, as a map of depth's size."""
        height, width = depth.shape
        grid = draw((-(-height // self.window), -(-width // self.window)))
        grid = grid.repeat(self.window, axis=0).repeat(self.window, axis=1)
        return grid[:height, :width]


def find_edges(depth, valid, ratio):
    """Find valid pixels in whose 3 x 3 neighbourhood the largest valid depth
    exceeds the smallest by more than a ratio."""
    far = cv2.dilate(np.where(valid, depth, -np.inf).astype(np.float32),
                     _NEIGHBOURS)
    near = cv2.erode(np.where(valid, depth, np.inf).astype(np.float32),
                     _NEIGHBOURS)
    return valid & (far > ratio * near)


def neighbourhood_mean(values, valid):
    """Average the valid pixels of every 3 x 3 neighbourhood, 0 for none."""

    def total(array):
        return cv2.boxFilter(array.astype(np.float64), -1, (3, 3),
                             normalize=False, borderType=cv2.BORDER_CONSTANT)

    count = total(valid)
    return total(np.where(valid, values, 0)) / np.maximum(count, 1)
