"""One name of an output file for each sample."""
import os.path as osp

from mmengine.dist import all_gather_object

from genpercept_mm.datasets.io.hypersim_io import frame_name, frame_of_path


class OutputNames:
    """Give each sample of a test its own name, sub-folders included.

    The name is the sample's ``sample_name``; for other data sets it is the
    path of the image below ``image_root`` if that is known, otherwise its
    file name, or of Hypersim's frames scene, camera and frame.

    Args:
        owner (str): Class to name in errors.
        image_root (str, optional): Folder of the images.
        with_dataset (bool): Put ``dataset_name`` in front. Defaults to False.
    """

    def __init__(self, owner, image_root=None, with_dataset=False):
        self.owner = owner
        self.image_root = image_root
        self.with_dataset = with_dataset
        self.claimed = {}

    def claim(self, sample):
        """Return the name of a sample, without suffix.

        Raises:
            ValueError: If it leaves the output folder, or is that of another
                image.
        """
        image = sample.get('img_path')
        name = sample.get('sample_name') or self._of_path(image)
        if self.with_dataset and 'sample_name' in sample:
            name = f'{sample.get("dataset_name")}_{name}'
        name = osp.normpath(name)
        if osp.isabs(name) or name.split('/')[0] == '..':
            raise ValueError(
                f'{self.owner}: sample_name must stay in output_dir, got '
                f'{name!r} for {image}.')
        self._keep(name, image)
        return name

    def compare_ranks(self):
        """Raise a ValueError if processes have claimed the same names for
        different images."""
        for claimed in all_gather_object(self.claimed):
            for name, image in claimed.items():
                self._keep(name, image)

    def _keep(self, name, image):
        other = self.claimed.setdefault(name, image)
        if other != image:
            raise ValueError(
                f'{self.owner}: {image} and {other} would both be written to '
                f'{name!r} of output_dir; give each sample its own '
                'sample_name, as the data sets of this package do.')

    def _of_path(self, image):
        if frame_of_path(image) is not None:
            return frame_name(image)
        if self.image_root is not None:
            inside = osp.relpath(image, self.image_root)
            if inside.split('/')[0] != '..':
                return osp.splitext(inside)[0]
        return osp.splitext(osp.basename(image))[0]
