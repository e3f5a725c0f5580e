"""Hypersim's picture of a frame."""
import numpy as np
from mmcv.transforms import LoadImageFromFile

from genpercept_mm.registry import TRANSFORMS

from ..hypersim_layout import frame_of_path, read_color


@TRANSFORMS.register_module()
class LoadHypersimImage(LoadImageFromFile):
    """Load the preview JPG, or the radiance with Apple's tone mapping.

    Required Keys:

    - img_path (``*.tonemap.jpg`` or ``*.color.hdf5``)

    Modified Keys:

    - img (H, W, 3) uint8 BGR, as mmcv's loader gives it
    - img_shape, ori_shape

    Takes the arguments of mmcv's ``LoadImageFromFile``.

    Raises:
        OSError: If the file cannot be read; names scene, camera and frame.
    """

    def transform(self, results):
        """Load the image of one frame.

        Args:
            results (dict): Has ``img_path``.

        Returns:
            dict: With ``img``, ``img_shape`` and ``ori_shape``.
        """
        path = results['img_path']
        if not path.endswith('.hdf5'):
            try:
                return super().transform(results)
            except (AssertionError, OSError) as error:
                # mmcv asserts that the decoder gave an image
                raise OSError(f'Hypersim: {describe_frame(path)}: {path} '
                              f'cannot be read as an image ({error}).'
                              ) from error
        try:
            image = read_color(path)
        except (OSError, KeyError) as error:
            raise OSError(f'{describe_frame(path)}: {error}') from error
        results['img'] = np.ascontiguousarray(image[..., ::-1])
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


def describe_frame(path):
    """Spell a frame out for an error message.

    Args:
        path (str): A file of the frame.

    Returns:
        str: ``'scene ..., camera ..., frame ...'``.
    """
    frame = frame_of_path(path)
    if frame is None:
        return f'file {path}'
    return (f'scene {frame.scene}, camera {frame.camera}, '
            f'frame {frame.frame}')
