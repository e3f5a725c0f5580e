"""mmcv's image decoding, alike for all formats."""
import io
from functools import wraps

import cv2
import numpy as np

# Beginnings of files that OpenCV turns as their EXIF tag asks: JPEG, PNG, TIFF
_TURNED = (b'\xff\xd8', b'\x89PN', b'II', b'MM')
_ORIENTATION = 0x0112
# Beginnings of files that may hold floats: TIFF, OpenEXR, Radiance HDR, PFM
_MAYBE_FLOAT = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+', b'v/1\x01', b'#?',
                b'PF', b'Pf')


def decode_all_formats(module):
    """Let ``imfrombytes`` of mmcv's module decode what OpenCV does not.

    Images in formats that OpenCV lacks, such as GIF, are decoded by Pillow.
    The EXIF orientation of WebP and others is taken into account, as that of
    JPEG is. Floats in [0, 1] become 0..255, where OpenCV gives another
    picture; other floats, and integers of more than 16 bits, raise a
    ValueError. Flags that keep raw values are left as they are.
    """
    stock = module.imfrombytes

    @wraps(stock)
    def imfrombytes(content, flag='color', channel_order='bgr',
                    backend=None):
        backend = module.imread_backend if backend is None else backend
        name = flag if isinstance(flag, str) else {
            number: name for name, number in module.imread_flags.items()}.get(
                flag)
        if backend != 'cv2' or name not in (
                'color', 'grayscale', 'color_ignore_orientation',
                'grayscale_ignore_orientation'):
            return stock(content, flag, channel_order, backend)
        grey, head = name.startswith('grayscale'), bytes(content[:4])
        if head.startswith(_MAYBE_FLOAT):
            image = _from_floats(content, grey, channel_order)
            if image is not None:
                return image
        image = _decode(content, module.imread_flags[name])
        if image is None or not head.startswith(_TURNED):
            picture = _open(content)
            if picture is not None and image is None:
                if picture.mode[0] in 'FI':
                    raise ValueError(
                        f'the image has the mode {picture.mode}; images must '
                        'have 8 bits. Convert it')
                return module._pillow2array(picture, name, channel_order)
            turn = 1 if picture is None else picture.getexif().get(
                _ORIENTATION, 1)
            # an image that OpenCV has turned after all differs
            if turn != 1 and name in ('color', 'grayscale') and np.array_equal(
                    image, _decode(content, module.imread_flags[
                        f'{name}_ignore_orientation'])):
                image = turned(image, turn)
        if not grey and channel_order == 'rgb' and image is not None:
            image = image[..., ::-1].copy()
        return image

    module.imfrombytes = imfrombytes


def name_images(module):
    """Let ``LoadImageFromFile`` of mmcv's module name the file in errors, and
    not turn images of data sets that say ``ignore_orientation``."""
    loader = module.LoadImageFromFile
    stock = loader.transform

    @wraps(stock)
    def transform(self, results):
        flag = self.color_type
        if results.get('ignore_orientation') and flag in (
                'color', 'grayscale'):
            self.color_type = f'{flag}_ignore_orientation'
        try:
            return stock(self, results)
        except (AssertionError, cv2.error, OSError, ValueError,
                SyntaxError) as error:
            path = str(results['img_path'])
            if path in str(error) and not isinstance(error, AssertionError):
                raise
            raise OSError(f'{path} cannot be read as an image ({error})'
                          ) from error
        finally:
            self.color_type = flag

    loader.transform = transform


def turned(image, orientation):
    """Turn an image (H, W) or (H, W, C) as its EXIF orientation asks."""
    if orientation in (5, 6, 7, 8):
        image = np.swapaxes(image, 0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def _decode(content, flag):
    return cv2.imdecode(np.frombuffer(content, np.uint8), flag)


def _open(content):
    from PIL import Image, UnidentifiedImageError
    try:
        return Image.open(io.BytesIO(content))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError,
            ValueError, SyntaxError):
        return None


def _from_floats(content, grey, channel_order):
    """Decode an image of floats in [0, 1]; None if it has 8 or 16 bits."""
    raw = _decode(content, cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype in (np.uint8, np.uint16):
        return None
    if raw.dtype.kind != 'f' or not (0 <= raw.min() <= raw.max() <= 1):
        raise ValueError(
            f'the image holds {raw.dtype} from {raw.min():g} to '
            f'{raw.max():g}; images must have 8 or 16 bits, or floats in '
            '[0, 1]. Convert it')
    image = np.round(raw * 255).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        image = image.reshape(image.shape[:2])
        return image if grey else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    image = np.ascontiguousarray(image[..., :3])
    if grey:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return image[..., ::-1].copy() if channel_order == 'rgb' else image
