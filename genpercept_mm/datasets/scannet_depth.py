"""ScanNet's depth, the 800 frames of affine-invariant evaluation."""
from genpercept_mm.registry import DATASETS

from .base_list_dataset import BaseListDataset


@DATASETS.register_module()
class ScanNetDepthDataset(BaseListDataset):
    """800 validation frames of ScanNet.

    Colour frames must have the size of the depth frames. Each sample has
    ``depth_path`` (16-bit PNG, mm, 0 = none); valid depth is between 1e-3 and
    10 m. For the arguments, see `BaseListDataset`.
    """

    NAME = 'scannet'
    DATA_ROOT = 'data/scannet'
    LABELS = ('depth', )
    LIST = 'data_split/scannet/scannet_val_sampled_list_800_1.txt'
    FACTS = dict(
        depth_format='png', depth_scale=1 / 1000, depth_range=(1e-3, 10.))
    TREE = """expected
  <data_root>/scannet_val_sampled_list_800_1.txt
  <data_root>/scene0406_02/color/000300.jpg
  <data_root>/scene0406_02/depth/000300.png
as ScanNet's extraction tool writes them, colour resized to 640 x 480"""
