import numpy as np
import pytest
from miniworld.persons.poses import (
    POSES,
    mirrored,
    random_pose,
)
from miniworld.persons.skeleton import random_body, stand


def _figures(kind, count=25):
    for seed in range(count):
        rng = np.random.default_rng([seed, 7])
        body = random_body(rng)
        pose = random_pose(rng, kind)
        yield body, pose, stand(body, pose).points


def test_mirrored_person_is_the_mirror_image():
    swap = dict(left='right', right='left')
    for seed in range(10):
        rng = np.random.default_rng(seed)
        body, pose = random_body(rng), random_pose(rng)
        one = stand(body, pose).points
        other = stand(body, mirrored(pose)).points
        for name, point in one.items():
            side, _, rest = name.partition('_')
            twin = f'{swap[side]}_{rest}' if side in swap else name
            assert np.allclose(other[twin], point * (1, -1, 1)), name


@pytest.mark.parametrize('kind', list(POSES))
def test_elbows_and_knees_bend_one_way(kind):
    for _, pose, _ in _figures(kind):
        for limbs in (pose.arms, pose.legs):
            assert limbs.shape == (2, 4)
            assert (limbs[:, 3] >= 0).all() and (limbs[:, 3] < 165).all()


@pytest.mark.parametrize('kind', list(POSES))
def test_nothing_is_below_the_floor(kind):
    for _, _, points in _figures(kind):
        assert min(point[2] for point in points.values()) > 0


def test_raised_arms_are_above_the_chest():
    for body, _, points in _figures('arms_up'):
        highest = max(points[f'{side}_wrist'][2] for side in (
            'left', 'right'))
        assert highest > points['pelvis'][2] + 0.6 * body.trunk


def test_thighs_of_who_sits_are_level():
    for body, pose, points in _figures('sitting'):
        assert pose.seated
        for side in ('left', 'right'):
            drop = points[f'{side}_hip'][2] - points[f'{side}_knee'][2]
            assert abs(drop) < 0.3 * body.thigh


def test_who_crouches_is_low():
    for body, pose, points in _figures('crouching'):
        assert not pose.seated
        assert points['pelvis'][2] < 0.75 * (body.thigh + body.shin)


def test_who_walks_has_one_foot_ahead():
    for body, _, points in _figures('walking'):
        step = abs(points['left_ankle'][0] - points['right_ankle'][0])
        assert step > 0.25 * body.thigh


def test_both_sides_lead():
    ahead = [points['left_ankle'][0] > points['right_ankle'][0]
             for _, _, points in _figures('walking')]
    assert 5 < sum(ahead) < 20


def test_poses_depend_on_the_seed_only():
    one, two, other = (random_pose(np.random.default_rng(seed))
                       for seed in (4, 4, 5))
    assert np.array_equal(one.arms, two.arms) and one.head == two.head
    assert not np.allclose(one.arms, other.arms)


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match="one of .*'walking'.*got 'flying'"):
        random_pose(np.random.default_rng(0), 'flying')
