"""The crop of KITTI's depth benchmark."""
from mmcv.transforms import BaseTransform

from genpercept_mm.registry import TRANSFORMS

CROP_SIZE = (352, 1216)


@TRANSFORMS.register_module()
class KITTIBenchmarkCrop(BaseTransform):
    """Crop image and labels to 352 x 1216, bottom centre.

    KITTI and Virtual KITTI are trained and evaluated on this part, so the crop
    counts as the original size. Put it after the loaders and before any
    resizing or flip.

    Required and modified keys: ``img``, the maps of ``seg_fields``. Modified
    keys: ``img_shape``, ``ori_shape``. Added keys: ``crop_box`` (tuple[int]),
    (top, bottom, left, right) in the file.

    Raises:
        ValueError: If the image is smaller than the crop, or a map has
            another size than the image.
    """

    def transform(self, results):
        """Crop one sample."""
        height, width = results['img'].shape[:2]
        if height < CROP_SIZE[0] or width < CROP_SIZE[1]:
            raise ValueError(
                f'KITTIBenchmarkCrop: {results.get("img_path")} is {height} x'
                f' {width}, smaller than the crop of 352 x 1216; use it on '
                'KITTI and Virtual KITTI only, before any resizing.')
        top = height - CROP_SIZE[0]
        left = int((width - CROP_SIZE[1]) / 2)
        window = (slice(top, top + CROP_SIZE[0]),
                  slice(left, left + CROP_SIZE[1]))
        for key in ('img', *results.get('seg_fields', ())):
            if results[key].shape[:2] != (height, width):
                raise ValueError(
                    f'KITTIBenchmarkCrop: {key} of '
                    f'{results.get("img_path")} is '
                    f'{results[key].shape[:2]}, the image {height, width}; '
                    'put the crop before transforms that resize.')
            # a copy, so that the whole map is not kept alive
            results[key] = results[key][window].copy()
        results['img_shape'] = results['ori_shape'] = CROP_SIZE
        results['crop_box'] = (top, top + CROP_SIZE[0], left,
                               left + CROP_SIZE[1])
        return results
