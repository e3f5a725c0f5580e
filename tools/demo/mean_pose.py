"""The mean pose as a baseline of top-down pose estimation."""
import contextlib
import io
import json

import numpy as np


def mean_pose_results(train_json, val_json):
    """Predict the mean pose of the training set in each true box.

    A model that does not beat this baseline has learnt no more than where
    the boxes are. The mean position of a keypoint is taken over the people
    on whom it is labelled (v > 0), relative to their boxes, from (0, 0) at
    the top left to (1, 1).

    Args:
        train_json (str): COCO keypoint annotations to average.
        val_json (str): COCO keypoint annotations with the boxes to predict
            for.

    Returns:
        list[dict]: COCO keypoint results: ``image_id``, ``category_id``,
        ``keypoints`` (x, y and 1 of each) and ``score`` 1.

    Raises:
        ValueError: If ``train_json`` has no labelled people, or a keypoint
            that is labelled on none of them.
    """
    people = _people(train_json)
    if not people:
        raise ValueError(
            f'mean_pose_results: train_json must have labelled people, got '
            f'{train_json} without any; use a larger training set.')
    states = np.array([person['keypoints'] for person in people],
                      float).reshape(len(people), -1, 3)
    boxes = np.array([person['bbox'] for person in people],
                     float).reshape(-1, 1, 4)
    labelled = states[..., 2:] > 0
    counts = labelled.sum(axis=0)
    if (counts == 0).any():
        raise ValueError(
            f'mean_pose_results: each keypoint must be labelled at least '
            f'once in {train_json}; use a larger training set.')
    shares = (states[..., :2] - boxes[..., :2]) / boxes[..., 2:]
    mean = np.where(labelled, shares, 0).sum(axis=0) / counts
    results = []
    for person in _people(val_json):
        corner, size = np.array(person['bbox'], float).reshape(2, 2)
        places = np.column_stack([corner + mean * size, np.ones(len(mean))])
        results.append(dict(
            image_id=person['image_id'], category_id=person['category_id'],
            keypoints=places.ravel().tolist(), score=1.0))
    return results


def mean_pose_ap(train_json, val_json):
    """Score `mean_pose_results` with COCO's evaluation.

    Args:
        train_json (str): COCO keypoint annotations to average.
        val_json (str): COCO keypoint annotations to score on.

    Returns:
        float: AP over object keypoint similarities of 0.5 to 0.95, in
        [0, 1].
    """
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval
    results = mean_pose_results(train_json, val_json)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        labels = COCO(val_json)
        evaluation = COCOeval(labels, labels.loadRes(results), 'keypoints')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def _people(path):
    """Return the evaluated annotations: labelled people, no crowds."""
    with open(path) as file:
        annotations = json.load(file)['annotations']
    return [person for person in annotations
            if not person.get('iscrowd') and person.get('num_keypoints')]
