import copy
import importlib
import json
import os.path as osp
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from keypoint_cases import (
    PARTS,
    draw_people,
    draw_results,
    evaluate,
    with_first_id,
    without,
)

from genpercept_mm.compat.xtcocotools import coco, cocoeval

PEOPLE = draw_people()
RESULTS = draw_results(PEOPLE)
WHOLE = draw_people(5, parts=tuple(PARTS))
WHOLE_RESULTS = draw_results(WHOLE, seed=6, spread=0.03)
SIGMAS = np.random.default_rng(2).uniform(0.02, 0.1, 133)


def changed(items, change):
    """Copy dictionaries and change each by ``change(index, item)``."""
    items = copy.deepcopy(items)
    for index, item in enumerate(items):
        change(index, item)
    return items


def no_keypoint_score(index, result):
    if index % 3 == 0:
        result['keypoints'][2::3] = [0.] * 17


def box(index, result):
    result['bbox'] = [1, 2, 20 + 10 * index, 60]


def part_scores(index, result):
    if index % 2:
        result.update(foot_score=0.1 * (index % 5), wholebody_score=0.3)


def count_only_visible(index, person):
    visible = person['keypoints'][2::3].count(2)
    person['num_keypoints'] = visible if index % 5 else 0


CROWDED = dict(PEOPLE, annotations=changed(
    PEOPLE['annotations'], count_only_visible))
# name: annotations, results, arguments of COCOeval after the first two
CASES = dict(
    plain=(PEOPLE, RESULTS, ('keypoints', )),
    sigmas=(PEOPLE, RESULTS, ('keypoints', SIGMAS[:17], True)),
    no_area=(without(PEOPLE, 'area'), RESULTS, ('keypoints', None, False)),
    unused_area=(PEOPLE, RESULTS, ('keypoints', SIGMAS[:17], False)),
    no_num_keypoints=(without(PEOPLE, 'num_keypoints'), RESULTS,
                      ('keypoints', )),
    wrong_num_keypoints=(CROWDED, RESULTS, ('keypoints', )),
    no_iscrowd=(without(PEOPLE, 'iscrowd'), RESULTS, ('keypoints', )),
    zero_scores=(PEOPLE, changed(RESULTS, no_keypoint_score),
                 ('keypoints', )),
    id_0=(with_first_id(PEOPLE, 0), RESULTS, ('keypoints', )),
    nothing_found=(PEOPLE, [], ('keypoints', )),
    nobody_there=(dict(PEOPLE, annotations=[]), RESULTS, ('keypoints', )),
    boxes_in_results=(PEOPLE, changed(RESULTS, box), ('keypoints', )),
    many=(PEOPLE, draw_results(PEOPLE, wrong=15), ('keypoints', )),
    body=(WHOLE, WHOLE_RESULTS, ('keypoints_body', SIGMAS[:17])),
    foot=(WHOLE, WHOLE_RESULTS, ('keypoints_foot', SIGMAS[17:23])),
    foot_scores=(WHOLE, changed(WHOLE_RESULTS, part_scores),
                 ('keypoints_foot', SIGMAS[17:23])),
    face=(WHOLE, WHOLE_RESULTS, ('keypoints_face', SIGMAS[23:91])),
    lefthand=(WHOLE, WHOLE_RESULTS, ('keypoints_lefthand', SIGMAS[91:112])),
    righthand=(WHOLE, WHOLE_RESULTS, ('keypoints_righthand', SIGMAS[112:])),
    wholebody=(WHOLE, WHOLE_RESULTS, ('keypoints_wholebody', SIGMAS)),
    wholebody_scores=(WHOLE, changed(WHOLE_RESULTS, part_scores),
                      ('keypoints_wholebody', SIGMAS, False)),
    crowd=(CROWDED, RESULTS, ('keypoints_crowd', SIGMAS[:17], False)),
    crowd_all_easy=(
        dict(CROWDED, images=changed(
            CROWDED['images'],
            lambda index, image: image.update(crowdIndex=0.1))), RESULTS,
        ('keypoints_crowd', None, False)))


def compare(path, results, arguments):
    """Require the numbers of the xtcocotools that is installed."""
    try:
        metadata.version('xtcocotools')
    except metadata.PackageNotFoundError:
        pytest.skip('xtcocotools is not installed')
    ours = evaluate(coco, cocoeval, path, results, *arguments)
    theirs = evaluate(
        importlib.import_module('xtcocotools.coco'),
        importlib.import_module('xtcocotools.cocoeval'), path, results,
        *arguments)
    np.testing.assert_array_equal(ours.stats, theirs.stats)
    if arguments[0] != 'keypoints_crowd':  # xtcocotools keeps that of "hard"
        for table in ('precision', 'recall', 'scores'):
            np.testing.assert_array_equal(
                ours.eval[table], theirs.eval[table])
    return ours.stats


@pytest.mark.parametrize('case', CASES)
def test_equals_xtcocotools(tmp_path, case):
    content, results, arguments = CASES[case]
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(content))
    stats = compare(path, results, arguments)
    if case in ('nothing_found', 'nobody_there'):
        assert set(stats) == {0. if case == 'nothing_found' else -1.}
    else:
        assert 0 < stats[0] < 1


def test_equals_xtcocotools_on_coco(samples, tmp_path):
    file = Path(samples, 'coco/annotations/person_keypoints_val2017.json')
    path = tmp_path / 'labels.json'
    path.write_text(file.read_text())
    content = json.loads(path.read_text())
    stats = compare(path, draw_results(content), ('keypoints', ))
    assert 0 < stats[0] < 1


# -- by hand ------------------------------------------------------------------


def perfect(content):
    """Results that find exactly those who are labelled."""
    return [
        dict(image_id=person['image_id'], category_id=1, score=0.9,
             keypoints=person['keypoints'])
        for person in content['annotations']
        if any(person['keypoints'][2::3]) and not person.get('iscrowd')]


def stats(tmp_path, content, results, *arguments):
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(content))
    return evaluate(coco, cocoeval, path, results, *arguments).stats


@pytest.mark.parametrize('content, use_area', [
    (PEOPLE, True), (without(PEOPLE, 'num_keypoints'), True),
    (without(PEOPLE, 'area'), False), (with_first_id(PEOPLE, 0), True),
    (with_first_id(PEOPLE, -3), True)])
def test_perfect_results_have_a_precision_of_1(tmp_path, content, use_area):
    assert set(stats(tmp_path, content, perfect(content), 'keypoints', None,
                     use_area)) == {1.}


def test_results_without_a_keypoint_score_do_not_count(tmp_path):
    person = PEOPLE['annotations'][0]
    false = dict(image_id=person['image_id'], category_id=1, score=0.95,
                 keypoints=[300., 200., 0.] * 17)
    assert stats(tmp_path, PEOPLE, [false, *perfect(PEOPLE)])[0] == 1
    false['keypoints'][2] = 0.1
    assert stats(tmp_path, PEOPLE, [false, *perfect(PEOPLE)])[0] < 1


def test_no_results_score_0(tmp_path):
    assert set(stats(tmp_path, PEOPLE, [])) == {0.}


def test_similarity_by_hand(tmp_path):
    """A box of 100 x 53 without area: 53^2 square pixels.

    All keypoints are 53 * 2 * sigma * sqrt(2 ln(1 / s)) pixels off, so the
    similarity is s = 0.72: above the thresholds 0.5 to 0.7, 5 of 10.
    """
    sigmas = np.full(3, 0.05)
    offset = 53 * 2 * 0.05 * np.sqrt(2 * np.log(1 / 0.72))
    person = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 100, 53],
                  keypoints=[10, 10, 2, 30, 30, 1, 0, 0, 0])
    content = dict(images=[dict(id=1)], annotations=[person],
                   categories=[dict(id=1, name='person')])
    result = dict(image_id=1, category_id=1, score=1, keypoints=[
        10 + offset, 10, 1, 30, 30 - offset, 1, 500, 500, 1])
    measured = stats(tmp_path, content, [result], 'keypoints', sigmas, False)
    # AP, at 0.5, at 0.75, medium (32^2 to 96^2), large
    assert measured[:5].tolist() == pytest.approx([0.5, 1, 0, 0.5, -1])


@pytest.mark.parametrize('kind, shape', [('bbox', 12), ('segm', 12)])
def test_other_kinds_are_pycocotools(tmp_path, kind, shape):
    content = copy.deepcopy(PEOPLE)
    for person in content['annotations']:
        x, y, width, height = person['bbox']
        person['iscrowd'] = 0
        person['segmentation'] = [[x, y, x + width, y, x + width, y + height]]
    results = [dict(person, score=0.5) for person in content['annotations']]
    measured = stats(tmp_path, content, results, kind)
    assert len(measured) == shape and measured[0] == 1


# -- mmpose -------------------------------------------------------------------


def test_mmpose_without_annotation_file(tmp_path, monkeypatch):
    """mmpose then writes annotations without ``num_keypoints``."""
    module = pytest.importorskip('mmpose.evaluation.metrics.coco_metric')
    monkeypatch.setattr(module, 'COCO', coco.COCO)
    monkeypatch.setattr(module, 'COCOeval', cocoeval.COCOeval)
    metric = module.CocoMetric(nms_mode='none')
    metric.dataset_meta = dict(dataset_name='drawn', num_keypoints=17,
                               sigmas=SIGMAS[:17],
                               CLASSES=PEOPLE['categories'])
    people = PEOPLE['annotations']
    for person in people:
        points = np.reshape(person['keypoints'], (1, 17, 3))
        metric.process([], [dict(
            id=person['id'], img_id=person['image_id'], ori_shape=(480, 640),
            raw_ann_info=person, gt_instances=dict(bbox_scores=np.ones(1)),
            pred_instances=dict(
                keypoints=points[..., :2],
                keypoint_scores=np.ones((1, 17))))])
    found = metric.evaluate(len(people))
    # Every person is found, and those who do not count are ignored.
    assert len(found) == 10 and set(found.values()) == {1.}
    assert not osp.exists('results.gt.json')
