"""Reading arrays from image and array files.

Errors name the file: a FileNotFoundError if it does not exist, an OSError if
it cannot be read, a ValueError if its content is not what the function reads.
"""
import os
import os.path as osp

import cv2
import numpy as np
from PIL import Image

#: OpenCV reads EXR only if this is set before its first EXR file.
EXR_SWITCH = 'OPENCV_IO_ENABLE_OPENEXR'

_EXIF_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.tif', '.tiff',
                  '.webp')
_ORIENTATION = 0x0112


def read_bytes(path):
    """Read a whole file, which must not be empty."""
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist.')
    with open(path, 'rb') as file:
        content = file.read()
    if not content:
        raise OSError(f'{path} is empty; download or extract it again.')
    return content


def read_raster(path):
    """Decode an image file, such as PNG, EXR, TIFF or JPEG, with OpenCV.

    The result is (H, W) or (H, W, C), with unconverted values in the dtype of
    the file and the channels in the order R, G, B, alpha.
    """
    content = np.frombuffer(read_bytes(path), np.uint8)
    remedy = 'it is probably truncated. Download or extract it again.'
    if path.lower().endswith('.exr'):
        # setdefault leaves the choice to a user who set it to 0
        os.environ.setdefault(EXR_SWITCH, '1')
        remedy = (f'it is truncated, or OpenCV was built without EXR: set '
                  f'{EXR_SWITCH}=1 in the environment before python starts, '
                  'or convert the file to .npy.')
    try:
        raster = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise OSError(f'{path} cannot be decoded ({error}); {remedy}'
                      ) from error
    if raster is None:  # how OpenCV reports most failures
        raise OSError(f'{path} cannot be decoded; {remedy}')
    if raster.ndim == 3:
        swap = [2, 1, 0, 3][:raster.shape[2]]
        raster = np.ascontiguousarray(raster[..., swap])
    return raster


def read_npy(path):
    """Read a ``.npy`` file; pickled objects are refused."""
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist.')
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise OSError(f'{path} cannot be read as .npy ({error}); it is '
                      'probably truncated. Download or extract it again.'
                      ) from error


def read_array(path):
    """Read a ``.npy`` file with `read_npy`, any other with `read_raster`."""
    read = read_npy if path.lower().endswith('.npy') else read_raster
    return read(path)


def read_alpha(path, max_value=None, warn=None):
    """Read a matte or mask as (H, W) float32 in [0, 1].

    Values are divided by ``max_value``, by default the maximum of their 8 or
    16 bits. Files whose largest value is then at most 1 / 255 are coded
    otherwise: they are divided by 1 (masks of 0 and 1) or 255 (8 bits in a
    file of 16), and ``warn`` is called with a text. Several channels must be
    equal, but of four the last one counts alone (a cut-out), unless it is
    opaque everywhere: then the other three must be equal.
    """
    raster = read_raster(path)
    whole = raster.dtype in (np.uint8, np.uint16)
    if not whole and max_value is None:
        raise ValueError(f'{path} holds {raster.dtype}; mattes have 8 or 16 '
                         'bits. Set max_value of LoadAlpha to the value of an '
                         'opaque pixel to read others.')
    most = np.iinfo(raster.dtype).max if whole else max_value
    if raster.ndim == 3 and raster.shape[2] == 4:
        opaque = (raster[..., 3] == most).all()
        raster = raster[..., :3] if opaque else raster[..., 3]
    raster = single_channel(raster, path)
    low, top = raster.min(), raster.max()
    divisor = most if max_value is None else max_value
    if max_value is None and 0 < top <= most // 255 and top <= 255:
        divisor = 1 if top == 1 else 255
        if warn is not None:
            warn(f'{path} holds values from {low} to {top}, where '
                 f'{raster.dtype} has {most} for an opaque pixel, so '
                 f'{divisor} is taken for opaque. Set max_value={divisor} in '
                 f'LoadAlpha if that is right, or max_value={most} if not.')
    if not 0 <= low <= top <= divisor:
        raise ValueError(
            f'{path} holds values from {low:g} to {top:g}; with '
            f'max_value={max_value} they must be in [0, {divisor:g}].')
    return (raster / np.float32(divisor)).astype(np.float32)


def single_channel(raster, path):
    """Reduce (H, W, C) of equal channels, or (H, W), to (H, W)."""
    if raster.ndim == 3 and raster.shape[2] and np.array_equal(
            raster, np.broadcast_to(raster[..., :1], raster.shape),
            equal_nan=raster.dtype.kind == 'f'):
        raster = raster[..., 0]
    if raster.ndim != 2:
        raise ValueError(
            f'{path} has shape {raster.shape}; expected (H, W), or channels '
            'that are all equal. A coloured picture of a label cannot be '
            'used as a label.')
    return raster


def check_size(results, path, shape):
    """Refuse a label that may not match its image pixel by pixel.

    Sizes are compared if ``results`` has the image's ``ori_shape``. OpenCV
    turns images as their EXIF tag asks, but labels are never turned; a turn
    that the sizes do not show is refused, because it cannot be checked. With
    ``ignore_orientation`` in ``results``, images are not turned either.
    """
    image_path, shape = results.get('img_path', ''), tuple(shape)
    size = tuple(results.get('ori_shape', shape)[:2])
    if shape != size:
        raise ValueError(
            f'image {image_path} is {size} and label {path} is {shape} (H, '
            'W); they must be equal after the image is turned as its EXIF '
            'tag may ask.')
    if results.get('ignore_orientation') or not image_path.lower().endswith(
            _EXIF_SUFFIXES) or not osp.isfile(image_path):
        return
    with Image.open(image_path) as image:
        turn = image.getexif().get(_ORIENTATION, 1)
    if turn in (2, 3, 4) or (turn != 1 and size[0] == size[1]):
        raise ValueError(
            f'the EXIF tag of {image_path} asks to turn or mirror the image '
            f'(orientation {turn}), and the sizes do not show whether label '
            f'{path} belongs to the image before or after that. Save the '
            'image without the tag, turned as the label is, or set '
            'ignore_orientation=True in the data set if labels belong to the '
            'images as they are stored.')
