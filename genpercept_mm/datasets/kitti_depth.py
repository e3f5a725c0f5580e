"""KITTI's depth on the Eigen split."""
from genpercept_mm.registry import DATASETS

from .base_list_dataset import BaseListDataset


@DATASETS.register_module()
class KITTIDepthDataset(BaseListDataset):
    """KITTI frames with the depth of several LiDAR scans.

    The list has 697 lines, of which the 652 whose depth is not ``None`` are
    used. Each sample has ``depth_path`` (16-bit PNG, 1/256 m, 0 = no return);
    valid depth is between 1e-5 and 80 m. The pipeline needs
    `KITTIBenchmarkCrop` after `LoadDepth`; Eigen's evaluation mask is the
    metric's. For the arguments, see `BaseListDataset`.
    """

    NAME = 'kitti'
    DATA_ROOT = 'data/kitti'
    LABELS = ('depth', )
    LIST = 'data_split/kitti/eigen_test_files_with_gt.txt'
    FACTS = dict(
        depth_format='png', depth_scale=1 / 256, depth_range=(1e-5, 80.))
    TREE = """expected
  <data_root>/eigen_test_files_with_gt.txt
  <data_root>/2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png
  <data_root>/2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000069.png
from https://www.cvlibs.net/datasets/kitti: raw data, and the annotated depth
maps (data_prefix=dict(depth_path=...) if these lie elsewhere)"""  # noqa: E501
