"""Readers of surface normals, in the frame that the file uses.

Every reader takes the pipeline's ``results`` dict, whose ``normal_path`` is
the file, and returns (H, W, 3) float32; pixels without a normal are zero. A
file that does not fit its format raises a ValueError that names the file.
``NORMAL_READERS`` maps the ``normal_format`` of a sample to its reader.
"""
import numpy as np

from genpercept_mm.utils.normal_check import normals_from_depth

from .depth_io import hypersim_rays, read_entity_mask, read_png_depth
from .hypersim_io import read_hdf5
from .raster_io import read_array, read_raster

# A zero vector stored in 8 bits has components of 1/255 at most
_ZERO_IN_8_BITS = 0.01


def read_png_normals(results):
    """Read an RGB picture of 8 or 16 bits, n = value / maximum x 2 - 1; black
    pixels do not have a normal, and unless ``results['normal_without']`` is
    ``'black'``, middle grey ones neither."""
    path = results['normal_path']
    raster = read_raster(path)
    if raster.dtype not in (np.uint8, np.uint16) or raster.ndim != 3 or (
            raster.shape[2] != 3):
        raise ValueError(
            f'{path} is {raster.dtype} of shape {raster.shape}; normals in '
            'an image have 3 channels of 8 or 16 bits.')
    normals = raster / np.float64(np.iinfo(raster.dtype).max) * 2 - 1
    nothing = (raster == 0).all(axis=2)
    if results.get('normal_without') != 'black':
        nothing |= np.linalg.norm(normals, axis=2) < _ZERO_IN_8_BITS
    normals[nothing] = 0
    return normals.astype(np.float32)


def read_float_normals(results):
    """Read ``.npy`` normals, (H, W, 3) or (3, H, W), or ``.exr`` normals,
    whose channels R, G and B are x, y and z; a fourth channel is ignored."""
    path = results['normal_path']
    array = read_array(path)
    if path.lower().endswith('.npy'):
        if array.ndim == 3 and array.shape[0] == 3 != array.shape[2]:
            array = array.transpose(1, 2, 0)
    elif array.ndim == 3 and array.shape[2] == 4:
        array = array[..., :3]
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind != 'f':
        raise ValueError(
            f'{path} is {array.dtype} of shape {array.shape}; expected '
            'floats of shape (H, W, 3).')
    return array.astype(np.float32)


def read_hypersim_normals(results):
    """Read Hypersim's ``normal_cam``, which is not always of unit length; if
    ``results`` has ``entity_path``, pixels of entity -1 become zero."""
    path = results['normal_path']
    normals = read_hdf5(path).astype(np.float32)
    if normals.ndim != 3 or normals.shape[2] != 3:
        raise ValueError(f'{path} has shape {normals.shape}; expected '
                         '(H, W, 3).')
    if results.get('entity_path'):
        normals[~read_entity_mask(results, normals.shape[:2])] = 0
    return normals


def read_normals_from_depth(results):
    """Derive normals (x right, y up, z towards the viewer) from a depth PNG.

    They are zero at edges of depth and outside ``results['depth_range']``.
    ``depth_scale`` and ``intrinsics`` (fx, fy, cx, cy; pixels) are needed too.
    """
    depth = read_png_depth(dict(results, depth_path=results['normal_path']))
    low, high = results['depth_range']
    depth = np.where((depth > low) & (depth < high), depth, 0)
    return normals_from_depth(depth, results['intrinsics'])[0].astype(
        np.float32)


def face_hypersim_camera(normals, camera=None):
    """Turn normals around that point away from the camera.

    Some of Hypersim's surfaces are modelled inside out, but a visible surface
    faces the camera. The normals are (H, W, 3) unit vectors in camera space;
    for the camera see `hypersim_rays`.
    """
    rays = hypersim_rays(normals.shape[:2], camera)
    away = (normals * rays).sum(axis=-1) > 1e-3
    return np.where(away[..., None], -normals, normals)


NORMAL_READERS = {
    'png': read_png_normals,
    'npy': read_float_normals,
    'exr': read_float_normals,
    'hypersim': read_hypersim_normals,
    'from_depth': read_normals_from_depth,
}
