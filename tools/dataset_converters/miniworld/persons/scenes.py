"""Pictures of one to three people among objects."""
from collections import namedtuple

import cv2
import numpy as np

from .backdrops import cast_shadows, make_backdrop
from .canvas import Camera, Canvas, Stripes
from .clothing import random_color, random_look
from .figures import draw_person, keypoint_states, person_of
from .poses import POSES, random_pose
from .skeleton import random_body, stand, turn

#: Sides of a picture in pixels, and the share of landscape formats.
LONG, SHORT = 320, 240
_LANDSCAPES = 0.6

# the fewest pixels and visible keypoints that a person may show
_LEAST_AREA = 300
_LEAST_VISIBLE = 5
_ATTEMPTS = 50

#: A person in a scene: lengths, places in the world, appearance.
Person = namedtuple('Person', 'body figure look seated')

#: An upright box on or above the floor: centre of its underside (3,), half
#: its width and depth, its height, rotation about z in degrees, RGB.
Box = namedtuple('Box', 'base half_width half_depth height heading color '
                 'striped')

#: ``people`` is a list[Person], ``boxes`` a list[Box], ``poles`` a list of
#: (base (3,), height, radius, RGB) and ``wall`` where the floor ends.
Scene = namedtuple('Scene', 'camera people boxes poles wall light')

#: ``picture`` is (H, W, 3) uint8 RGB; for each person ``masks`` has an array
#: (H, W) bool and ``keypoints`` the (17, 3) of `keypoint_states`.
Shot = namedtuple('Shot', 'picture masks keypoints')


def make_shot(rng):
    """Draw a scene in which every person is recognisable.

    Args:
        rng (np.random.Generator): Source of all choices.

    Returns:
        Shot: Every person has at least 300 pixels and five visible keypoints.

    Raises:
        RuntimeError: If fifty random scenes fail to show everyone.
    """
    for _ in range(_ATTEMPTS):
        scene = compose(rng)
        shot = photograph(scene, rng)
        if all(mask.sum() >= _LEAST_AREA
               and (states[:, 2] == 2).sum() >= _LEAST_VISIBLE
               for mask, states in zip(shot.masks, shot.keypoints)):
            return shot
    raise RuntimeError(f'make_shot: none of {_ATTEMPTS} scenes shows every '
                       'person well enough; use another seed.')


def compose(rng):
    """Place people and objects.

    Args:
        rng (np.random.Generator): Source of all choices.

    Returns:
        Scene: No two people stand in the same place.
    """
    landscape = rng.random() < _LANDSCAPES
    width, height = (LONG, SHORT) if landscape else (SHORT, LONG)
    count = 1 + rng.choice(3, p=(0.4, 0.35, 0.25) if landscape
                           else (0.7, 0.3, 0))
    focal = SHORT * rng.uniform(0.95, 1.6)
    # a height of 1.7 m fills this share of the picture
    distance = focal * 1.7 / (height * rng.uniform(0.5, 1.05))
    people = []
    while len(people) < count:
        away = distance if not people else max(
            distance + rng.uniform(-0.8, 2.5), 0.7 * distance, 1.5)
        place = 0.45 * width * away / focal * rng.uniform(-1, 1), away
        if _is_free(place, people, 0.75):
            people.append(_make_person(rng, place))
    first = people[0].figure.points
    middle = (first['pelvis'] + first['neck']) / 2
    camera = Camera.look_at(
        (0, 0, rng.uniform(0.7, 1.9)),
        middle * (rng.uniform(0, 0.6), 1, 1) + (0, 0, rng.normal(-0.1, 0.12)),
        rng.normal(0, 2.5), focal, width, height)
    farthest = max(p.figure.points['pelvis'][1] for p in people)
    boxes = [box for person in people if person.seated
             for box in _make_seat(rng, person)]
    boxes += [box for box in _make_boxes(rng, camera, people)
              if _is_free(box.base, people, 0.4 + max(box.half_width,
                                                      box.half_depth))]
    poles = [pole for pole in _make_poles(rng, people)
             if _is_free(pole[0], people, 0.4)]
    light = (rng.uniform(-1, 1), rng.uniform(-1.2, 0.2),
             rng.uniform(0.6, 1.5))
    return Scene(camera, people, boxes, poles,
                 farthest + rng.uniform(0.9, 4), light)


def photograph(scene, rng):
    """Draw a scene.

    Args:
        scene (Scene): The scene to draw.
        rng (np.random.Generator): Source of the backdrop and the noise.

    Returns:
        Shot: The picture and its labels.
    """
    camera = scene.camera
    backdrop = make_backdrop(rng, camera, scene.wall)
    shadows = [(*person.figure.points['pelvis'][:2], 0.35)
               for person in scene.people]
    shadows += [(*box.base[:2], 1.2 * max(box.half_width, box.half_depth))
                for box in scene.boxes]
    cast_shadows(backdrop, camera, shadows)
    canvas = Canvas(camera, backdrop, scene.light, rng.uniform(0.3, 0.6))
    for index, person in enumerate(scene.people):
        draw_person(canvas, index, person.body, person.figure, person.look)
    for box in scene.boxes:
        draw_box(canvas, box)
    for base, height, radius, color in scene.poles:
        top = base + (0, 0, height)
        canvas.cone(base, top, radius, radius, color)
        canvas.ball(top, 3.5 * radius, color)
    states = [keypoint_states(canvas, index, person.body, person.figure)
              for index, person in enumerate(scene.people)]
    return Shot(_expose(canvas.picture(), rng),
                silhouettes(canvas, len(scene.people)), states)


def silhouettes(canvas, count):
    """Find the pixels of each person.

    Args:
        canvas (Canvas): The finished canvas.
        count (int): Number of people.

    Returns:
        list[np.ndarray]: (H, W) bool each. A pixel belongs to the person who
        covers most of its samples, and at least half of them.
    """
    owner = person_of(canvas.label)
    height, width = canvas.camera.height, canvas.camera.width
    samples = owner.reshape(height, len(owner) // height, width, -1)
    shares = np.stack([(samples == index).mean(axis=(1, 3))
                       for index in range(count)])
    most = shares.argmax(axis=0)
    return [(most == index) & (shares[index] >= 0.5)
            for index in range(count)]


def draw_box(canvas, box):
    """Draw the visible sides of a box.

    Args:
        canvas (Canvas): The canvas to draw on.
        box (Box): The box, in the world.
    """
    rotation = turn(2, box.heading)
    half = np.array([box.half_width, box.half_depth, box.height / 2])
    center = box.base + (0, 0, half[2])
    for axis in range(3):
        for sign in (-1, 1):
            normal = sign * rotation[:, axis]
            face = center + half[axis] * normal
            if (canvas.camera.position - face) @ normal <= 0:
                continue
            one, two = (half[k] * rotation[:, k]
                        for k in range(3) if k != axis)
            stripes = None
            if box.striped:
                way = canvas.camera.rotation @ rotation[:, 2]
                stripes = Stripes(0.8 * box.color, way, 0.14,
                                  canvas.camera.local(box.base) @ way)
            canvas.quad(np.array([face + one + two, face + one - two,
                                  face - one - two, face - one + two]),
                        box.color, stripes=stripes)


def _make_person(rng, place):
    body = random_body(rng)
    weights = np.array([weight for _, weight in POSES.values()])
    kind = rng.choice(list(POSES), p=weights / weights.sum())
    pose = random_pose(rng, kind)
    # the camera is on the side of smaller y
    heading = -90 + (rng.normal(0, 35) if rng.random() < 0.5
                     else rng.uniform(-180, 180))
    look = random_look(rng, skirts=kind in ('standing', 'walking'))
    return Person(body, stand(body, pose, place, heading), look, pose.seated)


def _make_seat(rng, person):
    """Return the boxes of a stool or chair under a person."""
    points = person.figure.points
    aside = points['left_hip'] - points['right_hip']
    ahead = np.array([aside[1], -aside[0], 0]) / np.hypot(*aside[:2])
    heading = np.rad2deg(np.arctan2(ahead[1], ahead[0]))
    color = random_color(rng, (0.1, 0.7), (0.2, 0.8))
    top = points['pelvis'][2] - 0.1 * person.body.girth
    base = points['pelvis'] * (1, 1, 0) + 0.03 * ahead
    thin = rng.random() < 0.5
    boxes = [Box(base + (0, 0, max(top - 0.06, 0) if thin else 0), 0.19,
                 rng.uniform(0.19, 0.3), 0.06 if thin else max(top, 0.05),
                 heading, color, False)]
    if thin:
        for x in (-0.16, 0.16):
            for y in (-0.16, 0.16):
                foot = base + turn(2, heading) @ (x, y, 0)
                boxes.append(Box(foot, 0.02, 0.02, max(top - 0.05, 0.02),
                                 heading, 0.8 * color, False))
    if rng.random() < 0.5:
        behind = base - 0.24 * ahead + (0, 0, max(top - 0.05, 0))
        boxes.append(Box(behind, 0.025, 0.2, rng.uniform(0.25, 0.5), heading,
                         color, rng.random() < 0.3))
    return boxes


def _make_boxes(rng, camera, people):
    """Return furniture, some of it between the camera and the people."""
    places = [person.figure.points['pelvis'] for person in people]
    boxes = []
    for _ in range(rng.choice(4, p=(0.25, 0.35, 0.25, 0.15))):
        if rng.random() < 0.4:
            x, y, _ = rng.uniform(0.5, 0.8) * places[rng.integers(
                len(places))]
            x, y = x + rng.normal(0, 0.4), max(y, 1.2)
            height = rng.uniform(0.3, 1.0)
        else:
            y = rng.uniform(0.9 * places[0][1],
                            max(place[1] for place in places) + 0.8)
            x = 0.6 * camera.width * y / camera.focal * rng.uniform(-1, 1)
            height = rng.uniform(0.3, 1.6)
        boxes.append(Box(np.array([x, y, 0]), *rng.uniform(0.15, 0.5, 2),
                         height, rng.uniform(0, 90),
                         random_color(rng, (0.05, 0.7), (0.15, 0.9)),
                         rng.random() < 0.3))
    return boxes


def _make_poles(rng, people):
    """Return lamps as (base, height, radius, colour)."""
    places = [person.figure.points['pelvis'] for person in people]
    poles = []
    for _ in range(rng.choice(3, p=(0.6, 0.3, 0.1))):
        y = rng.uniform(0.6 * places[0][1],
                        max(place[1] for place in places) + 0.8)
        poles.append((np.array([rng.uniform(-0.5, 0.5) * y, y, 0]),
                      rng.uniform(0.8, 2.2), rng.uniform(0.015, 0.05),
                      random_color(rng)))
    return poles


def _is_free(place, people, space):
    """Return whether nobody is nearer to a place than ``space`` metres."""
    return all(np.hypot(*(person.figure.points['pelvis'][:2] - place[:2]))
               >= space for person in people)


def _expose(picture, rng):
    """Vary brightness, sharpness and noise, as cameras do."""
    picture = picture.astype(np.float32) * rng.uniform(0.75, 1.2)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 0.8))
    picture += rng.uniform(0, 7) * rng.standard_normal(
        picture.shape, np.float32)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
