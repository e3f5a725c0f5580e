"""COCO keypoints for top-down pose. Configs name this module in
``custom_imports``, because it needs mmpose."""
import json
from collections import Counter

from mmengine.fileio import exists, get_text
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
        FileNotFoundError: If ``ann_file`` or ``bbox_file`` does not exist.
        ValueError: If a file is not JSON or has another form, an id occurs
            twice, a number is not finite, ``bbox_file`` belongs to other
            images, a label does not have 17 keypoints, or no person has any.
    """

    def load_data_list(self):
        """See ``mmpose.CocoDataset.load_data_list``.

        Raises:
            ValueError: If no person has a keypoint.
        """
        self._check_annotations()
        people = super().load_data_list()
        if not people and self.bbox_file:
            raise ValueError(f'CocoPoseDataset: bbox_file={self.bbox_file!r} '
                             'has no box of category 1 (person).')
        if not people:
            raise ValueError(
                f'CocoPoseDataset: ann_file={self.ann_file!r} has no person '
                'with a visible keypoint (v > 0) and iscrowd=0; check '
                'keypoints and num_keypoints of its annotations.')
        return people

    def _load_detection_results(self):
        if not exists(self.bbox_file):
            raise FileNotFoundError(
                f'CocoPoseDataset: bbox_file={self.bbox_file!r} does not '
                'exist. It contains detected persons: for COCO, '
                'person_detection_results of Simple Baseline, or the results '
                'of your own detector. bbox_file=None uses the boxes of the '
                'labels.')
        found = _read_json('bbox_file', self.bbox_file)
        fields = {'image_id', 'category_id', 'bbox', 'score'}
        if not isinstance(found, list) or any(
                not isinstance(box, dict) or fields - box.keys()
                or not _numbers(box['bbox'], 4)
                or not _numbers([box['score']], 1) for box in found):
            raise ValueError(f'CocoPoseDataset: bbox_file={self.bbox_file!r} '
                             f'must be {RESULTS}.')
        other = sorted({str(box['image_id']) for box in found} - {
            str(image) for image in self._image_ids})
        if other:
            raise ValueError(
                f'CocoPoseDataset: bbox_file={self.bbox_file!r} has boxes in '
                f'{len(other)} images, such as image_id {other[0]}, that '
                f'ann_file={self.ann_file!r} does not list; take the results '
                'of the same images.')
        return super()._load_detection_results()

    def _check_annotations(self):
        """Check what mmpose and pycocotools read from ``ann_file``."""
        name = f'CocoPoseDataset: ann_file={self.ann_file!r}'
        if not exists(self.ann_file):
            raise FileNotFoundError(
                f'{name} does not exist; for COCO it is '
                'annotations/person_keypoints_<split>2017.json.')
        data = _read_json('ann_file', self.ann_file)
        for part in ('images', 'annotations'):
            items = data.get(part) if isinstance(data, dict) else None
            if not isinstance(items, list) or not all(
                    isinstance(item, dict) and isinstance(item.get('id'), int)
                    for item in items):
                raise ValueError(f'{name} must have {part}, a list of dicts '
                                 'with a number as id, as in COCO.')
            ids = Counter(item['id'] for item in items)
            twice = next((i for i, count in ids.items() if count > 1), None)
            if twice is not None:
                raise ValueError(f'{name}: id {twice} of {part} occurs twice.')
        for image in data['images']:
            if not isinstance(image.get('file_name'), str) or not _numbers(
                    [image.get('width'), image.get('height')], 2):
                raise ValueError(
                    f'{name}: image {image["id"]} must have file_name, width '
                    'and height.')
        wanted = self.metainfo['num_keypoints']
        self._image_ids = {image['id'] for image in data['images']}
        for label in data['annotations']:
            place = f'annotation {label["id"]} of {self.ann_file!r}'
            if {'image_id', 'category_id'} - label.keys():
                raise ValueError(f'CocoPoseDataset: {place} must have '
                                 'image_id and category_id.')
            if 'bbox' in label and not _numbers(label['bbox'], 4):
                raise ValueError(
                    f'CocoPoseDataset: bbox of {place} must be four finite '
                    f'numbers (x, y, width, height), got {label["bbox"]!r}.')
            wrong = [key for key in ('area', 'iscrowd', 'num_keypoints')
                     if key in label and not _numbers([label[key]], 1)]
            if wrong:
                raise ValueError(f'CocoPoseDataset: {wrong} of {place} must '
                                 'be numbers.')
            points = label.get('keypoints')
            if 'keypoints' not in label or _numbers(points, 3 * wanted):
                continue
            given = (f'{len(points) / 3:g} keypoints of three numbers'
                     if isinstance(points, list) and _numbers(
                         points, len(points)) else
                     'keypoints that are not finite numbers')
            raise ValueError(
                f'CocoPoseDataset: {place} has {given}, and COCO has {wanted}'
                ' of three; for other skeletons use the data '
                'set class of mmpose for them, or '
                'metainfo=dict(from_file=...), and set out_channels of the '
                'head.')


def _read_json(field, path):
    try:
        return json.loads(get_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'CocoPoseDataset: {field}={path!r} is not JSON '
                         f'({error}); download it again.') from error


def _numbers(values, length):
    """Tell whether values are a list of this many finite float32 numbers."""
    return (isinstance(values, list) and len(values) == length
            and all(isinstance(value, (int, float)) and abs(value) < 3.4e38
                    for value in values))
