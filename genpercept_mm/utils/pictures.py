"""Pictures as files."""
import cv2
import numpy as np

from genpercept_mm.utils.files import write_bytes


def encode_picture(picture, suffix='.png'):
    """Encode a picture (H, W), or (H, W, 3) RGB, of uint8 or, as PNG, uint16,
    in the format of a suffix. Raises a ValueError if that is impossible."""
    if picture.dtype != np.uint8 and (
            picture.dtype != np.uint16 or suffix.lower() != '.png'):
        # OpenCV would cut the values off without an error
        raise ValueError(f'a picture of {picture.dtype} cannot be encoded as '
                         f'{suffix!r}; convert it to uint8.')
    if picture.ndim == 3:
        picture = picture[..., ::-1]
    problem = 'its sides are too long'
    try:
        done, content = cv2.imencode(suffix, picture)
    except cv2.error as error:
        done, problem = False, error
    if not done:
        raise ValueError(f'a picture of shape {picture.shape} cannot be '
                         f'encoded as {suffix!r} ({problem}).')
    return content.tobytes()


def encode_png(picture):
    """Encode a picture as in `encode_picture`, as PNG."""
    return encode_picture(picture)


def write_png(path, picture):
    """Write a picture as in `encode_png` completely or not at all."""
    write_bytes(path, encode_png(picture))
