"""The image of a Hypersim frame."""
import numpy as np
from mmcv.transforms import LoadImageFromFile

from genpercept_mm.registry import TRANSFORMS

from ..io.hypersim_io import describe_frame, read_color


@TRANSFORMS.register_module()
class LoadHypersimImage(LoadImageFromFile):
    """Load the preview JPG, or the radiance with Apple's tone mapping.

    Required keys: ``img_path`` (``*.tonemap.jpg`` or ``*.color.hdf5``).
    Added keys, as by mmcv's ``LoadImageFromFile``, whose arguments this class
    takes: ``img`` (H, W, 3) uint8 BGR, ``img_shape``, ``ori_shape``.

    Raises:
        OSError: If the file cannot be read; names scene, camera and frame.
    """

    def transform(self, results):
        """Load the image of one frame."""
        path = results['img_path']
        if not path.endswith('.hdf5'):
            try:
                return super().transform(results)
            except (AssertionError, OSError) as error:
                # mmcv asserts that the decoder returned an image
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
