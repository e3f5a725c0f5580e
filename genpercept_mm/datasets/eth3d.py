"""ETH3D's depth."""
from genpercept_mm.registry import DATASETS

from .base_list_dataset import BaseListDataset


@DATASETS.register_module()
class ETH3DDataset(BaseListDataset):
    """454 photographs of ETH3D's 13 training scenes, 4032 x 6048.

    Each sample has ``depth_path`` (float32 rows in metres without header,
    whatever the suffix says; +inf = none); valid depth is above 1e-5 m. The
    image must be loaded before the depth, for its size. For the arguments, see
    `BaseListDataset`.
    """

    NAME = 'eth3d'
    DATA_ROOT = 'data/eth3d'
    LABELS = ('depth', )
    LIST = 'data_split/eth3d/eth3d_filename_list.txt'
    FACTS = dict(
        depth_format='eth3d',
        depth_range=(1e-5, float('inf')),
        depth_shape=(4032, 6048))
    # the publishers' loaders do not turn images
    IGNORE_ORIENTATION = True
    TREE = """expected
  <data_root>/eth3d_filename_list.txt
  <data_root>/rgb/office/images/dslr_images/DSC_0219.JPG
  <data_root>/depth/office_dslr_depth/office/ground_truth_depth/dslr_images/DSC_0219.JPG
from https://www.eth3d.net/datasets: <scene>_dslr_jpg.7z extracted to rgb,
<scene>_dslr_depth.7z to depth/<scene>_dslr_depth"""  # noqa: E501
