import numpy as np
import pytest
from miniworld.rooms.primitives import (
    NYU40_IDS,
    Camera,
    Item,
    Material,
    Primitive,
    moved_box,
    placement,
)


def test_look_at_puts_the_target_on_the_negative_z_axis():
    camera = Camera.look_at((1, 2, 1.5), (4, 2, 1.5))
    # looking along +x: right is -y, up is z, backwards is -x
    assert np.allclose(camera.rotation,
                       [[0, 0, -1], [-1, 0, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match='target must not be straight'):
        Camera.look_at((0, 0, 0), (0, 0, 1))


def test_pixel_rays_follow_the_standard_camera():
    camera = Camera(np.zeros(3), np.eye(3))
    rays = camera.pixel_rays(4, 2)
    focal = 2 / np.tan(np.pi / 6)
    corner = np.array([-1.5, 0.5, -focal])
    assert rays.shape == (2, 4, 3)
    assert np.allclose(rays[0, 0], corner / np.linalg.norm(corner))
    assert np.allclose(rays[1, 3], rays[0, 0] * (-1, -1, 1))


def test_bounds_of_a_moved_box():
    matrix = np.diag([1.0, 2.0, 3.0, 1.0])
    matrix[:3, 3] = 10, 20, 30
    low, high = Primitive('box', matrix, None, 1, 1).bounds()
    assert np.allclose(low, (9, 18, 27))
    assert np.allclose(high, (11, 22, 33))


def test_moved_box_swaps_the_sides_of_a_turned_box():
    low, high = moved_box((0, 0, 0), (1, 2, 3), placement((10, 0, 0), 90))
    assert np.array_equal(low, (8, 0, 0))
    assert np.array_equal(high, (10, 1, 3))


@pytest.mark.parametrize('add', [
    lambda item: item.box((-1, 0, 1), (1, 2, 3), Material()),
    lambda item: item.padding((-1, 0, 1), (1, 2, 3), Material()),
    lambda item: item.ball((0, 1, 2), 1, Material()),
    lambda item: item.rod((0, 1, 1), (0, 1, 3), 1, Material()),
    lambda item: item.turned((0, 1, 1), [(1, 0), (1, 2)], Material()),
    lambda item: item.frame(1, 1, 3, 0, 2, 0.1, Material()),
    lambda item: item.legs((-1, 0.5), (0, 1.5), 0.5, 1, 3, Material())])
def test_shapes_fill_the_space_they_are_given(add):
    item = Item('thing', 'box')
    add(item)
    assert np.allclose(item.bounds(), [(-1, 0, 1), (1, 2, 3)])


@pytest.mark.parametrize('facing, normal', [
    ('front', (0, 1, 0)), ('up', (0, 0, 1)), ('down', (0, 0, -1))])
def test_panels_face_where_they_are_told(facing, normal):
    item = Item('thing', 'box')
    item.panel((0, 0, 0), 2, 4, Material(), facing)
    axes = item.primitives[0].to_world[:3, :3]
    assert np.allclose(np.cross(axes[:, 0], axes[:, 1]) / 2, normal)
    assert np.allclose(axes[:, 2], normal)


def test_items_number_and_label_their_objects():
    lamp = Item('lamp', 'lamp')
    lamp.ball((0, 0, 1), 0.1, Material())
    item = Item('desk', 'desk')
    item.ball((0, 0, 0), 1, Material())
    item.begin('books')
    item.ball((0, 0, 0), 1, Material())
    item.merge(lamp, placement((0, 0, 2)))
    item.begin()
    item.ball((0, 0, 0), 1, Material())
    assert [part.instance for part in item.primitives] == [0, 1, 2, 3]
    assert [part.semantic for part in item.primitives] == [
        NYU40_IDS[name] for name in ('desk', 'books', 'lamp', 'desk')]
    assert item.primitives[2].to_world[2, 3] == 3
    assert lamp.primitives[0].to_world[2, 3] == 1, 'merging leaves it alone'
