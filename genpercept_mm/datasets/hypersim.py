"""Hypersim with NYU40 semantic labels."""
import os.path as osp

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from genpercept_mm.registry import DATASETS
from genpercept_mm.utils.nyu40 import NYU40

from .file_listing import FileListing
from .hypersim_layout import SPLIT_CSV, frame_path, read_split_csv

IMAGES = ('tonemap', 'color')

TREE = f"""expected
  <data_root>/{SPLIT_CSV}
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_final_preview/frame.IIII.tonemap.jpg
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.semantic.hdf5
To try without data: configs/mini/genpercept_upernet_mini-hypersim.py after
  python tools/dataset_converters/mini_hypersim.py"""  # noqa: E501


@DATASETS.register_module()
class HypersimDataset(BaseSegDataset):
    """Hypersim as Apple ships it, with 40 classes; no preprocessing step.

    ::

        data/hypersim
        ├── metadata_images_split_scene_v1.csv
        └── ai_001_001
            └── images
                ├── scene_cam_00_final_preview
                │   └── frame.0000.tonemap.jpg
                ├── scene_cam_00_final_hdf5
                │   └── frame.0000.color.hdf5
                └── scene_cam_00_geometry_hdf5
                    ├── frame.0000.render_entity_id.hdf5
                    └── frame.0000.semantic.hdf5

    Frames that the CSV excludes from the public release are left out: train
    59,543, val 7,386 and test 7,690 remain. Each sample has ``img_path``
    (preview JPG, or the radiance HDF5), ``seg_map_path`` (HDF5, NYU40 ids,
    -1 = unlabelled).

    Args:
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        data_root (str): Defaults to 'data/hypersim'.
        ann_file (str): The split CSV, relative to ``data_root``. Defaults
            to the official name.
        image (str): ``'tonemap'``, the preview JPG, or ``'color'``, the
            radiance, tone-mapped on the fly (needs no previews, slower).
            Defaults to 'tonemap'.
        missing (str): What to do when listed files are absent: ``'raise'``,
            or ``'skip'`` for a partial download. Defaults to 'raise'.
        **kwargs: Arguments of mmseg's ``BaseSegDataset``.

    Raises:
        FileNotFoundError: If the folder, the CSV or listed files are
            missing.
        ValueError: If an argument is outside its set.
    """

    METAINFO = dict(
        classes=tuple(name for name, _ in NYU40),
        palette=[list(color) for _, color in NYU40])

    def __init__(self,
                 split,
                 data_root='data/hypersim',
                 ann_file=SPLIT_CSV,
                 image='tonemap',
                 missing='raise',
                 **kwargs):
        if image not in IMAGES:
            raise ValueError(f'HypersimDataset: image must be one of {IMAGES}'
                             f', got {image!r}.')
        if missing not in ('raise', 'skip'):
            raise ValueError("HypersimDataset: missing must be 'raise' or "
                             f"'skip', got {missing!r}.")
        self.split, self.image, self.missing = split, image, missing
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            reduce_zero_label=False,
            **kwargs)

    def load_data_list(self):
        """List the frames of the split and check that their files exist.

        Returns:
            list[dict]: One entry per frame.
        """
        if not osp.isdir(self.data_root):
            raise FileNotFoundError(
                f'HypersimDataset: data_root {self.data_root!r} does not '
                f'exist; {TREE}')
        frames = read_split_csv(self.ann_file, self.split)
        samples, absent, listing = [], [], FileListing()
        for frame in frames:
            paths = [frame_path(self.data_root, *frame, kind)
                     for kind in (self.image, 'semantic')]
            lacking = [path for path in paths if not listing.exists(path)]
            if lacking:
                absent.append((frame, lacking[0]))
                continue
            samples.append(
                dict(
                    img_path=paths[0],
                    seg_map_path=paths[1],
                    label_map=self.label_map,
                    reduce_zero_label=self.reduce_zero_label,
                    seg_fields=[]))
        if absent and (self.missing == 'raise' or not samples):
            frame, path = absent[0]
            raise FileNotFoundError(
                f'HypersimDataset: {len(absent)} of {len(frames)} '
                f'{self.split} frames lack files; the first is scene '
                f'{frame.scene}, camera {frame.camera}, frame {frame.frame}: '
                f"{path}. Set missing='skip' to use the others, or image="
                f"'color' if only the HDF5 files were downloaded; {TREE}")
        if absent:
            print_log(
                f'HypersimDataset: skips {len(absent)} of {len(frames)} '
                f'{self.split} frames whose files are missing',
                logger='current')
        return samples
