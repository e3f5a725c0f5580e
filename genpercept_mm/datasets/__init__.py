from .ade20k_nyu40 import ADE20KNYU40Dataset
from .aim500 import AIM500Dataset
from .base_dense_dataset import BaseDenseDataset
from .base_list_dataset import BaseListDataset
from .cityscapes_depth import CityscapesDepthDataset
from .diode import DIODEDataset
from .dis5k import DIS5KDataset
from .dsine_normals import DSINENormalsDataset
from .eth3d import ETH3DDataset
from .folder_pairs import FolderPairsDataset
from .hypersim import HypersimDataset, HypersimDenseDataset
from .kitti_depth import KITTIDepthDataset
from .nyu_depth import NYUDepthDataset
from .p3m import P3MDataset
from .scannet_depth import ScanNetDepthDataset
from .taskonomy import TaskonomyDataset
from .transforms import *  # noqa: F401, F403
from .virtual_kitti_2 import VirtualKITTI2Dataset

__all__ = [
    'ADE20KNYU40Dataset', 'AIM500Dataset', 'BaseDenseDataset',
    'BaseListDataset', 'CityscapesDepthDataset', 'DIODEDataset',
    'DIS5KDataset', 'DSINENormalsDataset', 'ETH3DDataset',
    'FolderPairsDataset', 'HypersimDataset', 'HypersimDenseDataset',
    'KITTIDepthDataset', 'NYUDepthDataset', 'P3MDataset',
    'ScanNetDepthDataset', 'TaskonomyDataset', 'VirtualKITTI2Dataset'
]
