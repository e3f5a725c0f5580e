import numpy as np
import pytest
from miniworld.rooms.furnishing import make_room
from miniworld.rooms.primitives import (
    Camera,
    Item,
    Material,
    PlacedObject,
    Room,
)
from miniworld.subjects.parts import Subject
from miniworld.subjects.portraits import PORTRAITS
from miniworld.subjects.shots import (
    _in_the_way,
    _without,
    portrait_shot,
    shares,
    structure_shot,
)
from miniworld.subjects.structures import STRUCTURES

ASPECT = 4 / 3


def _shots():
    """Yield (room, subject, shot) of both kinds."""
    for index in range(4):
        room = make_room(0, 100000 + index, 2)
        for number in range(4):
            rng = np.random.default_rng([index, number])
            subject = PORTRAITS[(index + number) % 7][0](rng)
            yield room, subject, portrait_shot(room, number % 2, subject,
                                               rng, ASPECT)
            item = STRUCTURES[(3 * index + number) % 11](rng, 1 + number)
            subject = Subject(item, *item.bounds())
            yield room, subject, structure_shot(room, subject, rng, ASPECT)


@pytest.fixture(scope='module')
def made():
    return list(_shots())


def _samples(shot):
    """Return points all over the subject of a shot."""
    points = []
    for part in shot.subject:
        local = (part.mesh.vertices[::7] if part.mesh is not None
                 else np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1)
                                for z in (-1, 1)]))
        points.append(local @ part.to_world[:3, :3].T
                      + part.to_world[:3, 3])
    return np.concatenate(points)


def test_shares_are_the_pinhole_projection():
    camera = Camera.look_at((0, 0, 1.5), (0, 3, 1.5))
    # at 60 degrees the picture is 2 * 3 * tan(30 deg) wide, 3 m away
    half = 3 * np.tan(np.pi / 6)
    points = np.array([(0, 3, 1.5), (half, 3, 1.5),
                       (0, 3, 1.5 - half / ASPECT), (-half / 2, 3, 1.5)])
    assert np.allclose(shares(points, camera, np.pi / 3, ASPECT),
                       [(0, 0), (1, 0), (0, -1), (-0.5, 0)])


def test_subjects_are_in_the_picture_and_large(made):
    for _, subject, shot in made:
        points = _samples(shot)
        local = (points - shot.camera.position) @ shot.camera.rotation
        assert (local[:, 2] < -0.1).all(), 'in front of the camera'
        seen = shares(points, shot.camera, shot.fov, ASPECT)
        inside = (np.abs(seen) < 1).all(axis=1)
        assert inside.mean() > 0.35, subject.item.name
        span = np.ptp(seen[inside], axis=0) / 2
        assert span.max() > 0.35, subject.item.name
        assert span.min() > 0.1, subject.item.name


def test_nothing_is_in_front_of_the_subject(made):
    """Walk along the lines of sight in steps of a centimetre."""
    rng = np.random.default_rng(0)
    for _, subject, shot in made:
        points = rng.permutation(_samples(shot))[:60]
        seen = shares(points, shot.camera, shot.fov, ASPECT)
        points = points[(np.abs(seen) < 1).all(axis=1)]
        eye = shot.camera.position
        away = np.linalg.norm(points - eye, axis=1).max()
        share = np.arange(0, 1, 0.01 / away)[:, None, None]
        line = (eye + share * (points - eye)).reshape(-1, 3)
        # feet touch the floor, or reach into it by a millimetre
        line = np.ascontiguousarray(line[line[:, 2] > 0.02].T)
        for part in shot.room:
            low, high = part.bounds()
            hit = line
            for axis in range(3):
                hit = hit[:, (hit[axis] > low[axis])
                          & (hit[axis] < high[axis])]
            assert not hit.size, (subject.item.name, low, high)


def test_camera_and_subject_are_inside_the_room(made):
    for room, subject, shot in made:
        size = np.array(room.size)
        assert (shot.camera.position > 0).all()
        assert (shot.camera.position < size).all()
        points = _samples(shot)
        assert (points[:, :2] > -0.05).all()
        assert (points[:, :2] < size[:2] + 0.05).all()


def test_structures_stand_on_the_floor_of_the_room(made):
    for _, subject, shot in made[1::2]:
        assert abs(_samples(shot)[:, 2].min()) < 0.03


def test_lights_stay_when_furniture_is_cleared(made):
    for room, _, shot in made:
        lights = [p for p in room.primitives
                  if p.material.emission and p.bounds()[0][2] > 2.2]
        assert lights and set(lights) <= set(shot.room)
        assert len(shot.room) >= 0.4 * len(room.primitives)


def test_studio_light_is_behind_the_camera_and_shines_forward(made):
    added = 0
    for room, _, shot in made:
        for part in set(shot.room) - set(room.primitives):
            added += 1
            local = ((part.to_world[:3, 3] - shot.camera.position)
                     @ shot.camera.rotation)
            assert local[2] > 0
            normal = part.to_world[:3, 2]
            goal = np.mean(_samples(shot), axis=0) - part.to_world[:3, 3]
            assert normal @ goal > 0
    assert added > len(made) / 2


def test_equal_arguments_give_equal_shots(made):
    for one, two in zip(made, _shots()):
        for a, b in zip(one[2].subject, two[2].subject):
            assert np.array_equal(a.to_world, b.to_world)
        for name in ('fov', 'aperture', 'focus', 'slide'):
            assert np.array_equal(getattr(one[2], name),
                                  getattr(two[2], name))
        break


def test_what_stands_between_is_found():
    def thing(x, y, low=0.0):
        return PlacedObject(f'{x} {y}', np.array([x - 0.2, y - 0.2, low]),
                            np.array([x + 0.2, y + 0.2, low + 0.3]))
    eye, goal = np.array([0.0, 0, 0.15]), np.array([[0.0, 3, 0.15]])
    between, behind = thing(0, 1.5), thing(0, 4)
    beside, before = thing(0.5, 1.5), thing(0, -1)
    overhead = thing(0, 1.5, low=2.3)
    assert _in_the_way([between, behind, beside, before, overhead], eye,
                       goal) == [between]
    # wide enough a margin reaches what is beside the line
    assert _in_the_way([beside], eye, goal, margin=0.31) == [beside]


def test_cleared_furniture_takes_its_surfaces_along():
    item = Item('chair', 'chair')
    item.box((0, 0, 0), (1, 1, 1), Material())
    item.box((0, 0, 0), (3, 1, 1), Material())
    item.box((0, 0, 2.3), (1, 1, 2.4), Material())
    thing = PlacedObject('chair', np.zeros(3), np.array([1, 1, 2.5]))
    assert _without(item.primitives, [thing]) == item.primitives[1:]


def test_subject_that_fits_nowhere_is_refused():
    item = Item('tower', 'otherprop')
    item.box((-1, -1, 0), (1, 1, 1), Material())
    room = Room('living', (2.9, 2.9, 2.5))
    with pytest.raises(RuntimeError, match='tower of .* another seed'):
        structure_shot(room, Subject(item, *item.bounds()),
                       np.random.default_rng(0), ASPECT)
