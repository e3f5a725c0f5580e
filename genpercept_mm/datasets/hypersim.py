"""Hypersim with depth, normals and NYU40 semantic labels."""
import os.path as osp

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from genpercept_mm.registry import DATASETS
from genpercept_mm.utils.nyu40 import NYU40

from .base_dense_dataset import BaseDenseDataset
from .io.hypersim_io import (
    CAMERA_CSV,
    SPLIT_CSV,
    describe_frame,
    frame_name,
    frame_path,
    read_cameras,
    read_split_csv,
)

# Below data_root; the second is where ml-hypersim keeps it
CAMERA_PLACES = (CAMERA_CSV,
                 osp.join('contrib', 'mikeroberts3000', CAMERA_CSV))


@DATASETS.register_module()
class HypersimDataset(BaseDenseDataset, BaseSegDataset):
    """Hypersim as Apple ships it; no preprocessing step.

    Frames that the CSV excludes from the public release are left out, which
    leaves 59,543 for train, 7,386 for val and 7,690 for test. Images load with
    `LoadHypersimImage`.

    Without ``labels``, this is a data set of mmseg with 40 classes, for
    mmseg's metrics: each sample has ``img_path`` and ``seg_map_path`` (HDF5,
    NYU40 ids, -1 = unlabelled; for `LoadHypersimSemantic`), and the meta
    information names the classes.

    With ``labels``, samples are those of `BaseDenseDataset`. Depending on the
    labels they have ``depth_path`` (distance, which `LoadDepth` turns into
    planar depth; valid between 1e-5 and 65 m), ``normal_path`` (for
    `LoadNormal`) and ``seg_map_path``; also ``camera_from_uv`` of their scene,
    and ``entity_path`` if that file exists.

    Args:
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        data_root (str): See `BaseDenseDataset`. Defaults to 'data/hypersim'.
        ann_file (str): The split CSV, absolute or relative to ``data_root``.
            Defaults to the official name.
        image (str): ``'tonemap'``, the preview JPG, or ``'color'``, the
            radiance, tone-mapped while loading (slower, but without previews).
            Defaults to 'tonemap'.
        missing (str): See `BaseDenseDataset`. Defaults to 'raise'.
        labels (str | Sequence[str], optional): From ``'depth'``, ``'normal'``
            and ``'seg'``; None for class maps for mmseg.
        normal (str): ``'normal_cam'``, the normals of the geometry, or
            ``'normal_bump_cam'``, with bump maps. Defaults to 'normal_cam'.
        camera_file (str, optional): The cameras' CSV, absolute or relative to
            ``data_root``. None looks in ``data_root`` and
            ``contrib/mikeroberts3000``; without it, all scenes get the
            standard camera.
        **kwargs: Arguments of `BaseDenseDataset`, or without ``labels`` of
            mmseg's ``BaseSegDataset``.

    Raises:
        ValueError: If the cameras' CSV lacks a scene.
    """

    METAINFO = dict(
        classes=tuple(name for name, _ in NYU40),
        palette=[list(color) for _, color in NYU40],
        # class 0 is 1 in files
        first_id=1)
    NAME = 'hypersim'
    LABELS = ('depth', 'normal', 'seg')
    TREE = f"""expected
  <data_root>/{SPLIT_CSV}
  <data_root>/{CAMERA_CSV}
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_final_preview/frame.IIII.tonemap.jpg
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.depth_meters.hdf5
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.normal_cam.hdf5
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.render_entity_id.hdf5
  <data_root>/ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.semantic.hdf5
image='color' reads the radiance (scene_cam_XX_final_hdf5) instead of previews.
To try without data: configs/mini/genpercept_upernet_mini-hypersim.py after
  python tools/dataset_converters/miniworld.py rooms"""  # noqa: E501

    def __init__(self, split, data_root='data/hypersim', ann_file=SPLIT_CSV,
                 image='tonemap', missing='raise', labels=None,
                 normal='normal_cam', camera_file=None, **kwargs):
        self._choices('image', [image], ('tonemap', 'color'))
        self._choices('normal', [normal], ('normal_cam', 'normal_bump_cam'))
        self.split, self.image, self.normal = split, image, normal
        self.camera_file = camera_file
        self.for_mmseg = labels is None
        if self.for_mmseg:
            # label -1 is the ignored one
            self._HOST, self._UNUSED = BaseSegDataset, {'reduce_zero_label'}
            labels = 'seg'
        super().__init__(labels, data_root, ann_file, missing, **kwargs)

    def _load_metainfo(self, metainfo=None):
        if self.for_mmseg:
            return super()._load_metainfo(metainfo)
        # sets with dense labels have none of their own
        return BaseDenseDataset._load_metainfo(metainfo)

    def load_data_list(self):
        """See `BaseDenseDataset.load_data_list`."""
        samples = super().load_data_list()
        if self.for_mmseg:
            for sample in samples:
                del sample['dataset_name'], sample['sample_name']
                sample['label_map'] = self.label_map
        return samples

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        cameras = None if self.for_mmseg else self._cameras()
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
            if not self.for_mmseg and listing.exists(entity):
                sample['entity_path'] = entity
            if cameras is not None:
                if frame.scene not in cameras:
                    raise ValueError(
                        f'{type(self).__name__}: the camera file has no row '
                        f'for scene {frame.scene}; copy the complete '
                        f'{CAMERA_CSV}, or remove the file to use the '
                        'standard camera for all scenes.')
                sample['camera_from_uv'] = cameras[frame.scene]
            yield sample

    def describe(self, path):
        """See `BaseDenseDataset.describe`."""
        return f'{describe_frame(path)}: {path}'

    def prepare_data(self, idx):
        """See `BaseDenseDataset.prepare_data`; without ``labels``, see
        mmengine's ``BaseDataset.prepare_data``."""
        host = BaseSegDataset if self.for_mmseg else BaseDenseDataset
        return host.prepare_data(self, idx)

    def _path(self, frame, kind):
        return frame_path(self.data_root, *frame, kind)

    def _cameras(self):
        places = [self.camera_file] if self.camera_file else CAMERA_PLACES
        for place in places:
            path = osp.join(self.data_root, place)
            if osp.isfile(path):
                return read_cameras(path)
        if self.camera_file:
            raise FileNotFoundError(
                f'{type(self).__name__}: camera_file {path!r} does not exist;'
                f' it is contrib/mikeroberts3000/{CAMERA_CSV} of the '
                'ml-hypersim repository.')
        if {'depth', 'normal'} & set(self.labels):
            print_log(
                f'{type(self).__name__}: {self.data_root} has no {CAMERA_CSV}'
                ' (contrib/mikeroberts3000 of ml-hypersim); the standard '
                'camera is used for all scenes, which is inexact for those '
                'that are tilted or shifted.',
                logger='current')
        return None


@DATASETS.register_module()
class HypersimDenseDataset(HypersimDataset):
    """`HypersimDataset` whose ``labels`` default to ``'depth'``."""

    def __init__(self, split, labels='depth', data_root='data/hypersim',
                 ann_file=SPLIT_CSV, image='tonemap', **kwargs):
        super().__init__(split, data_root, ann_file, image,
                         labels=labels or 'depth', **kwargs)
