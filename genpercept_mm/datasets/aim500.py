"""AIM-500, matting of natural images."""
import os.path as osp

from genpercept_mm.registry import DATASETS

from .base_dense_dataset import BaseDenseDataset


@DATASETS.register_module()
class AIM500Dataset(BaseDenseDataset):
    """500 photographs with mattes of people, animals, plants and things.

    For evaluation only. Each sample has ``alpha_path`` (8-bit grey). For
    the arguments, see `BaseDenseDataset`.
    """

    NAME = 'aim500'
    LABELS = ('alpha', )
    DATA_ROOT = 'data/AIM-500'
    LIST = None
    # the publishers' loaders do not turn images
    IGNORE_ORIENTATION = True
    TREE = """expected
  <data_root>/original/<name>.jpg
  <data_root>/mask/<name>.png"""

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        return listing.with_alpha(osp.join(self.data_root, 'original'),
                                  osp.join(self.data_root, 'mask'))
