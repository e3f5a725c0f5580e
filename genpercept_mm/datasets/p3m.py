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

    ::

        data/P3M-10k
        ├── train/{blurred_image/<name>.jpg, mask/<name>.png}
        └── validation
            ├── P3M-500-P/{blurred_image/<name>.jpg, mask/<name>.png}
            └── P3M-500-NP/{original_image/<name>.jpg, mask/<name>.png}

    Each sample has ``alpha_path`` (8-bit grey). The ``dataset_name`` is the
    subset, or ``P3M-10k`` for training.

    Args:
        subset (str): ``'train'``, ``'P3M-500-P'`` (blurred faces) or
            ``'P3M-500-NP'``. Defaults to 'train'.
        labels (str | Sequence[str], optional): Only ``'alpha'``. Defaults
            to None, which means the same.
        data_root (str): Defaults to 'data/P3M-10k'.
        **kwargs: Arguments of `BaseDenseDataset`.

    Raises:
        FileNotFoundError: If a folder or files do not exist.
        ValueError: If an argument is outside its set.
    """

    LABELS = ('alpha', )
    TREE = """expected
  <data_root>/train/blurred_image/<name>.jpg and train/mask/<name>.png
  <data_root>/validation/P3M-500-P/blurred_image/<name>.jpg, .../mask/<name>.png
  <data_root>/validation/P3M-500-NP/original_image/<name>.jpg, .../mask/<name>.png"""  # noqa: E501

    def __init__(self,
                 subset='train',
                 labels=None,
                 data_root='data/P3M-10k',
                 **kwargs):
        check_choice(type(self).__name__, 'subset', subset, SUBSETS)
        self.subset = subset
        self.NAME = 'P3M-10k' if subset == 'train' else subset
        super().__init__(labels=labels, data_root=data_root, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        inner, images = SUBSETS[self.subset]
        folder = osp.join(self.data_root, inner)
        for name in listing.images(osp.join(folder, images)):
            stem = osp.splitext(name)[0]
            yield dict(
                sample_name=stem,
                img_path=osp.join(folder, images, name),
                alpha_path=osp.join(folder, 'mask', stem + '.png'))
