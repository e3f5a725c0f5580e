"""NYUv2's depth, labelled part."""
from genpercept_mm.registry import DATASETS

from .base_list_dataset import BaseListDataset


@DATASETS.register_module()
class NYUDepthDataset(BaseListDataset):
    """NYUv2's 654 labelled test frames (or 795 for training).

    Each sample has ``depth_path`` (raw Kinect depth, 16-bit PNG, mm, 0 =
    none); valid depth is between 1e-3 and 10 m. The list's third column, the
    filled depth, is not used. Eigen's evaluation mask is the metric's. For the
    arguments, see `BaseListDataset`.
    """

    NAME = 'nyuv2'
    DATA_ROOT = 'data/nyuv2'
    LABELS = ('depth', )
    LIST = 'data_split/nyu/labeled/filename_list_test.txt'
    FACTS = dict(
        depth_format='png', depth_scale=1 / 1000, depth_range=(1e-3, 10.))
    TREE = """expected
  <data_root>/filename_list_test.txt
  <data_root>/test/kitchen_0004/rgb_0001.png
  <data_root>/test/kitchen_0004/depth_0001.png
as Marigold's evaluation archive nyu_labeled_extracted.tar holds them"""
