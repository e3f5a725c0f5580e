import numpy as np
import pytest
from miniworld.persons.canvas import Camera, Canvas
from miniworld.persons.clothing import random_look
from miniworld.persons.figures import (
    PARTS,
    draw_person,
    keypoint_states,
    part_label,
    person_of,
)
from miniworld.persons.poses import mirrored, random_pose
from miniworld.persons.skeleton import (
    KEYPOINTS,
    Pose,
    random_body,
    stand,
)

BODY = random_body(np.random.default_rng(2))
LOOK = random_look(np.random.default_rng(0))._replace(hair='short',
                                                      skirt=False)
ARMS = np.array([[0, 20, 0, 10], [0, 20, 0, 10]], float)
FACING, BEHIND, TO_RIGHT, TO_LEFT = -90, 90, 0, 180


def _canvas(height=1.0):
    camera = Camera.look_at((0, -3, height), (0, 0, 0.9), 0, 220, 160, 200)
    return Canvas(camera, np.full((200, 160, 3), 128, np.uint8), (0, -1, 1))


def _draw(heading, pose=None, place=(0, 0), look=LOOK, hide=None):
    """Return canvas and the states of the keypoints by name."""
    canvas = _canvas()
    figure = stand(BODY, pose or Pose(arms=ARMS), place, heading)
    draw_person(canvas, 0, BODY, figure, look)
    if hide is not None:
        canvas.quad(np.array(hide), (0, 0, 0))
    return canvas, dict(zip(KEYPOINTS, keypoint_states(canvas, 0, BODY,
                                                       figure)))


def _visible(states):
    return {name for name, state in states.items() if state[2] == 2}


def test_from_the_front_all_is_visible_and_left_is_on_the_right():
    _, states = _draw(FACING)
    assert _visible(states) == set(KEYPOINTS)
    for name in ('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee',
                 'ankle'):
        assert states[f'left_{name}'][0] > states[f'right_{name}'][0] + 1


def test_from_behind_the_face_is_hidden_and_left_is_on_the_left():
    _, states = _draw(BEHIND)
    hidden = {'nose', 'left_eye', 'right_eye'}
    assert _visible(states) == set(KEYPOINTS) - hidden
    assert all(states[name][2] == 1 for name in hidden)
    for name in ('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee',
                 'ankle'):
        assert states[f'left_{name}'][0] < states[f'right_{name}'][0] - 1


def test_long_hair_hides_ears_from_behind():
    _, states = _draw(BEHIND, look=LOOK._replace(hair='long'))
    assert states['left_ear'][2] == states['right_ear'][2] == 1


@pytest.mark.parametrize('heading, near, far', [
    (TO_RIGHT, 'right', 'left'), (TO_LEFT, 'left', 'right')])
def test_from_the_side_the_far_side_is_hidden(heading, near, far):
    # arms to the front, where they hide neither hip
    pose = Pose(arms=np.array([[70, 10, 0, 0]] * 2, float))
    _, states = _draw(heading, pose)
    visible = _visible(states)
    for name in ('eye', 'ear', 'shoulder', 'hip', 'elbow', 'knee'):
        assert f'{near}_{name}' in visible
    for name in ('eye', 'ear', 'shoulder', 'hip'):
        assert states[f'{far}_{name}'][2] == 1
    # looks to the right in the picture when heading along x
    sign = 1 if heading == TO_RIGHT else -1
    assert sign * (states['nose'][0] - states[f'{near}_ear'][0]) > 3


def test_features_of_the_face_are_painted_where_their_keypoints_are():
    canvas, states = _draw(FACING)
    picture = canvas.picture().astype(int)
    for name in ('left_eye', 'right_eye'):
        x, y, _ = np.round(states[name]).astype(int)
        # an eye has the darkest and the lightest pixel of its surroundings
        around = picture[y - 2:y + 3, x - 2:x + 3].sum(axis=-1)
        skin = picture[y + 4, x].sum()
        assert around.min() < skin - 60 or around.max() > skin + 60


def test_hands_before_the_belly_are_hidden_from_behind():
    pose = Pose(arms=np.array([[25, 5, 35, 70]] * 2, float))
    for heading, state in ((FACING, 2), (BEHIND, 1)):
        _, states = _draw(heading, pose)
        assert states['left_wrist'][2] == states['right_wrist'][2] == state


def test_what_a_screen_covers_is_hidden():
    # a screen 1 m before the person, up to the line of sight to 0.7 m
    _, free = _draw(FACING)
    canvas, states = _draw(FACING, hide=[(-2, -1, -1), (2, -1, -1),
                                         (2, -1, 0.8), (-2, -1, 0.8)])
    edge = canvas.camera.project(np.array([0, -1, 0.8]))[0][1]
    covered = {name for name in KEYPOINTS if states[name][2] == 1}
    assert covered == {name for name in KEYPOINTS
                       if free[name][1] + 0.5 > edge}
    assert {'left_knee', 'right_ankle'} <= covered < set(KEYPOINTS)
    # behind the person it hides nothing
    _, states = _draw(FACING, hide=[(-2, 1, -1), (2, 1, -1), (2, 1, 3),
                                    (-2, 1, 3)])
    assert _visible(states) == set(KEYPOINTS)


@pytest.mark.parametrize('part, nearer, state', [
    ('trunk', 0.0, 2), ('trunk', 0.3, 1), ('left_upper_arm', 0.0, 2),
    ('right_upper_arm', 0.0, 1), ('left_thigh', 0.0, 1)])
def test_shoulder_is_seen_through_thin_parts_around_it_only(part, nearer,
                                                            state):
    figure = stand(BODY, Pose(), (0, 0), FACING)
    shoulder = figure.points['left_shoulder']
    canvas = _canvas()
    way = canvas.camera.position - shoulder
    canvas.ball(shoulder + nearer * way / np.linalg.norm(way), 0.05,
                (0, 0, 0), part_label(0, part))
    states = keypoint_states(canvas, 0, BODY, figure)
    assert states[KEYPOINTS.index('left_shoulder'), 2] == state


def test_another_person_hides():
    canvas = _canvas()
    figures = [stand(BODY, Pose(arms=ARMS), (0, away), FACING)
               for away in (0.0, 0.8)]
    for index, figure in enumerate(figures):
        draw_person(canvas, index, BODY, figure, LOOK)
    front, back = (keypoint_states(canvas, index, BODY, figure)
                   for index, figure in enumerate(figures))
    assert (front[:, 2] == 2).all()
    assert (back[:, 2] == 1).sum() > 6


def test_what_is_outside_has_no_place():
    canvas, states = _draw(FACING, place=(1.1, 0))
    outside = {name for name in KEYPOINTS if states[name][2] == 0}
    assert {'left_wrist', 'left_shoulder'} <= outside < set(KEYPOINTS)
    for name in outside:
        assert states[name].tolist() == [0, 0, 0]
    for name in set(KEYPOINTS) - outside:
        assert 0 <= states[name][0] <= canvas.camera.width - 1


def test_keypoints_are_in_pixels_whose_centres_are_whole():
    canvas, states = _draw(FACING)
    figure = stand(BODY, Pose(arms=ARMS), (0, 0), FACING)
    camera = canvas.camera
    point = camera.rotation @ (figure.points['left_knee'] - camera.position)
    # the centre of the picture is a corner of four pixels
    assert np.allclose(states['left_knee'][:2],
                       (220 * point[0] / point[2] + 79.5,
                        220 * point[1] / point[2] + 99.5))


def test_mirrored_person_gives_the_mirrored_picture():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        pose, turned = random_pose(rng), rng.uniform(-180, 180)
        look = random_look(rng)
        (one, states), (other, mirror) = (
            _draw(-90 + sign * turned, p, look=look)
            for sign, p in ((1, pose), (-1, mirrored(pose))))
        shape, flipped = one.label > 0, other.label[:, ::-1] > 0
        assert shape.sum() > 2000
        assert (shape != flipped).mean() < 2e-3
        for name, (x, y, v) in states.items():
            twin = name.replace('left', '?').replace('right', 'left').replace(
                '?', 'right')
            if v:
                assert np.allclose(mirror[twin][:2], (159 - x, y), atol=1e-6)


def test_visible_keypoints_are_on_the_person():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        canvas, states = _draw(rng.uniform(-180, 180), random_pose(rng))
        owner = person_of(canvas.label)
        for x, y, v in states.values():
            if v == 2:
                assert owner[int(2 * y + 1), int(2 * x + 1)] == 0


def test_numbers_of_parts():
    labels = [part_label(person, part) for person in range(3)
              for part in PARTS]
    assert len(set(labels)) == 3 * len(PARTS) and min(labels) == 1
    assert person_of(np.array(labels)).tolist() == [
        person for person in range(3) for _ in PARTS]
    assert person_of(np.array([0])) == -1


def test_all_parts_of_a_person_are_seen():
    canvas, _ = _draw(FACING, look=LOOK._replace(skirt=True))
    seen = {PARTS[k - 1] for k in np.unique(canvas.label) if k}
    assert seen == set(PARTS)


def test_clothes_have_their_colors():
    plain = LOOK._replace(top=np.array([0, 0, 250.]), stripe=None,
                          bottom=np.array([0, 250., 0]), sleeve=1.0, leg=1.0)
    canvas, states = _draw(FACING, look=plain)
    picture = canvas.picture().astype(int)

    def color(name):
        x, y, _ = np.round(states[name]).astype(int)
        return picture[y, x].argmax()

    assert color('left_elbow') == color('right_shoulder') == 2
    assert color('left_knee') == color('right_hip') == 1
    canvas, states = _draw(FACING, look=plain._replace(sleeve=0.4, leg=0.4))
    picture = canvas.picture().astype(int)
    # skin is red
    assert color('left_wrist') == color('left_elbow') == 0
    assert color('right_knee') == 0 and color('right_shoulder') == 2
