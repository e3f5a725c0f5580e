"""DIS5K, dichotomous segmentation."""
import os.path as osp

from genpercept_mm.registry import DATASETS

from .base_dense_dataset import BaseDenseDataset

SUBSETS = ('DIS-TR', 'DIS-VD', 'DIS-TE1', 'DIS-TE2', 'DIS-TE3', 'DIS-TE4')


@DATASETS.register_module()
class DIS5KDataset(BaseDenseDataset):
    """Photographs with fine masks of their main object.

    3000 images for training (TR), 470 for validation (VD), 500 in each of
    TE1 to TE4, which grow more complex. Each sample has ``alpha_path``
    (8-bit grey); its ``dataset_name`` is the subset.

    Args:
        subset (str | Sequence[str]): From ``SUBSETS``; several are joined.
            Defaults to 'DIS-TR'.
        *args: Arguments of `BaseDenseDataset`.
        **kwargs: Likewise, by name.
    """

    LABELS = ('alpha', )
    DATA_ROOT = 'data/DIS5K'
    # the publishers' loaders do not turn images
    IGNORE_ORIENTATION = True
    TREE = """expected
  <data_root>/DIS-TR/im/<name>.jpg
  <data_root>/DIS-TR/gt/<name>.png
and likewise for DIS-VD and DIS-TE1 to DIS-TE4"""

    def __init__(self, subset='DIS-TR', *args, **kwargs):
        self.subsets = self._choices('subset', subset, SUBSETS)
        super().__init__(*args, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        for subset in self.subsets:
            folder = osp.join(self.data_root, subset)
            images = osp.join(folder, 'im')
            if not listing.images(images):
                raise FileNotFoundError(
                    f'DIS5KDataset: no images in {images}; {self.TREE}')
            for sample in listing.with_alpha(images, osp.join(folder, 'gt')):
                yield dict(sample, dataset_name=subset)
