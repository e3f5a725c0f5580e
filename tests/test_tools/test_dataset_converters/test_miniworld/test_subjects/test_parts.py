import numpy as np
import pytest
from miniworld.rooms.primitives import Item, Material
from miniworld.subjects.parts import (
    add_ring,
    add_rods,
    blade_mesh,
    circle,
    sheet_mesh,
    tube_mesh,
)


def _triangles(mesh):
    """Return area, unit normal and mean vertex normal per triangle."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    double = np.linalg.norm(cross, axis=1)
    return (double / 2, cross / np.maximum(double, 1e-12)[:, None],
            mesh.normals[mesh.faces].mean(axis=1))


def test_straight_tube_has_the_area_of_a_prism():
    ends = np.array([[(0, 0, 0), (0, 0, 2.0)], [(1, 1, 1), (3, 1, 1)]])
    for sides in (3, 8):
        mesh = tube_mesh(ends, 0.1, sides)
        area, _, _ = _triangles(mesh)
        edge = 2 * 0.1 * np.sin(np.pi / sides)
        assert np.isclose(area.sum(), 2 * sides * edge * 2.0)
        assert len(mesh.faces) == 2 * 2 * sides
    # the first tube runs along z
    away = np.hypot(*mesh.vertices[:16, :2].T)
    assert np.allclose(away, 0.1)


def test_tube_radius_may_vary_along_the_curve():
    line = np.array([[(0, 0, 0), (0, 0, 1.0), (0, 0, 2.0)]])
    mesh = tube_mesh(line, (0.3, 0.2, 0.1), 4)
    away = np.hypot(*mesh.vertices[:, :2].T).reshape(3, 4)
    assert np.allclose(away, np.array([[0.3], [0.2], [0.1]]))


@pytest.mark.parametrize('normal', [(0, 0, 1), (0, 1, 0), (1, 2, 3)])
def test_ring_is_a_torus(normal):
    item = Item('ring', 'otherprop')
    add_ring(item, (1, 2, 3), 0.5, 0.02, Material(), normal)
    mesh = item.primitives[0].mesh
    area, facet, smooth = _triangles(mesh)
    # Pappus: the lengths of both circles multiply
    assert np.isclose(area.sum(), 4 * np.pi**2 * 0.5 * 0.02, rtol=0.05)
    height = (mesh.vertices - (1, 2, 3)) @ normal / np.linalg.norm(normal)
    assert np.isclose(np.abs(height).max(), 0.02, rtol=0.01)
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1)
    # all triangles are wound the same way round
    facing = (facet * smooth).sum(axis=1)
    assert (facing > 0.5).all() or (facing < -0.5).all()


def test_circle_is_closed_flat_and_round():
    points = circle((0, 0, 1), 2.0, (1, 0, 0), 17)
    assert points.shape == (17, 3)
    assert np.allclose(points[0], points[-1])
    assert np.allclose(points[:, 0], 0)
    assert np.allclose(np.linalg.norm(points - (0, 0, 1), axis=1), 2)


def test_blade_has_the_area_of_its_outline():
    line = np.linspace((0, 0, 0), (0, 0, 1), 11)[None]
    # a triangle of base 0.2 and height 1
    mesh = blade_mesh(line, np.array([[1.0, 0, 0]]),
                      0.2 * np.linspace(1, 0, 11))
    assert np.isclose(_triangles(mesh)[0].sum(), 0.1)
    assert np.allclose(mesh.vertices[:, 1], 0)
    assert np.allclose(np.abs(mesh.normals[:, 1]), 1)


def test_sheet_of_a_half_cylinder():
    angle, along = np.meshgrid(np.linspace(0, np.pi, 65), (0, 0.5, 1.0))
    mesh = sheet_mesh(np.stack([np.cos(angle), np.sin(angle), along], -1))
    assert np.isclose(_triangles(mesh)[0].sum(), np.pi, rtol=1e-3)
    radial = mesh.vertices * (1, 1, 0)
    assert np.allclose(np.abs((mesh.normals * radial).sum(axis=1)), 1,
                       atol=2e-3)


def test_rods_are_one_mesh_between_their_ends():
    item = Item('rods', 'otherprop')
    add_rods(item, [[(0, 0, 0), (1, 0, 0)], [(0, 0, 0), (0, 2, 0)]], 0.01,
             Material())
    assert len(item.primitives) == 1
    low, high = item.bounds()
    assert np.allclose(low, (-0.01, -0.01, -0.01), atol=1e-3)
    assert np.allclose(high, (1, 2, 0.01), atol=1e-3)
