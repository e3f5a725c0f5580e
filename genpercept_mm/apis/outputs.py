"""Files of predictions."""
import io
import os

import cv2
import numpy as np

from genpercept_mm.datasets.io.raster_io import EXR_SWITCH
from genpercept_mm.utils.arguments import check_choice
from genpercept_mm.utils.files import write_named
from genpercept_mm.utils.pictures import encode_png

from .point_clouds import back_project, encode_ply

#: What can be written, and the end of the file names.
KINDS = dict(picture='.png', png16='_16bit.png', npy='.npy', exr='.exr',
             tiff='.tiff', video='.mp4')


def check_kinds(kinds):
    """Return the kinds of files to write, as a tuple of keys of ``KINDS``;
    raises a ValueError for others."""
    kinds = (kinds, ) if isinstance(kinds, str) else tuple(kinds)
    for kind in kinds:
        check_choice('DenseInferencer', 'save', kind, tuple(KINDS))
    return kinds


def write_result(result, picture, folder, kinds):
    """Write the files of one prediction.

    Args:
        result (dict): Of `DenseInferencer`.
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        folder (str): Sub-folders in the result's name are kept below it.
        kinds (Sequence[str]): Keys of ``KINDS``.

    Returns:
        dict[str, str]: The paths by kind.

    Raises:
        OSError: If a file cannot be written.
    """
    values = result[result['quantity']]
    stem = f'{result["name"]}_{result["quantity"]}'
    return {kind: write_named(
        folder, stem + KINDS[kind], encode(kind, values, picture, result))
        for kind in kinds if kind != 'video'}


def write_metres(result, image, folder, focal=None):
    """Write calibrated depth, its calibration and, with a focal length in
    pixels, the point cloud; return the paths by kind.

    ``image`` is (H, W, 3) uint8 RGB. Raises an OSError if a file cannot be
    written.
    """
    metres, stem = result['metres'], f'{result["name"]}_{result["quantity"]}'
    contents = dict(
        metres=('_metres.npy', encode('npy', metres, None, result)),
        calibration=('_calibration.json', result['calibration'].to_json()))
    if focal is not None:
        contents['ply'] = '.ply', encode_ply(
            back_project(metres, focal), image)
    return {kind: write_named(folder, stem + suffix, content)
            for kind, (suffix, content) in contents.items()}


def encode(kind, values, picture, result):
    """Encode a map (H, W) or (H, W, 3) as the content of a file.

    - ``'picture'``: The picture, as PNG.
    - ``'png16'``: The range of the quantity as 0..65535; class ids as they
      are, with 8 bits.
    - ``'npy'``, ``'exr'``, ``'tiff'``: The values themselves; EXR and TIFF
      have float32.
    """
    if kind == 'picture':
        return encode_png(picture)
    if kind == 'png16':
        if values.dtype.kind in 'iu':
            return encode_png(values.astype(
                np.uint8 if values.max() < 256 else np.uint16))
        low, high = result['range']
        share = np.clip((values - low) / (high - low), 0, 1)
        return encode_png(np.round(share * 65535).astype(np.uint16))
    if kind == 'npy':
        content = io.BytesIO()
        np.save(content, values)
        return content.getvalue()
    if kind == 'exr':
        os.environ.setdefault(EXR_SWITCH, '1')
    return encode_floats(values.astype(np.float32), KINDS[kind])


def encode_floats(values, suffix):
    """Encode float32 (H, W), or (H, W, 3) in the order R, G, B, as EXR or
    TIFF. Raises an OSError if OpenCV was built without it."""
    image = values[..., ::-1] if values.ndim == 3 else values
    try:
        # by default, OpenCV compresses three floats of a TIFF with losses
        options = [cv2.IMWRITE_TIFF_COMPRESSION, 8] if suffix == '.tiff' else (
            [])
        done, content = cv2.imencode(
            suffix, np.ascontiguousarray(image), options)
    except cv2.error as error:
        raise OSError(f'OpenCV cannot write {suffix} ({error}); set '
                      f'{EXR_SWITCH}=1 before python starts, or choose npy.'
                      ) from error
    if not done:
        raise OSError(f'OpenCV cannot write {suffix}; choose npy.')
    return content.tobytes()
