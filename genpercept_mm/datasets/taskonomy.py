"""Taskonomy's depth."""
import os.path as osp

from genpercept_mm.registry import DATASETS

from .base_dense_dataset import BaseDenseDataset
from .io.file_listing import read_lines, walk_files

_IMAGE_END = '_domain_rgb.png'
_DEPTH_END = '_domain_depth_zbuffer.png'


@DATASETS.register_module()
class TaskonomyDataset(BaseDenseDataset):
    """Scanned buildings; GenPercept trains on a sample of about 50,000.

    Folders may be nested deeper, in the same way in both. Each sample has
    ``depth_path`` (16-bit PNG, 1/512 m; 65535 = none); valid depth is between
    1e-5 and 65 m. A list (``ann_file``) names one image per line, relative to
    the folder ``rgb``; without it, all images found are used. For the
    arguments, see `BaseDenseDataset`.

    Raises:
        ValueError: If a line of the list is not an image of Taskonomy.
    """

    NAME = 'taskonomy'
    LABELS = ('depth', )
    DATA_ROOT = 'data/taskonomy'
    TREE = f"""expected
  <data_root>/rgb/<building>/point_0_view_0{_IMAGE_END}
  <data_root>/depth_zbuffer/<building>/point_0_view_0{_DEPTH_END}"""

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        for image in self._images():
            stem = image[:-len(_IMAGE_END)]
            yield dict(
                sample_name=stem,
                img_path=osp.join(self.data_root, 'rgb', image),
                depth_path=osp.join(self.data_root, 'depth_zbuffer',
                                    stem + _DEPTH_END),
                depth_format='png',
                depth_scale=1 / 512,
                depth_range=(1e-5, 65.))

    def _images(self):
        if not self.ann_file:
            return [path
                    for path in walk_files(osp.join(self.data_root, 'rgb'))
                    if path.endswith(_IMAGE_END)]
        if not osp.isfile(self.ann_file):
            raise FileNotFoundError(
                f'TaskonomyDataset: the list {self.ann_file!r} does not '
                "exist; set ann_file='' to use all images.")
        lines = read_lines(self.ann_file)
        for number, line in lines:
            if not line.endswith(_IMAGE_END):
                raise ValueError(
                    f'TaskonomyDataset: line {number} of {self.ann_file} is '
                    f'{line!r}; expected <building>/point_0_view_0'
                    f'{_IMAGE_END}.')
        return [line for _, line in lines]
