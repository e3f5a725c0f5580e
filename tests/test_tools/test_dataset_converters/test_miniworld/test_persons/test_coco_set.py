import json
import os
import shutil

import cv2
import numpy as np
import pytest
from miniworld.persons import build_persons
from miniworld.persons.coco_set import (
    annotation_path,
    detect,
    plan_pictures,
)
from xtcocotools.coco import COCO

FRAMES = 12
DETECTIONS = 'person_detection_results/val_detections.json'


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    root = str(tmp_path_factory.mktemp('people') / 'set')
    assert build_persons(root, FRAMES) == FRAMES
    return root


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    root = str(tmp_path_factory.mktemp('few_people') / 'set')
    assert build_persons(root, 4) == 4
    return root


def _files(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names)


def _bytes(root):
    content = {}
    for name in _files(root):
        with open(os.path.join(root, name), 'rb') as file:
            content[name] = file.read()
    return content


def _load(root, split):
    with open(annotation_path(root, split)) as file:
        return json.load(file)


def _iou(one, two):
    low = np.maximum(one[:2], two[:2])
    high = np.minimum(np.add(one[:2], one[2:]), np.add(two[:2], two[2:]))
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (one[2] * one[3] + two[2] * two[3] - shared)


def test_layout_is_that_of_coco(finished):
    assert _files(finished) == sorted(
        [f'train/{k:06d}.jpg' for k in range(1, 11)]
        + ['val/000011.jpg', 'val/000012.jpg', DETECTIONS,
           'annotations/person_keypoints_train.json',
           'annotations/person_keypoints_val.json', 'mini_people.json'])


@pytest.mark.parametrize('frames, train, val', [
    (600, 500, 100), (12, 10, 2), (2, 1, 1), (3, 2, 1)])
def test_one_in_six_is_for_validation(frames, train, val):
    plan = plan_pictures(frames)
    assert [len(plan[split]) for split in ('train', 'val')] == [train, val]
    assert [*plan['train'], *plan['val']] == list(range(1, frames + 1))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_annotations_agree_with_the_polygons_and_pictures(finished, split):
    coco = COCO(annotation_path(finished, split))
    assert coco.getCatIds(['person']) == [1]
    people = coco.loadAnns(coco.getAnnIds())
    assert len(people) >= len(coco.imgs)
    for person in people:
        # rasterised by xtcocotools
        mask = coco.annToMask(person)
        assert mask.sum() == person['area'] >= 300
        rows, columns = np.nonzero(mask)
        assert person['bbox'] == [
            columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        states = np.array(person['keypoints']).reshape(17, 3)
        assert person['num_keypoints'] == (states[:, 2] > 0).sum()
        assert person['iscrowd'] == 0 and person['id'] > 0
        wide = cv2.dilate(mask, np.ones((3, 3)))
        for x, y, _ in states[states[:, 2] == 2]:
            assert wide[round(y), round(x)]
    for image in coco.imgs.values():
        picture = cv2.imread(os.path.join(finished, split,
                                          image['file_name']))
        assert picture.shape == (image['height'], image['width'], 3)


def test_ids_are_unique_over_both_splits(finished):
    for kind in ('images', 'annotations'):
        ids = [each['id'] for split in ('train', 'val')
               for each in _load(finished, split)[kind]]
        assert sorted(ids) == list(range(1, len(ids) + 1))


def test_mmpose_reads_the_set(finished):
    from mmpose.datasets import CocoDataset
    arguments = dict(ann_file='annotations/person_keypoints_val.json',
                     data_root=finished, data_prefix=dict(img='val/'),
                     data_mode='topdown', test_mode=True)
    people = _load(finished, 'val')['annotations']
    dataset = CocoDataset(**arguments)
    assert len(dataset) == len(people)
    first = dataset.get_data_info(0)
    assert np.allclose(
        first['keypoints'][0],
        np.array(people[0]['keypoints']).reshape(17, 3)[:, :2])
    assert os.path.isfile(first['img_path'])
    dataset = CocoDataset(**arguments, bbox_file=os.path.join(
        finished, DETECTIONS))
    with open(os.path.join(finished, DETECTIONS)) as file:
        assert len(dataset) == len(json.load(file)) >= len(people)


def test_truth_as_prediction_scores_one_in_mmpose(finished):
    from mmengine.structures import InstanceData
    from mmpose.datasets import CocoDataset
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.evaluation import CocoMetric
    from mmpose.structures import PoseDataSample
    metric = CocoMetric(annotation_path(finished, 'val'))
    metric.dataset_meta = parse_pose_metainfo(CocoDataset.METAINFO)
    people = _load(finished, 'val')['annotations']
    for person in people:
        states = np.array(person['keypoints'], float).reshape(1, 17, 3)
        sample = PoseDataSample(metainfo=dict(
            id=person['id'], img_id=person['image_id'], category_id=1))
        sample.gt_instances = InstanceData(
            bbox_scores=np.ones(1),
            bboxes=np.array([person['bbox']], float))
        sample.pred_instances = InstanceData(
            keypoints=states[..., :2], keypoint_scores=np.ones((1, 17)))
        metric.process({}, [sample.to_dict()])
    assert metric.evaluate(len(people))['coco/AP'] == 1


def test_detections_are_near_the_truth_but_not_equal(finished):
    content = _load(finished, 'val')
    # many copies, for statistics
    content['annotations'] *= 400
    truth = content['annotations']
    found = detect(content, 0)
    sizes = {i['id']: (i['width'], i['height']) for i in content['images']}
    good = [d for d in found if d['score'] >= 0.7]
    wrong = [d for d in found if d['score'] < 0.7]
    assert len(good) == len(truth)
    overlaps = [_iou(d['bbox'], t['bbox']) for d, t in zip(good, truth)]
    assert 0.8 < np.mean(overlaps) < 0.97 and min(overlaps) > 0.5
    assert 0.05 < len(wrong) / len(truth) < 0.16
    assert max(d['score'] for d in wrong) <= 0.4
    for each in found:
        assert set(each) == {'image_id', 'category_id', 'bbox', 'score'}
        x, y, width, height = each['bbox']
        limit = sizes[each['image_id']]
        assert x >= 0 and y >= 0 and width > 0 and height > 0
        assert x + width <= limit[0] + 0.02 and y + height <= limit[1] + 0.02


def test_detections_load_as_results_of_coco(finished):
    coco = COCO(annotation_path(finished, 'val'))
    results = coco.loadRes(os.path.join(finished, DETECTIONS))
    assert set(results.getImgIds()) == set(coco.getImgIds())


def test_finished_sets_are_left_alone(finished, capfd):
    before = {name: os.stat(os.path.join(finished, name)).st_mtime_ns
              for name in _files(finished)}
    assert build_persons(finished, FRAMES) == 0
    shown = ''.join(capfd.readouterr()).strip()
    assert 'already holds all 12 frames' in shown
    assert len(shown.splitlines()) == 1
    assert before == {name: os.stat(os.path.join(finished, name)).st_mtime_ns
                      for name in _files(finished)}


@pytest.mark.parametrize('lost', [
    'train/000003.jpg', 'annotations/person_keypoints_train.json',
    DETECTIONS])
def test_incomplete_sets_become_the_same(small, tmp_path, lost):
    root = str(tmp_path / 'set')
    shutil.copytree(small, root)
    os.remove(os.path.join(root, lost))
    assert build_persons(root, 4) == 4
    assert _bytes(root) == _bytes(small)


def test_interrupted_sets_have_no_annotations(tmp_path, monkeypatch):
    from miniworld.persons import coco_set
    stock, calls = coco_set.make_shot, []

    def interrupted(rng):
        calls.append(rng)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return stock(rng)

    monkeypatch.setattr(coco_set, 'make_shot', interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_persons(str(tmp_path), 4)
    assert _files(tmp_path) == ['mini_people.json', 'train/000001.jpg',
                                'train/000002.jpg']
    monkeypatch.undo()
    assert build_persons(str(tmp_path), 4) == 4
    assert len(_files(tmp_path)) == 8


def test_no_picture_comes_twice(finished):
    pictures = [content for name, content in _bytes(finished).items()
                if name.endswith('.jpg')]
    assert len(set(pictures)) == FRAMES


def test_seeds_have_different_people(finished, tmp_path):
    assert build_persons(str(tmp_path), 2, seed=1) == 2
    one, other = (cv2.imread(os.path.join(root, 'train', '000001.jpg'))
                  for root in (finished, str(tmp_path)))
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_other_parameters_are_refused(finished):
    for arguments in (dict(num_frames=13), dict(num_frames=12, seed=5)):
        name = list(arguments)[-1]
        with pytest.raises(ValueError, match=f'{name} must be .*another '
                                             'folder or delete'):
            build_persons(finished, **arguments)


def test_foreign_data_sets_are_not_touched(tmp_path):
    (tmp_path / 'annotations').mkdir()
    with pytest.raises(ValueError, match='must not hold another data set'):
        build_persons(str(tmp_path), 2)
    assert _files(tmp_path) == []


@pytest.mark.parametrize('arguments, message', [
    (dict(num_frames=1), 'num_frames must be at least 2, got 1'),
    (dict(seed=-1), 'seed must be at least 0, got -1')])
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_persons(str(tmp_path / 'set'), **arguments)
    assert not (tmp_path / 'set').exists()
