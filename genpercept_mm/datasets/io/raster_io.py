"""Read arrays from image and array files, with errors that name the file."""
import os
import os.path as osp

import cv2
import numpy as np
from PIL import Image

#: OpenCV reads EXR only if this is set before its first EXR file.
EXR_SWITCH = 'OPENCV_IO_ENABLE_OPENEXR'

_EXIF_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.webp')
_ORIENTATION = 0x0112


def read_bytes(path):
    """Read a whole file.

    Args:
        path (str): The file.

    Returns:
        bytes: Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it is empty.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist.')
    with open(path, 'rb') as file:
        content = file.read()
    if not content:
        raise OSError(f'{path} is empty; download or extract it again.')
    return content


def read_raster(path):
    """Decode an image file as it is stored; colours as RGB.

    Args:
        path (str): PNG, EXR, TIFF, JPEG or what else OpenCV decodes.

    Returns:
        np.ndarray: (H, W) or (H, W, C), in the dtype of the file, channels
        in the order R, G, B, alpha.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be decoded.
    """
    content = np.frombuffer(read_bytes(path), np.uint8)
    remedy = 'it is probably truncated. Download or extract it again.'
    if path.lower().endswith('.exr'):
        # setdefault leaves the choice to a user who set it to 0
        os.environ.setdefault(EXR_SWITCH, '1')
        remedy = (f'it is truncated, or OpenCV has no EXR: set {EXR_SWITCH}=1'
                  ' in the environment before python starts, or convert it '
                  'to .npy.')
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
    """Read a ``.npy`` file; pickled objects are refused.

    Args:
        path (str): The file.

    Returns:
        np.ndarray: The array as stored.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it is no array file or truncated.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist.')
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise OSError(f'{path} cannot be read as .npy ({error}); it is '
                      'probably truncated. Download or extract it again.'
                      ) from error


def single_channel(raster, path):
    """Reduce equal channels to one.

    Args:
        raster (np.ndarray): (H, W), (H, W, 1) or (H, W, C).
        path (str): Its file, for the message.

    Returns:
        np.ndarray: (H, W).

    Raises:
        ValueError: If the channels differ.
    """
    if raster.ndim == 3 and raster.shape[2] >= 1 and all(
            np.array_equal(raster[..., 0], raster[..., channel],
                           equal_nan=raster.dtype.kind == 'f')
            for channel in range(1, raster.shape[2])):
        raster = raster[..., 0]
    if raster.ndim != 2:
        raise ValueError(
            f'{path} has shape {raster.shape}; expected (H, W), or channels '
            'that are all equal. A colour picture of a label is no label.')
    return raster


def check_size(results, path, shape):
    """Refuse a label that may not lie on the image, if that is loaded.

    OpenCV turns images as their EXIF tag asks, but no labels. A quarter turn
    shows in the size; any other turn cannot be told right or wrong.

    Args:
        results (dict): Has ``ori_shape`` and ``img_path`` once the image is
            loaded.
        path (str): File of the label.
        shape (tuple[int]): (H, W) of the label.

    Raises:
        ValueError: If the sizes differ (names both files), or the image is
            turned in a way that the sizes do not prove right.
    """
    if 'ori_shape' not in results:
        return
    image_path = results.get('img_path', '')
    size = tuple(results['ori_shape'][:2])
    if tuple(shape) != size:
        raise ValueError(
            f'image {image_path} is {size} (after the rotation that its EXIF '
            f'tag may ask for) and label {path} is {tuple(shape)} (H, W); '
            'they must be equal.')
    if not image_path.lower().endswith(_EXIF_SUFFIXES) or not osp.isfile(
            image_path):
        return
    with Image.open(image_path) as image:
        turn = image.getexif().get(_ORIENTATION, 1)
    if turn in (2, 3, 4) or (turn != 1 and size[0] == size[1]):
        raise ValueError(
            f'the EXIF tag of {image_path} asks to turn or mirror the image '
            f'(orientation {turn}), and the sizes do not tell whether label '
            f'{path} belongs to the image before or after that. Save the '
            'image without the tag, turned as the label is.')
