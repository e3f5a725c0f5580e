import cv2
import numpy as np
import pytest
from miniworld.persons.poses import random_pose
from miniworld.persons.skeleton import (
    KEYPOINTS,
    LIMBS,
    Pose,
    random_body,
    stand,
    turn,
)


@pytest.fixture
def body():
    return random_body(np.random.default_rng(3))


def _arms(*left):
    return np.array([left, (0, 0, 0, 0)], float)


def test_names_and_limbs_are_those_of_mmpose():
    from mmpose.datasets import CocoDataset
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    meta = parse_pose_metainfo(CocoDataset.METAINFO)
    assert KEYPOINTS == tuple(
        meta['keypoint_id2name'][k] for k in range(17))
    assert [(a - 1, b - 1) for a, b in LIMBS] == [
        tuple(pair) for pair in meta['skeleton_links']]


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_turns_are_those_of_opencv(axis):
    vector = np.eye(3)[axis] * np.deg2rad(37)
    assert np.allclose(turn(axis, 37), cv2.Rodrigues(vector)[0])


def test_bones_keep_their_lengths_in_any_pose():
    bones = dict(upper_arm=('shoulder', 'elbow'), forearm=('elbow', 'wrist'),
                 hand=('wrist', 'hand'), thigh=('hip', 'knee'),
                 shin=('knee', 'ankle'), foot=('heel', 'toe'))
    for seed in range(40):
        rng = np.random.default_rng(seed)
        body = random_body(rng)
        points = stand(body, random_pose(rng), (1, 4),
                       rng.uniform(-180, 180)).points

        def distance(one, two):
            return np.linalg.norm(points[one] - points[two])

        for side in ('left', 'right'):
            for name, (one, two) in bones.items():
                assert np.isclose(distance(f'{side}_{one}', f'{side}_{two}'),
                                  getattr(body, name)), name
        assert np.isclose(distance('left_hip', 'right_hip'), 2 * body.hips)
        assert np.isclose(distance('left_shoulder', 'right_shoulder'),
                          2 * body.shoulders)
        assert np.isclose(distance('pelvis', 'neck'), body.trunk)
        # the face is rigid
        for name, share in dict(left_eye=(0.88, 0.42, 0.12), nose=(
                1.12, 0, -0.12)).items():
            assert np.isclose(distance(name, 'skull'),
                              np.linalg.norm(share * body.head))


def test_upright_person_by_hand(body):
    points = stand(body, Pose(), (2.0, 5.0)).points
    hip, knee, ankle = (points[f'left_{n}'] for n in ('hip', 'knee', 'ankle'))
    assert np.allclose(points['pelvis'][:2], (2, 5))
    assert np.allclose(hip - points['pelvis'], (0, body.hips, 0))
    assert np.allclose(hip - knee, (0, 0, body.thigh))
    assert np.allclose(knee - ankle, (0, 0, body.shin))
    assert np.allclose(points['right_shoulder'] - points['pelvis'],
                       (0, -body.shoulders, 0.94 * body.trunk))
    assert np.allclose(points['right_shoulder'] - points['right_wrist'],
                       (0, 0, body.upper_arm + body.forearm))
    # looks along x, left eye on the left
    assert points['nose'][0] > points['left_eye'][0] > points['left_ear'][0]
    assert points['left_eye'][1] > 5 > points['right_eye'][1]
    assert points['left_toe'][0] > points['left_ankle'][0]


@pytest.mark.parametrize('arm, elbow, wrist', [
    ((0, 90, 0, 0), (0, 1, 0), (0, 1, 0)),  # aside
    ((90, 0, 0, 0), (1, 0, 0), (1, 0, 0)),  # ahead
    ((180, 0, 0, 0), (0, 0, 1), (0, 0, 1)),  # up
    ((0, 0, 0, 90), (0, 0, -1), (1, 0, 0)),  # forearm ahead
    ((0, 0, 90, 90), (0, 0, -1), (0, -1, 0)),  # in front of the belly
    ((90, 0, 0, 90), (1, 0, 0), (0, 0, 1))])
def test_left_arm_by_hand(body, arm, elbow, wrist):
    points = stand(body, Pose(arms=_arms(*arm))).points
    assert np.allclose(points['left_elbow'] - points['left_shoulder'],
                       np.multiply(elbow, body.upper_arm))
    assert np.allclose(points['left_wrist'] - points['left_elbow'],
                       np.multiply(wrist, body.forearm))


def test_bent_knee_puts_the_foot_behind(body):
    points = stand(body, Pose(legs=_arms(0, 0, 0, 90))).points
    assert np.allclose(points['left_ankle'] - points['left_knee'],
                       (-body.shin, 0, 0))


def test_trunk_angles_by_hand(body):
    def neck(**angles):
        figure = stand(body, Pose(**angles))
        return figure.points['neck'] - figure.points['pelvis']
    assert np.allclose(neck(pitch=90), (body.trunk, 0, 0))
    assert np.allclose(neck(roll=90), (0, -body.trunk, 0))
    points = stand(body, Pose(twist=90)).points
    # the left shoulder goes behind when the trunk turns to the left
    assert np.allclose(points['left_shoulder'] - points['pelvis'],
                       (-body.shoulders, 0, 0.94 * body.trunk))
    assert np.allclose(points['left_hip'] - points['pelvis'],
                       (0, body.hips, 0))


def test_head_turns_to_the_left(body):
    points = stand(body, Pose(head=(0, 0, 90))).points
    ahead = points['nose'] - points['skull']
    assert ahead[1] > 0.05 and abs(ahead[0]) < 1e-9


def test_heading_turns_the_whole_person(body):
    pose = random_pose(np.random.default_rng(1))
    here = stand(body, pose).points
    there = stand(body, pose, (3, 4), 30).points
    for name in KEYPOINTS:
        x, y, z = here[name]
        c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
        assert np.allclose(there[name], (c * x - s * y + 3,
                                         s * x + c * y + 4, z))


def test_the_lowest_foot_is_on_the_floor():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        body = random_body(rng)
        points = stand(body, random_pose(rng)).points
        lowest = min(points[f'{side}_{end}'][2] for side in (
            'left', 'right') for end in ('heel', 'toe'))
        assert np.isclose(lowest, 0.4 * body.ankle)


def test_people_have_the_size_of_people():
    for seed in range(20):
        body = random_body(np.random.default_rng(seed))
        points = stand(body, Pose()).points
        top = points['skull'][2] + body.head[2]
        assert 1.25 < top < 2.1
        assert 1.6 < body.shoulders / body.hips < 2.4
