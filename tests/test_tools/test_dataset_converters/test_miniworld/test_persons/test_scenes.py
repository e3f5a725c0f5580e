from itertools import combinations

import cv2
import numpy as np
import pytest
from miniworld.persons import scenes
from miniworld.persons.canvas import Camera, Canvas
from miniworld.persons.figures import part_label
from miniworld.persons.scenes import (
    Box,
    compose,
    draw_box,
    make_shot,
    photograph,
    silhouettes,
)


@pytest.fixture(scope='module')
def shots():
    return [make_shot(np.random.default_rng([9, k])) for k in range(14)]


@pytest.fixture(scope='module')
def composed():
    return [compose(np.random.default_rng([7, k])) for k in range(60)]


def test_pictures_are_small_and_of_both_formats(shots):
    sizes = {shot.picture.shape for shot in shots}
    assert sizes == {(240, 320, 3), (320, 240, 3)}
    assert all(shot.picture.dtype == np.uint8 for shot in shots)


def test_one_to_three_people(composed):
    counts = [len(scene.people) for scene in composed]
    assert set(counts) == {1, 2, 3}


def test_people_are_seen_well_enough(shots):
    for shot in shots:
        assert len(shot.masks) == len(shot.keypoints) >= 1
        for mask, states in zip(shot.masks, shot.keypoints):
            assert mask.sum() >= 300 and (states[:, 2] == 2).sum() >= 5


def test_visible_keypoints_lie_in_the_silhouette(shots):
    seen = 0
    for shot in shots:
        for mask, states in zip(shot.masks, shot.keypoints):
            # one pixel more: an outline may pass through a pixel
            wide = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3)))
            for x, y, v in states[states[:, 2] == 2]:
                assert wide[round(y), round(x)]
                seen += 1
    assert seen > 150


def test_all_states_occur_and_places_are_in_the_picture(shots):
    states = np.concatenate([k for shot in shots for k in shot.keypoints])
    assert set(states[:, 2]) == {0, 1, 2}
    for shot in shots:
        height, width = shot.picture.shape[:2]
        for states in shot.keypoints:
            assert (states[:, :2] >= 0).all()
            assert (states[:, :2] <= (width - 1, height - 1)).all()
            assert not states[states[:, 2] == 0].any()


def test_silhouettes_do_not_overlap(shots):
    pairs = [pair for shot in shots for pair in combinations(shot.masks, 2)]
    assert pairs
    assert not any((one & two).any() for one, two in pairs)


def test_silhouettes_by_brute_force():
    camera = Camera.look_at((0, 0, 1), (0, 1, 1), 0, 10, 6, 4)
    canvas = Canvas(camera, np.zeros((4, 6, 3), np.uint8), (0, 0, 1))
    rng = np.random.default_rng(0)
    canvas.label[:] = rng.choice(
        [0, part_label(0, 'trunk'), part_label(0, 'nose'),
         part_label(1, 'skull')], canvas.label.shape)
    one, two = silhouettes(canvas, 2)
    kinds = set()
    for y in range(4):
        for x in range(6):
            count = [0, 0]
            for label in canvas.label[2 * y:2 * y + 2,
                                      2 * x:2 * x + 2].ravel():
                if label:
                    count[int(label >= part_label(1, 'trunk'))] += 1
            kinds.add(tuple(count))
            assert one[y, x] == (count[0] >= 2 and count[0] >= count[1])
            assert two[y, x] == (count[1] >= 2 and count[1] > count[0])
    assert (2, 2) in kinds and (1, 2) in kinds and (1, 1) in kinds


def test_nobody_stands_in_another_or_in_furniture(composed):
    boxes = 0
    for scene in composed:
        places = [p.figure.points['pelvis'][:2] for p in scene.people]
        for one, two in combinations(places, 2):
            assert np.linalg.norm(one - two) >= 0.75
        seats = sum(person.seated for person in scene.people)
        if not seats:
            for box in scene.boxes:
                boxes += 1
                for place in places:
                    assert np.linalg.norm(box.base[:2] - place) > 0.4
    assert boxes > 20


def test_who_sits_has_a_seat_below(composed):
    seated = 0
    for scene in composed:
        for person in scene.people:
            if not person.seated:
                continue
            seated += 1
            pelvis = person.figure.points['pelvis']
            tops = [box.base[2] + box.height for box in scene.boxes
                    if np.linalg.norm(box.base[:2] - pelvis[:2]) < 0.1]
            assert any(0.05 < pelvis[2] - top < 0.2 for top in tops)
    assert seated > 8


def test_people_face_all_ways(composed):
    ways = []
    for scene in composed:
        for person in scene.people:
            points = person.figure.points
            ways.append(points['right_hip'][0] < points['left_hip'][0])
    # those who face the camera have their left on the right
    assert 0.6 < np.mean(ways) < 0.9


def test_furniture_hides_people():
    hidden = 0
    for k in range(40):
        scene = compose(np.random.default_rng([7, k]))
        if len(scene.people) > 1 or not scene.boxes:
            continue
        free = scene._replace(boxes=[], poles=[])
        areas = [photograph(s, np.random.default_rng(0)).masks[0].sum()
                 for s in (scene, free)]
        assert areas[0] <= areas[1]
        hidden += areas[0] < 0.9 * areas[1]
        if hidden:
            return
    pytest.fail('no furniture is in front of anybody')


def test_box_by_hand():
    camera = Camera.look_at((0, 0, 1), (0, 1, 1), 0, 60, 60, 60)
    canvas = Canvas(camera, np.zeros((60, 60, 3), np.uint8), (0, -1, 0))
    draw_box(canvas, Box(np.array([0, 3.5, 0.5]), 0.5, 0.5, 0.25, 0,
                         np.array([200.0, 100, 50]), False))
    # its front is 3 m away, 1 m wide and from 0.25 to 0.5 m below the eye;
    # of its top, 1 m deep, the far edge is at 60 * 0.25 / 4
    front = canvas.depth[2 * 36:2 * 39, 2 * 21:2 * 39]
    assert np.allclose(front, 3, atol=1e-5)
    column = np.isfinite(canvas.depth[:, 60])
    rows = np.flatnonzero(column)
    assert abs(rows[0] - 2 * (30 + 3.75)) <= 1
    assert abs(rows[-1] - (2 * 40 - 1)) <= 1
    assert np.allclose(canvas.picture()[37, 30], (200, 100, 50), atol=1)


def test_equal_seeds_give_equal_shots(shots):
    again = make_shot(np.random.default_rng([9, 0]))
    assert np.array_equal(again.picture, shots[0].picture)
    assert np.array_equal(again.keypoints, shots[0].keypoints)
    assert not np.array_equal(shots[0].picture, shots[1].picture)


def test_bad_luck_is_reported(monkeypatch):
    monkeypatch.setattr(scenes, '_LEAST_VISIBLE', 18)
    monkeypatch.setattr(scenes, '_ATTEMPTS', 2)
    with pytest.raises(RuntimeError,
                       match='none of 2 scenes .* use another seed'):
        make_shot(np.random.default_rng(0))
