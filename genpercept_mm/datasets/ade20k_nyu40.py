"""ADE20K seen through NYU40's classes."""
import os.path as osp

from mmseg.datasets import ADE20KDataset

from genpercept_mm.registry import DATASETS

from .hypersim import HypersimDataset
from .io.file_listing import FileListing, read_lines, walk_files

# ADE20K index (1..150) -> NYU40 id (1..40), by name. The paper's mapping is
# not published. In ours, 33 classes match; near synonyms are not merged.
ADE20K_TO_NYU40 = {
    1: 1, 4: 2, 11: 3, 8: 4, 20: 5, 24: 6, 16: 7, 15: 8, 9: 9, 63: 10,
    23: 11, 46: 12, 64: 13, 34: 14, 25: 15, 19: 16, 45: 17, 58: 18, 28: 19,
    29: 20, 93: 21, 6: 22, 68: 23, 51: 24, 90: 25, 82: 27, 42: 29, 13: 31,
    66: 33, 48: 34, 37: 35, 38: 36, 116: 37}


@DATASETS.register_module()
class ADE20KNYU40Dataset(ADE20KDataset):
    """ADE20K with the labels of the classes it shares with Hypersim.

    For table 9 of the paper (zero-shot column). 33 of ADE20K's 150 classes
    become NYU40 ids, and all other pixels are ignored. The classes are the 40
    of `HypersimDataset`, so a Hypersim model can be evaluated unchanged. For
    folders and arguments, see mmseg's ``ADE20KDataset``.

    Raises:
        FileNotFoundError: If the folder, the list, an image or a label is
            missing, or the folder has no image.
        ValueError: If ``metainfo`` names other classes.
    """

    METAINFO = HypersimDataset.METAINFO

    @classmethod
    def get_label_map(cls, new_classes=None):
        """Map ADE20K's ids 0..149 to NYU40's 0..39, or to 255; ``new_classes``
        must be None or all 40 classes."""
        if new_classes is not None and tuple(
                new_classes) != cls.METAINFO['classes']:
            raise ValueError('ADE20KNYU40Dataset: classes are fixed to '
                             "NYU40's; remove metainfo.classes.")
        return {
            index: ADE20K_TO_NYU40.get(index + 1, 256) - 1
            for index in range(150)
        }

    def load_data_list(self):
        """List the samples as mmseg's ``BaseSegDataset`` does, but each real
        folder once, and only if every file is there."""
        images = self.data_prefix['img_path']
        labels = self.data_prefix.get('seg_map_path')
        listing = FileListing()
        samples = [
            dict(img_path=osp.join(images, stem + self.img_suffix),
                 **dict(seg_map_path=osp.join(
                     labels, stem + self.seg_map_suffix)) if labels else {},
                 label_map=self.label_map, seg_fields=[],
                 reduce_zero_label=self.reduce_zero_label)
            for stem in self._stems(images)]
        for sample in samples:
            for path in filter(None, (sample['img_path'],
                                      sample.get('seg_map_path'))):
                if not listing.exists(path) or osp.isdir(path):
                    raise FileNotFoundError(
                        f'ADE20KNYU40Dataset: {path} does not exist; expected '
                        f'<img_path>/<name>{self.img_suffix} and '
                        f'<seg_map_path>/<name>{self.seg_map_suffix} of '
                        'ADEChallengeData2016.')
        return samples

    def _stems(self, images):
        """Return the images' names without suffix, from list or folder."""
        if self.ann_file and not osp.isdir(self.ann_file):
            if not osp.isfile(self.ann_file):
                raise FileNotFoundError('ADE20KNYU40Dataset: ann_file='
                                        f'{self.ann_file!r} does not exist.')
            return [line for _, line in read_lines(self.ann_file)]
        names = walk_files(images) if osp.isdir(images) else []
        stems = [name.removesuffix(self.img_suffix) for name in names
                 if name.endswith(self.img_suffix)]
        if not stems:
            raise FileNotFoundError(
                f'ADE20KNYU40Dataset: found no image {self.img_suffix} in '
                f'{images!r}; set data_root and data_prefix.img_path.')
        return stems
