"""Readers of depth files: each returns metres along the view axis.

Every reader takes the pipeline's ``results`` dict, whose ``depth_path`` is the
file, and returns (H, W) float32; pixels without depth are 0, NaN or infinite.
A file that does not fit its format raises a ValueError that names the file.
``DEPTH_READERS`` maps the ``depth_format`` of a sample to its reader.
"""
import json

import numpy as np

from .hypersim_io import read_hdf5
from .raster_io import read_array, read_bytes, read_raster, single_channel


def read_png_depth(results):
    """Read 16-bit depth: metres = value x ``results['depth_scale']``."""
    path = results['depth_path']
    raster = single_channel(read_raster(path), path)
    if raster.dtype != np.uint16:
        raise ValueError(
            f'{path} holds {raster.dtype}; depth images have 16 bits '
            '(uint16). Convert it, or store metres as .npy.')
    # in double precision, as a division by 256 or 1000 would be
    return (raster * np.float64(results['depth_scale'])).astype(np.float32)


def read_float_depth(results):
    """Read ``.npy`` or ``.exr`` depth, (H, W), (H, W, 1) or (1, H, W); metres
    are value x ``results['depth_scale']``, which defaults to 1."""
    path = results['depth_path']
    array = read_array(path)
    if array.dtype.kind not in 'fiu':
        raise ValueError(f'{path} holds {array.dtype}; expected numbers.')
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    array = single_channel(array, path)
    return (array * np.float64(results.get('depth_scale', 1))).astype(
        np.float32)


def hypersim_rays(shape, camera=None):
    """Return the directions in which a Hypersim camera sees its pixels.

    They are (H, W, 3) float32 unit vectors: x right, y up, z backwards.
    ``shape`` is (H, W); ``camera`` is 3 x 3, see `read_cameras`, or None for
    the standard camera with a horizontal field of view of pi/3.
    """
    height, width = shape
    if camera is None:
        half = np.tan(np.pi / 6)
        camera = np.diag([half, half * height / width, -1])
    u = (2 * np.arange(width) + 1) / width - 1
    v = 1 - (2 * np.arange(height) + 1) / height
    uv = np.stack(
        [*np.meshgrid(u, v), np.ones((height, width))], axis=-1)
    rays = uv @ np.asarray(camera, np.float64).T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return rays.astype(np.float32)


def read_hypersim_depth(results):
    """Read Hypersim's distance to the optical centre as planar depth.

    ``results`` has ``camera_from_uv`` (see `hypersim_rays`) unless the camera
    is standard, and ``entity_path`` if pixels of entity -1 are to become 0.
    """
    path = results['depth_path']
    distance = single_channel(read_hdf5(path), path)
    rays = hypersim_rays(distance.shape, results.get('camera_from_uv'))
    depth = distance.astype(np.float32) * -rays[..., 2]
    if results.get('entity_path'):
        depth[~read_entity_mask(results, depth.shape)] = 0
    return depth


def read_entity_mask(results, shape):
    """Return a mask (H, W), False where the ids of ``results['entity_path']``,
    which must have the label's shape, are -1."""
    entity = read_hdf5(results['entity_path'])
    if entity.shape != tuple(shape):
        raise ValueError(
            f'{results["entity_path"]} is {entity.shape} and the label of '
            f'the same frame {tuple(shape)} (H, W); they must be equal. '
            'Download the frame again.')
    return entity != -1


def read_eth3d_depth(results):
    """Read ETH3D's float32 values without header; +inf (no depth) becomes 0.

    The size (H, W) is ``results['ori_shape']``, or else ``['depth_shape']``.
    """
    path = results['depth_path']
    height, width = (results.get('ori_shape') or results['depth_shape'])[:2]
    content = read_bytes(path)
    if len(content) != 4 * height * width:
        raise ValueError(
            f'{path} has {len(content)} bytes; depth of an image of {height}'
            f' x {width} pixels ({results.get("img_path")}) has '
            f'{4 * height * width}. Extract both files again.')
    depth = np.frombuffer(content, '<f4').reshape(height, width).copy()
    depth[np.isposinf(depth)] = 0
    return depth


def read_cityscapes_depth(results):
    """Turn Cityscapes' disparity p into depth.

    With d = (p - 1) / 256 pixels for p > 0, depth is baseline x fx / d, both
    from ``results['camera_path']`` (``*_camera.json``). Depth is 0 where d is
    unknown, or 0 because the point is infinitely far away.
    """
    camera_path = results['camera_path']
    try:
        camera = json.loads(read_bytes(camera_path))
        factor = camera['extrinsic']['baseline'] * camera['intrinsic']['fx']
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{camera_path} is not a Cityscapes camera file ({error!r}); '
            'expected JSON with extrinsic.baseline and intrinsic.fx.'
        ) from error
    disparity = (read_png_depth(dict(results, depth_scale=1)) - 1) / 256
    seen = disparity > 0
    return np.where(seen, factor / np.where(seen, disparity, 1),
                    0).astype(np.float32)


DEPTH_READERS = {
    'png': read_png_depth,
    'npy': read_float_depth,
    'exr': read_float_depth,
    'hypersim': read_hypersim_depth,
    'eth3d': read_eth3d_depth,
    'cityscapes_disparity': read_cityscapes_depth,
}
