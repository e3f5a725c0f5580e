"""P3M-10k, portrait matting."""
import os.path as osp

from genpercept_mm.registry import DATASETS
from genpercept_mm.utils.arguments import check_choice

from .base_dense_dataset import BaseDenseDataset

# Folder of a subset and of its images; only in the last, faces are visible
SUBSETS = {
    'train': ('train', 'blurred_image'),
    'P3M-500-P': ('validation/P3M-500-P', 'blurred_image'),
    'P3M-500-NP': ('validation/P3M-500-NP', 'original_image'),
}


@DATASETS.register_module()
class P3MDataset(BaseDenseDataset):
    """Portraits with mattes: 9,421 for training, 500 in each test set.

    Each sample has ``alpha_path`` (8-bit grey). The ``dataset_name`` is the
    subset, or ``P3M-10k`` for training.

    Args:
        subset (str): ``'train'``, ``'P3M-500-P'`` (blurred faces) or
            ``'P3M-500-NP'``. Defaults to 'train'.
        *args: Arguments of `BaseDenseDataset`.
        **kwargs: Likewise, by name.
    """

    LABELS = ('alpha', )
    DATA_ROOT = 'data/P3M-10k'
    # the publishers' loaders do not turn images
    IGNORE_ORIENTATION = True
    TREE = """expected
  <data_root>/train/blurred_image/<name>.jpg and train/mask/<name>.png
  <data_root>/validation/P3M-500-P/blurred_image/<name>.jpg, .../mask/<name>.png
  <data_root>/validation/P3M-500-NP/original_image/<name>.jpg, .../mask/<name>.png"""  # noqa: E501

    def __init__(self, subset='train', *args, **kwargs):
        check_choice(type(self).__name__, 'subset', subset, SUBSETS)
        self.subset = subset
        self.NAME = 'P3M-10k' if subset == 'train' else subset
        super().__init__(*args, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        inner, images = SUBSETS[self.subset]
        folder = osp.join(self.data_root, inner)
        return listing.with_alpha(
            osp.join(folder, images), osp.join(folder, 'mask'))
