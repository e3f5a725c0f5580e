"""Hypersim with depth, normals and classes."""
import os.path as osp

from mmengine.logging import print_log

from genpercept_mm.registry import DATASETS

from .base_dense_dataset import BaseDenseDataset
from .hypersim_cameras import CAMERA_CSV, read_cameras
from .hypersim_layout import (
    SPLIT_CSV,
    frame_name,
    frame_path,
    read_split_csv,
)

IMAGES = ('tonemap', 'color')
NORMALS = ('normal_cam', 'normal_bump_cam')
# Below data_root; the second is where ml-hypersim keeps it
CAMERA_PLACES = (CAMERA_CSV,
                 osp.join('contrib', 'mikeroberts3000', CAMERA_CSV))


@DATASETS.register_module()
class HypersimDenseDataset(BaseDenseDataset):
    """Hypersim as Apple ships it, for depth, normals or coloured classes.

    ::

        data/hypersim
        ├── metadata_images_split_scene_v1.csv
        ├── metadata_camera_parameters.csv
        └── ai_001_001
            └── images
                ├── scene_cam_00_final_preview
                │   └── frame.0000.tonemap.jpg
                ├── scene_cam_00_final_hdf5
                │   └── frame.0000.color.hdf5
                └── scene_cam_00_geometry_hdf5
                    ├── frame.0000.depth_meters.hdf5
                    ├── frame.0000.normal_cam.hdf5
                    ├── frame.0000.render_entity_id.hdf5
                    └── frame.0000.semantic.hdf5

    Frames that the CSV excludes from the public release are left out: train
    59,543, val 7,386 and test 7,690 remain. Samples have ``depth_path``
    (distance, which `LoadDepth` turns into planar depth; valid between 1e-5
    and 65 m), ``normal_path`` (for `LoadNormal`), ``seg_map_path`` (for
    `LoadHypersimSemantic`), ``camera_from_uv`` of their scene, and
    ``entity_path`` where that file is present. Images load with
    `LoadHypersimImage`.

    Args:
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        labels (str | Sequence[str], optional): Of ``'depth'``,
            ``'normal'`` and ``'seg'``. Defaults to None (``'depth'``).
        data_root (str): Defaults to 'data/hypersim'.
        ann_file (str): The split CSV, relative to ``data_root``. Defaults
            to the official name.
        image (str): ``'tonemap'``, the preview JPG, or ``'color'``, the
            radiance, tone-mapped on the fly. Defaults to 'tonemap'.
        normal (str): ``'normal_cam'``, of the geometry, or
            ``'normal_bump_cam'``, with bump maps. Defaults to 'normal_cam'.
        camera_file (str, optional): The cameras' CSV, absolute or relative
            to ``data_root``. Defaults to None (looked for in ``data_root``
            and ``contrib/mikeroberts3000``; without it all scenes get the
            standard camera).
        **kwargs: Arguments of `BaseDenseDataset`.

    Raises:
        FileNotFoundError: If the folder, a CSV or listed files are missing.
        ValueError: If an argument is outside its set, or a scene has no
            camera.
    """

    NAME = 'hypersim'
    LABELS = ('depth', 'normal', 'seg')
    TREE = f"""expected
  <data_root>/{SPLIT_CSV}
  <data_root>/{CAMERA_CSV}
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_final_preview/frame.IIII.tonemap.jpg
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.depth_meters.hdf5
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.normal_cam.hdf5
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.render_entity_id.hdf5
image='color' reads the radiance (scene_cam_XX_final_hdf5) instead of previews.
To try without data: python tools/dataset_converters/mini_hypersim.py"""  # noqa: E501

    def __init__(self,
                 split,
                 labels=None,
                 data_root='data/hypersim',
                 ann_file=SPLIT_CSV,
                 image='tonemap',
                 normal='normal_cam',
                 camera_file=None,
                 **kwargs):
        self.check_choice('image', image, IMAGES)
        self.check_choice('normal', normal, NORMALS)
        self.split, self.image, self.normal = split, image, normal
        self.camera_file = camera_file
        super().__init__(
            labels=labels, data_root=data_root, ann_file=ann_file, **kwargs)

    def list_samples(self, listing):
        """Name the frames of the split.

        Args:
            listing (FileListing): Tells whether a frame has entity ids.

        Yields:
            dict: ``sample_name``, paths and facts of the formats.
        """
        cameras = self._cameras()
        for frame in read_split_csv(self.ann_file, self.split):
            sample = dict(img_path=self._path(frame, self.image))
            sample['sample_name'] = frame_name(sample['img_path'])
            if 'depth' in self.labels:
                sample.update(
                    depth_path=self._path(frame, 'depth_meters'),
                    depth_format='hypersim',
                    depth_range=(1e-5, 65.))
            if 'normal' in self.labels:
                sample.update(
                    normal_path=self._path(frame, self.normal),
                    normal_format='hypersim',
                    normal_axes='genpercept')
            if 'seg' in self.labels:
                sample['seg_map_path'] = self._path(frame, 'semantic')
            entity = self._path(frame, 'render_entity_id')
            if listing.exists(entity):
                sample['entity_path'] = entity
            if cameras is not None:
                if frame.scene not in cameras:
                    raise ValueError(
                        f'HypersimDenseDataset: the camera file has no row '
                        f'for scene {frame.scene}; copy the complete '
                        f'{CAMERA_CSV}, or remove the file to use the '
                        'standard camera for all scenes.')
                sample['camera_from_uv'] = cameras[frame.scene]
            yield sample

    def _path(self, frame, kind):
        return frame_path(self.data_root, *frame, kind)

    def _cameras(self):
        places = ([self.camera_file] if self.camera_file else CAMERA_PLACES)
        for place in places:
            path = osp.join(self.data_root, place)
            if osp.isfile(path):
                return read_cameras(path)
        if self.camera_file:
            raise FileNotFoundError(
                f'HypersimDenseDataset: camera_file {path!r} does not exist; '
                'it is contrib/mikeroberts3000/' + CAMERA_CSV +
                ' of the ml-hypersim repository.')
        if {'depth', 'normal'} & set(self.labels):
            print_log(
                f'HypersimDenseDataset: {self.data_root} has no {CAMERA_CSV} '
                '(contrib/mikeroberts3000 of ml-hypersim); takes the '
                'standard camera for all scenes, which is inexact for those '
                'that are tilted or shifted.',
                logger='current')
        return None
