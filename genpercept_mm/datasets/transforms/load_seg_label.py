"""Class index maps from image files, checked."""
import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from genpercept_mm.registry import TRANSFORMS

from .label_map import apply_label_map

EXIF_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.webp')
ORIENTATION = 0x0112


@TRANSFORMS.register_module()
class LoadSegLabel(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, refusing what it would misread.

    The stock transform casts whatever the file holds to uint8 and passes
    any shape and any id on. ``reduce_zero_label`` is the data set's.

    Required Keys:

    - seg_map_path, seg_fields, label_map, reduce_zero_label
    - ori_shape, if the image is loaded: must be the label's size

    Added Keys:

    - gt_seg_map (H, W) uint8

    Args:
        num_ids (int): Ids in the file are 0..num_ids - 1, or 255 (ignored);
            with ``reduce_zero_label`` the ignored 0 is one of them.
        **kwargs: Arguments of mmseg's ``LoadAnnotations``.

    Raises:
        OSError: If the file cannot be decoded.
        ValueError: If it has several channels, an id out of range, or
            another size than the image; or if the image has an EXIF
            rotation that may not be the label's.
    """

    def __init__(self, num_ids, **kwargs):
        super().__init__(**kwargs)
        self.num_ids = num_ids

    def _load_seg_map(self, results):
        path = results['seg_map_path']
        content = fileio.get(path, backend_args=self.backend_args)
        try:
            raw = mmcv.imfrombytes(
                content, flag='unchanged', backend=self.imdecode_backend)
        except OSError as error:
            raise OSError(
                f'LoadSegLabel: {path} cannot be decoded ({error}).'
            ) from error
        if raw is None:  # OpenCV's way to say the same
            raise OSError(f'LoadSegLabel: {path} cannot be decoded.')
        if raw.ndim != 2:
            raise ValueError(
                f'LoadSegLabel: {path} has shape {raw.shape}; a label has '
                'one channel of class ids. Colour-coded labels must be '
                'converted first.')
        wrong = (raw >= self.num_ids) & (raw != 255) | (raw < 0)
        if wrong.any():
            raise ValueError(
                f'LoadSegLabel: {path} holds the label id '
                f'{np.asarray(raw)[wrong].flat[0]}; this data set has ids '
                f'0..{self.num_ids - 1}, and 255 where ignored.')
        if raw.shape != tuple(results.get('ori_shape', raw.shape)):
            raise ValueError(
                f'LoadSegLabel: image {results["img_path"]} is '
                f'{results["ori_shape"]} (after the rotation that its EXIF '
                f'tag asks for) and label {path} is {raw.shape} (H, W); '
                'they must be equal.')
        self._check_orientation(results)
        # From here on as in the stock transform, whose squeeze would lose an
        # axis of labels one pixel wide
        label = raw.astype(np.uint8)
        if results['reduce_zero_label']:
            label[label == 0] = 255
            label[label != 255] -= 1
        results['gt_seg_map'] = apply_label_map(label,
                                                results.get('label_map'))
        results['seg_fields'].append('gt_seg_map')

    @staticmethod
    def _check_orientation(results):
        """Refuse an EXIF rotation that the sizes do not prove right: whether
        the label was made before or after it cannot be told."""
        path = results.get('img_path')
        if path is None or not path.lower().endswith(EXIF_SUFFIXES):
            return
        with Image.open(path) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            square = image.size[0] == image.size[1]
        if orientation in (2, 3, 4) or (orientation != 1 and square):
            raise ValueError(
                f'LoadSegLabel: the EXIF tag of {path} asks to turn or '
                f'mirror the image (orientation {orientation}), and its '
                'size does not tell whether the label belongs to the image '
                'before or after that. Save the image without the tag, '
                'turned as the label is.')
