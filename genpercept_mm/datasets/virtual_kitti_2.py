"""Virtual KITTI 2."""
import os.path as osp
from itertools import product

from genpercept_mm.registry import DATASETS

from .base_dense_dataset import BaseDenseDataset

SCENES = ('Scene01', 'Scene02', 'Scene06', 'Scene18', 'Scene20')
CONDITIONS = ('clone', 'fog', 'morning', 'overcast', 'rain', 'sunset',
              '15-deg-left', '15-deg-right', '30-deg-left', '30-deg-right')
# fx, fy, cx, cy in pixels of 375 x 1242
INTRINSICS = (725.0087, 725.0087, 620.5, 187.)


@DATASETS.register_module()
class VirtualKITTI2Dataset(BaseDenseDataset):
    """Rendered street scenes: 42,520 images of 375 x 1242.

    Without the folders ``rgb`` and ``depth``, the scenes of both archives are
    expected in ``data_root``. Each sample has ``depth_path`` (16-bit PNG, cm,
    planar; sky 65535); valid depth is between 1e-5 and 80 m. Normals are
    derived from depth, because those that GenPercept used are not published.
    The pipeline needs `KITTIBenchmarkCrop` after the loaders.

    Args:
        labels (str | Sequence[str], optional): From ``'depth'`` and
            ``'normal'``; None takes ``'depth'``.
        data_root (str, optional): See `BaseDenseDataset`.
        scenes (Sequence[str], optional): From ``SCENES``; None takes all five.
            Marigold trains without ``'Scene01'``.
        conditions (Sequence[str], optional): From ``CONDITIONS``; None takes
            all ten. Marigold leaves out fog, rain and 30 degrees.
        cameras (Sequence[int]): 0 (left) and 1 (right). Defaults to (0, 1).
        **kwargs: Arguments of `BaseDenseDataset`.
    """

    NAME = 'virtual_kitti_2'
    LABELS = ('depth', 'normal')
    DATA_ROOT = 'data/virtual_kitti_2'
    TREE = """expected
  <data_root>/rgb/Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg
  <data_root>/depth/Scene01/clone/frames/depth/Camera_0/depth_00000.png
the archives vkitti_2.0.3_rgb.tar and vkitti_2.0.3_depth.tar, extracted to
rgb and depth"""

    def __init__(self, labels=None, data_root=None, scenes=None,
                 conditions=None, cameras=(0, 1), **kwargs):
        self.scenes = self._choices(
            'scenes', SCENES if scenes is None else scenes, SCENES)
        self.conditions = self._choices(
            'conditions', CONDITIONS if conditions is None else conditions,
            CONDITIONS)
        self.cameras = self._choices('cameras', cameras, (0, 1))
        super().__init__(labels, data_root, **kwargs)

    def list_samples(self, listing):
        """See `BaseDenseDataset.list_samples`."""
        roots = {
            kind: osp.join(self.data_root, kind)
            if kind in listing.names(self.data_root) else self.data_root
            for kind in ('rgb', 'depth')}
        for scene, condition, camera in product(
                self.scenes, self.conditions, self.cameras):
            yield from self._frames(listing, roots, scene, condition,
                                    f'Camera_{camera}')

    def _frames(self, listing, roots, scene, condition, camera):
        folders = {
            kind: osp.join(root, scene, condition, 'frames', kind, camera)
            for kind, root in roots.items()}
        names = listing.images(folders['rgb'])
        if not names and self.missing == 'raise':
            raise FileNotFoundError(
                f'VirtualKITTI2Dataset: no images in {folders["rgb"]}. Set '
                "missing='skip', or scenes, conditions and cameras to what "
                f'exists; {self.TREE}')
        for name in names:
            stem = osp.splitext(name)[0]
            depth_path = osp.join(
                folders['depth'], stem.replace('rgb_', 'depth_') + '.png')
            sample = dict(
                sample_name=f'{scene}/{condition}/{camera}/{stem}',
                img_path=osp.join(folders['rgb'], name),
                # the loader of normals needs these, too
                depth_scale=1 / 100,
                depth_range=(1e-5, 80.))
            if 'depth' in self.labels:
                sample.update(depth_path=depth_path, depth_format='png')
            if 'normal' in self.labels:
                sample.update(
                    normal_path=depth_path,
                    normal_format='from_depth',
                    normal_axes='genpercept',
                    intrinsics=INTRINSICS)
            yield sample
