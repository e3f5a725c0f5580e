"""COCO keypoints for top-down pose. Configs name this module in
``custom_imports``, because it needs mmpose."""
from mmengine.fileio import exists, load
from mmpose.datasets import CocoDataset

from genpercept_mm.registry import DATASETS

RESULTS = ('a list of dicts with image_id, category_id, bbox (x, y, width, '
           'height) and score, as in COCO detection results')


@DATASETS.register_module()
class CocoPoseDataset(CocoDataset):
    """mmpose's ``CocoDataset``, saying what is wrong with its files.

    The arguments are those of ``mmpose.CocoDataset``. ``bbox_file`` contains
    detected persons; with None, the boxes of the labels are used.

    Raises:
        FileNotFoundError: If ``bbox_file`` does not exist.
        ValueError: If ``bbox_file`` has another form or belongs to other
            images, a label does not have 17 keypoints, or no person has any.
    """

    def _load_detection_results(self):
        if not exists(self.bbox_file):
            raise FileNotFoundError(
                f'CocoPoseDataset: bbox_file={self.bbox_file!r} does not '
                'exist. It contains detected persons: for COCO, '
                'person_detection_results of Simple Baseline, or the results '
                'of your own detector. bbox_file=None uses the boxes of the '
                'labels.')
        found = load(self.bbox_file)
        fields = {'image_id', 'category_id', 'bbox', 'score'}
        if not isinstance(found, list) or any(
                not isinstance(box, dict) or fields - box.keys()
                for box in found):
            raise ValueError(f'CocoPoseDataset: bbox_file={self.bbox_file!r} '
                             f'must be {RESULTS}.')
        known = {image['id'] for image in load(self.ann_file)['images']}
        other = sorted({box['image_id'] for box in found} - known)
        if other:
            raise ValueError(
                f'CocoPoseDataset: bbox_file={self.bbox_file!r} has boxes in '
                f'{len(other)} images, such as image_id {other[0]}, that '
                f'ann_file={self.ann_file!r} does not list; take the results '
                'of the same images.')
        return super()._load_detection_results()

    def load_data_list(self):
        """See ``mmpose.CocoDataset.load_data_list``.

        Raises:
            ValueError: If no person has a keypoint.
        """
        people = super().load_data_list()
        if not people:
            raise ValueError(
                f'CocoPoseDataset: ann_file={self.ann_file!r} has no person '
                'with a visible keypoint (v > 0) and iscrowd=0; check '
                'keypoints and num_keypoints of its annotations.')
        return people

    def parse_data_info(self, raw_data_info):
        """See ``mmpose.CocoDataset.parse_data_info``."""
        label = raw_data_info['raw_ann_info']
        wanted = self.metainfo['num_keypoints']
        given = len(label.get('keypoints', ())) / 3
        if 'keypoints' in label and given != wanted:
            raise ValueError(
                f'CocoPoseDataset: annotation {label["id"]} of '
                f'{self.ann_file!r} has {given:g} keypoints of three numbers,'
                f' and COCO has {wanted}; for other skeletons use the data '
                'set class of mmpose for them, or '
                'metainfo=dict(from_file=...), and set out_channels of the '
                'head.')
        return super().parse_data_info(raw_data_info)
