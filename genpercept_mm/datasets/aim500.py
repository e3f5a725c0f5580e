"""AIM-500, matting of natural images."""
import os.path as osp

from genpercept_mm.registry import DATASETS

from .base_dense_dataset import BaseDenseDataset


@DATASETS.register_module()
class AIM500Dataset(BaseDenseDataset):
    """500 photographs with mattes of people, animals, plants and things.

    ::

        data/AIM-500
        ├── original/<name>.jpg
        └── mask/<name>.png

    For evaluation only. Each sample has ``alpha_path`` (8-bit grey).

    For the arguments, see `BaseDenseDataset`.
    """

    NAME = 'aim500'
    LABELS = ('alpha', )
    TREE = """expected
  <data_root>/original/<name>.jpg
  <data_root>/mask/<name>.png"""

    def __init__(self, labels=None, data_root='data/AIM-500', **kwargs):
        super().__init__(labels=labels, data_root=data_root, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        folder = osp.join(self.data_root, 'original')
        for name in listing.images(folder):
            stem = osp.splitext(name)[0]
            yield dict(
                sample_name=stem,
                img_path=osp.join(folder, name),
                alpha_path=osp.join(self.data_root, 'mask', stem + '.png'))
