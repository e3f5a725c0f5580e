"""Drawn sets of persons and results, and their evaluation."""
import copy
import json

import numpy as np

PARTS = dict(keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21,
             righthand_kpts=21)


def draw_people(seed=0, images=6, people=4, parts=('keypoints', ),
                unlabelled=0.3):
    """Draw annotations of 0 to ``people`` persons on each image.

    Every seventh person has no labelled keypoint, every ninth is a crowd.

    Returns:
        dict: Content of an annotation file.
    """
    rng = np.random.default_rng(seed)
    content = dict(
        images=[dict(id=10 + i, width=640, height=480,
                     crowdIndex=rng.uniform()) for i in range(images)],
        categories=[dict(id=1, name='person')], annotations=[])
    for image in content['images']:
        for _ in range(rng.integers(people + 1)):
            index = len(content['annotations'])
            box = rng.uniform((0, 0, 20, 20), (400, 300, 240, 180))
            person = dict(
                id=index + 1, image_id=image['id'], category_id=1,
                iscrowd=int(index % 9 == 8), bbox=box.round(2).tolist(),
                area=round(rng.uniform(0.3, 0.8) * box[2] * box[3], 2))
            for part in parts:
                seen = rng.choice([0, 1, 2], PARTS[part], p=[
                    unlabelled, 0.2, 0.8 - unlabelled])
                if index % 7 == 6:
                    seen[:] = 0
                points = rng.uniform(box[:2], box[:2] + box[2:],
                                     (PARTS[part], 2))
                person[part] = np.c_[points, seen].round(2).ravel().tolist()
            person['num_keypoints'] = sum(
                v > 0 for v in person['keypoints'][2::3])
            content['annotations'].append(person)
    return content


def draw_results(content, seed=1, spread=0.08, wrong=1, scores=9):
    """Draw results near the annotations, and ``wrong`` others per image.

    Scores have ``scores`` values only, so that many are tied.

    Returns:
        list[dict]: Content of a result file.
    """
    rng = np.random.default_rng(seed)
    results = []
    for person in content['annotations']:
        size = np.sqrt(person['bbox'][2] * person['bbox'][3])
        spreads = rng.uniform(0, spread, 2)
        for number in range(1 + wrong):
            result = dict(image_id=person['image_id'], category_id=1,
                          score=(rng.integers(scores) + 1) / scores)
            for part in PARTS.keys() & person.keys():
                points = np.reshape(person[part], (-1, 3)).astype(float)
                points[:, :2] += rng.normal(
                    0, size * spreads[0] * (1 + 20 * number),
                    points[:, :2].shape)
                points[:, 2] = rng.uniform(0, 1, len(points))
                result[part] = points.ravel().tolist()
            results.append(result)
    return results


def evaluate(coco, cocoeval, path, results, *args, **kwargs):
    """Evaluate results by the modules ``coco`` and ``cocoeval``.

    Args:
        coco (module): Has `COCO`.
        cocoeval (module): Has `COCOeval`.
        path (Path): Annotation file.
        results (list[dict]): Content of a result file.
        *args: Further arguments of `COCOeval`, by position as in mmpose.
        **kwargs: The same by name.

    Returns:
        COCOeval: After `summarize`.
    """
    labels = coco.COCO(str(path))
    found = path.with_name('results.json')
    found.write_text(json.dumps(results))
    evaluation = cocoeval.COCOeval(
        labels, labels.loadRes(str(found)), *args, **kwargs)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def without(content, *fields):
    """Copy a file's content and drop fields of its annotations."""
    content = copy.deepcopy(content)
    for annotation in content['annotations']:
        for field in fields:
            annotation.pop(field, None)
    return content


def with_first_id(content, first):
    """Copy a file's content and number its annotations from ``first``."""
    content = copy.deepcopy(content)
    for index, annotation in enumerate(content['annotations']):
        annotation['id'] = first + index
    return content
