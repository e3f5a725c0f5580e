"""Cityscapes' depth from stereo."""
import os.path as osp

from genpercept_mm.registry import DATASETS

from .base_dense_dataset import BaseDenseDataset

SPLITS = ('train', 'train_extra', 'val', 'test')
_IMAGE_END = '_leftImg8bit.png'


@DATASETS.register_module()
class CityscapesDepthDataset(BaseDenseDataset):
    """Cityscapes with depth that is computed from disparity while loading.

    Each sample has ``depth_path`` (the stereo disparity, 16-bit PNG) and
    ``camera_path``; valid depth is between 1e-5 and 80 m.

    Args:
        splits (str | Sequence[str]): From ``'train'`` (2,975 images),
            ``'train_extra'`` (19,998), ``'val'`` (500) and ``'test'`` (1,525).
            Defaults to 'train'.
        *args: Arguments of `BaseDenseDataset`.
        **kwargs: Likewise, by name.
    """

    NAME = 'cityscapes'
    LABELS = ('depth', )
    DATA_ROOT = 'data/cityscapes'
    TREE = f"""expected
  <data_root>/leftImg8bit/train/aachen/aachen_000000_000019{_IMAGE_END}
  <data_root>/disparity/train/aachen/aachen_000000_000019_disparity.png
  <data_root>/camera/train/aachen/aachen_000000_000019_camera.json
from https://www.cityscapes-dataset.com: leftImg8bit, disparity and camera"""

    def __init__(self, splits='train', *args, **kwargs):
        self.splits = self._choices('splits', splits, SPLITS)
        super().__init__(*args, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        for split in self.splits:
            folder = osp.join(self.data_root, 'leftImg8bit', split)
            cities = sorted(listing.names(folder))
            if not cities:
                raise FileNotFoundError(
                    f'CityscapesDepthDataset: {folder} is missing or empty; '
                    f'{self.TREE}')
            for city in cities:
                for name in listing.images(osp.join(folder, city)):
                    if name.endswith(_IMAGE_END):
                        yield self._sample(
                            f'{split}/{city}/{name[:-len(_IMAGE_END)]}')

    def _sample(self, name):

        def path(kind, end):
            return osp.join(self.data_root, kind, name + end)

        return dict(
            sample_name=name,
            img_path=path('leftImg8bit', _IMAGE_END),
            depth_path=path('disparity', '_disparity.png'),
            camera_path=path('camera', '_camera.json'),
            depth_format='cityscapes_disparity',
            depth_range=(1e-5, 80.))
