"""DIODE's depth."""
from genpercept_mm.registry import DATASETS

from .base_list_dataset import BaseListDataset


@DATASETS.register_module()
class DIODEDataset(BaseListDataset):
    """DIODE's 771 validation frames: 325 indoors, 446 outdoors.

    Each sample has ``depth_path`` (float metres, (H, W, 1)) and
    ``depth_mask_path``, which alone decides validity. For the arguments, see
    `BaseListDataset`.
    """

    NAME = 'diode'
    DATA_ROOT = 'data/diode'
    LABELS = ('depth', )
    COLUMNS = ('img_path', 'depth_path', 'depth_mask_path')
    LIST = 'data_split/diode/diode_val_all_filename_list.txt'
    FACTS = dict(depth_format='npy')
    TREE = """expected
  <data_root>/diode_val_all_filename_list.txt
  <data_root>/indoors/scene_00021/scan_00189/00021_00189_indoors_200_010.png
  <data_root>/indoors/scene_00021/scan_00189/00021_00189_indoors_200_010_depth.npy
  <data_root>/indoors/scene_00021/scan_00189/00021_00189_indoors_200_010_depth_mask.npy
the folder val of https://diode-dataset.org"""  # noqa: E501
