import json

import numpy as np
import pytest
from demo.mean_pose import mean_pose_ap, mean_pose_results


def _write(path, people):
    annotations = [dict(
        id=k + 1, image_id=10 + k, category_id=1, bbox=box, iscrowd=crowd,
        area=box[2] * box[3], keypoints=keypoints,
        num_keypoints=sum(v > 0 for v in keypoints[2::3]))
        for k, (box, keypoints, crowd) in enumerate(people)]
    path.write_text(json.dumps(dict(images=[], annotations=annotations)))
    return str(path)


def _random_people(rng, count):
    people = []
    for _ in range(count):
        states = np.column_stack([rng.uniform(0, 100, (17, 2)),
                                  rng.integers(0, 3, 17)])
        people.append((rng.uniform(5, 50, 4).tolist(),
                       states.ravel().tolist(), 0))
    # all keypoints are labelled on the first one
    people[0][1][2::3] = [2] * 17
    return people


def test_equals_a_loop_over_two_people(tmp_path):
    rng = np.random.default_rng(0)
    train, val = _random_people(rng, 2), _random_people(rng, 2)
    results = mean_pose_results(_write(tmp_path / 'train.json', train),
                                _write(tmp_path / 'val.json', val))
    assert [r['image_id'] for r in results] == [10, 11]
    for result, (box, _, _) in zip(results, val):
        assert result['category_id'] == 1 and result['score'] == 1
        assert len(result['keypoints']) == 51
        for k in range(17):
            for axis in (0, 1):
                total, count = 0, 0
                for seen, keypoints, _ in train:
                    if keypoints[3 * k + 2] > 0:
                        total += (keypoints[3 * k + axis]
                                  - seen[axis]) / seen[2 + axis]
                        count += 1
                expected = box[axis] + box[2 + axis] * total / count
                assert np.isclose(result['keypoints'][3 * k + axis],
                                  expected)
            assert result['keypoints'][3 * k + 2] == 1


def test_same_pose_in_another_box_is_found_exactly(tmp_path):
    shares = np.random.default_rng(1).random((17, 2))

    def person(x, y, width, height):
        places = shares * (width, height) + (x, y)
        return ([x, y, width, height],
                np.column_stack([places, np.full(17, 2)]).ravel().tolist(), 0)

    train = [person(0, 0, 50, 80), person(30, 10, 20, 90)]
    val = [person(5, 7, 33, 44)]
    result, = mean_pose_results(_write(tmp_path / 'train.json', train),
                                _write(tmp_path / 'val.json', val))
    assert np.allclose(np.reshape(result['keypoints'], (17, 3))[:, :2],
                       np.reshape(val[0][1], (17, 3))[:, :2])


def test_crowds_and_unlabelled_people_do_not_count(tmp_path):
    people = _random_people(np.random.default_rng(2), 1)
    box, keypoints, _ = people[0]
    more = people + [(box, [9] * 51, 1), (box, [0] * 51, 0)]
    one, two = (mean_pose_results(
        _write(tmp_path / 'train.json', train),
        _write(tmp_path / 'val.json', more)) for train in (people, more))
    assert len(one) == 1 and one == two


def test_keypoint_that_nobody_has_is_refused(tmp_path):
    people = _random_people(np.random.default_rng(3), 1)
    people[0][1][2] = 0
    path = _write(tmp_path / 'train.json', people)
    with pytest.raises(ValueError, match='use a larger training set'):
        mean_pose_results(path, path)
    with pytest.raises(ValueError, match='use a larger training set'):
        mean_pose_results(_write(tmp_path / 'none.json', []), path)


def test_persons_of_one_pose_score_one_and_others_none(tmp_path):
    """The same pose in boxes of two sizes; then every pose mirrored."""
    pytest.importorskip('xtcocotools')
    shares = np.random.default_rng(1).uniform(0, 1, (17, 2))

    def people(shares):
        boxes = [[10, 20, 50, 100], [30, 5, 80, 120]]
        return [(box, np.column_stack(
            [shares * box[2:] + box[:2], np.full(17, 2)]).ravel().tolist(), 0)
            for box in boxes]

    train = _write(tmp_path / 'train.json', people(shares))
    path = tmp_path / 'val.json'
    for val, expected in ((shares, 1), (1 - shares, 0)):
        _write(path, people(val))
        content = json.loads(path.read_text())
        content.update(images=[dict(id=10), dict(id=11)],
                       categories=[dict(id=1, name='person')])
        path.write_text(json.dumps(content))
        assert mean_pose_ap(train, str(path)) == pytest.approx(expected)
