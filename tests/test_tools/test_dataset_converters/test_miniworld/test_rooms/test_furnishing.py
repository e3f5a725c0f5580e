import numpy as np
import pytest
from miniworld.rooms.furnishing import ROOM_KINDS, make_room
from miniworld.rooms.primitives import NYU40_IDS

# one room of every kind, and a second of the first
INDICES = (0, 1, 2, 3, 4)


@pytest.fixture(scope='module')
def rooms():
    return [make_room(0, index) for index in INDICES]


def _flatten(room):
    """Return all numbers that place the surfaces and cameras of a room."""
    return np.concatenate(
        [p.to_world.ravel() for p in room.primitives]
        + [np.ravel(p.material.color) for p in room.primitives]
        + [np.append(c.position, c.rotation) for c in room.cameras])


def test_equal_seeds_give_equal_rooms(rooms):
    again = make_room(0, 2)
    assert np.array_equal(_flatten(again), _flatten(rooms[2]))
    for one, two in zip(again.primitives, rooms[2].primitives):
        assert (one.material.texture is None) == (
            two.material.texture is None)
        if one.material.texture is not None:
            assert np.array_equal(one.material.texture.image,
                                  two.material.texture.image)


def test_other_seeds_and_indices_give_other_rooms(rooms):
    other_seed = make_room(1, 0)
    assert other_seed.kind == rooms[0].kind
    assert other_seed.size != rooms[0].size
    assert rooms[4].kind == rooms[0].kind
    assert rooms[4].size != rooms[0].size


def test_furniture_does_not_depend_on_number_of_cameras(rooms):
    more = make_room(0, 1, num_cameras=6)
    assert len(more.cameras) == 6
    assert len(more.primitives) == len(rooms[1].primitives)
    for one, two in zip(more.primitives, rooms[1].primitives):
        assert np.array_equal(one.to_world, two.to_world)


def test_kinds_alternate_and_hold_their_furniture(rooms):
    assert [room.kind for room in rooms[:4]] == list(ROOM_KINDS)
    for room, label in zip(rooms, ('sofa', 'bed', 'table', 'desk')):
        assert NYU40_IDS[label] in {p.semantic for p in room.primitives}


def test_furniture_stands_inside_the_room(rooms):
    for room in rooms:
        assert len(room.objects) >= 8
        for item in room.objects:
            assert (item.low >= -1e-6).all(), item.name
            assert (item.high <= np.array(room.size) + 1e-6).all(), item.name


def test_furniture_does_not_intersect(rooms):
    more = [make_room(0, index, 1) for index in range(len(INDICES), 12)]
    for index, room in enumerate(rooms + more):
        objects = room.objects
        assert len(objects) >= 8
        for k, one in enumerate(objects):
            for two in objects[k + 1:]:
                shared = (np.minimum(one.high, two.high)
                          - np.maximum(one.low, two.low))
                assert shared.min() < 1e-5, (index, one.name, two.name)


def test_walls_close_the_room_except_for_windows(rooms):
    """Every ray to the side hits a wall's box or leaves at a window."""
    for room in rooms:
        walls = [p.bounds() for p in room.primitives
                 if p.semantic == NYU40_IDS['wall']]
        windows = [p.bounds() for p in room.primitives
                   if p.semantic == NYU40_IDS['window']]
        width, depth, height = room.size
        rng = np.random.default_rng(0)
        for _ in range(200):
            x, y, z = rng.uniform(0, 1, 3) * (width, depth, height)
            side = rng.integers(4)
            point = np.array([(x, -0.1, z), (width + 0.1, y, z),
                              (x, depth + 0.1, z), (-0.1, y, z)][side])
            normal = side % 2 == 0
            in_wall = any(((point > low) & (point < high)).all()
                          for low, high in walls)
            across = 0 if normal else 1
            in_window = any(
                low[across] - 2 < point[across] < high[across] + 2
                and 0.75 < z < 2.35 for low, high in windows)
            assert in_wall or in_window


def test_cameras_are_upright_at_eye_height_and_outside_furniture(rooms):
    for room in rooms:
        assert len(room.cameras) == 4
        for camera in room.cameras:
            assert np.allclose(camera.rotation.T @ camera.rotation,
                               np.eye(3), atol=1e-12)
            assert np.isclose(np.linalg.det(camera.rotation), 1)
            assert abs(camera.rotation[2, 0]) < 1e-12, 'roll'
            assert 1.2 <= camera.position[2] <= 1.7
            assert (camera.position[:2] > 0.2).all()
            assert (camera.position < room.size).all()
            for item in room.objects:
                inside = ((camera.position > item.low)
                          & (camera.position < item.high))
                assert not inside.all(), item.name


def test_labels_are_nyu40_and_instances_have_one_room(rooms):
    for room in rooms:
        labels = {}
        for part in room.primitives:
            if part.semantic == -1:
                assert part.instance == -1
                continue
            assert 1 <= part.semantic <= 40
            assert part.instance >= 1
            labels.setdefault(part.instance, set()).add(part.semantic)
        # furniture may carry a drawer or bracket of its own class only
        assert sum(len(found) > 1 for found in labels.values()) == 0


@pytest.mark.parametrize('arguments, name', [
    ((-1, 0), 'seed'), ((0, -1), 'index'), ((0, 0, 0), 'num_cameras')])
def test_wrong_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f'make_room: {name} must be'):
        make_room(*arguments)
