"""The benchmarks of surface normals that DSINE packaged."""
import os.path as osp
import re

from genpercept_mm.registry import DATASETS
from genpercept_mm.utils.arguments import check_choice

from .base_dense_dataset import BaseDenseDataset
from .io.file_listing import walk_files

# The format of each subset's normals
SUBSETS = {
    'nyuv2': dict(normal_format='png', normal_without='black'),
    'scannet': dict(normal_format='png', normal_without='black'),
    'sintel': dict(normal_format='exr', normal_min_norm=0.5),
}
# Where a subset's folder has more than its benchmark
SPLITS = {'nyuv2': 'test/'}


@DATASETS.register_module()
class DSINENormalsDataset(BaseDenseDataset):
    """NYUv2 (654 images), ScanNet (300) or Sintel (1064) with normals.

    Each sample has ``normal_path`` (8-bit RGB, n = v / 255 x 2 - 1, black, and
    only black, = none, as in DSINE's evaluation; Sintel: float) in DSINE's
    axes (x right, y down, z forward, normals pointing away from the camera).
    All images found are listed, of NYUv2 those below ``test``. The
    ``dataset_name`` is ``dsine_nyuv2`` and so on.

    Args:
        subset (str): ``'nyuv2'``, ``'scannet'`` or ``'sintel'``.
        *args: Arguments of `BaseDenseDataset`.
        **kwargs: Likewise, by name.
    """

    LABELS = ('normal', )
    DATA_ROOT = 'data/dsine_eval'
    TREE = """expected
  <data_root>/nyuv2/test/000000_img.png and 000000_normal.png
  <data_root>/scannet/scene0001_01/001170_img.png and 001170_normal.png
  <data_root>/sintel/alley_2/frame_0001_img.png and frame_0001_normal.exr
the archive dsine_eval of the DSINE repository"""

    def __init__(self, subset, *args, **kwargs):
        check_choice(type(self).__name__, 'subset', subset, SUBSETS)
        self.subset = subset
        self.NAME = f'dsine_{subset}'
        super().__init__(*args, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        folder = osp.join(self.data_root, self.subset)
        facts = SUBSETS[self.subset]
        for path in walk_files(folder):
            match = re.fullmatch(r'(.+)_img\.(png|jpg)', path)
            # the archive of NYUv2 holds the training images too
            if match and path.startswith(SPLITS.get(self.subset, '')):
                yield dict(
                    sample_name=match[1],
                    img_path=osp.join(folder, path),
                    normal_path=osp.join(
                        folder, f'{match[1]}_normal.{facts["normal_format"]}'
                    ),
                    normal_axes='dsine',
                    **facts)
