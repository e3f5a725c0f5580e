"""DIS5K, dichotomous segmentation."""
import os.path as osp

from genpercept_mm.registry import DATASETS
from genpercept_mm.utils.arguments import check_choice

from .base_dense_dataset import BaseDenseDataset

SUBSETS = ('DIS-TR', 'DIS-VD', 'DIS-TE1', 'DIS-TE2', 'DIS-TE3', 'DIS-TE4')


@DATASETS.register_module()
class DIS5KDataset(BaseDenseDataset):
    """Photographs with fine masks of their main object.

    ::

        data/DIS5K
        └── DIS-TR
            ├── im/<name>.jpg
            └── gt/<name>.png

    3000 images for training (TR), 470 for validation (VD), 500 in each of
    TE1 to TE4, which grow more complex. Each sample has ``alpha_path``
    (8-bit grey); its ``dataset_name`` is the subset.

    Args:
        subset (str | Sequence[str]): From ``SUBSETS``; several are joined.
            Defaults to 'DIS-TR'.
        labels (str | Sequence[str], optional): Only ``'alpha'``. Defaults
            to None, which means the same.
        data_root (str): Defaults to 'data/DIS5K'.
        **kwargs: Arguments of `BaseDenseDataset`.

    Raises:
        FileNotFoundError: If a folder or files do not exist.
        ValueError: If an argument is outside its set.
    """

    LABELS = ('alpha', )
    TREE = """expected
  <data_root>/DIS-TR/im/<name>.jpg
  <data_root>/DIS-TR/gt/<name>.png
and likewise for DIS-VD and DIS-TE1 to DIS-TE4"""

    def __init__(self,
                 subset='DIS-TR',
                 labels=None,
                 data_root='data/DIS5K',
                 **kwargs):
        self.subsets = ((subset, ) if isinstance(subset, str)
                        else tuple(subset))
        for name in self.subsets:
            check_choice(type(self).__name__, 'subset', name, SUBSETS)
        super().__init__(labels=labels, data_root=data_root, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        for subset in self.subsets:
            folder = osp.join(self.data_root, subset)
            names = listing.images(osp.join(folder, 'im'))
            if not names:
                raise FileNotFoundError(
                    f'DIS5KDataset: no images in {folder}/im; {self.TREE}')
            for name in names:
                stem = osp.splitext(name)[0]
                yield dict(
                    dataset_name=subset,
                    sample_name=stem,
                    img_path=osp.join(folder, 'im', name),
                    alpha_path=osp.join(folder, 'gt', stem + '.png'))
