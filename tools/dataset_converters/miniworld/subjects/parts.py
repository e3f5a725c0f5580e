"""Thin parts that subjects are built from: tubes, blades and sheer cloth.

Letters: N curves or blades, S points along each, R x C points of a sheet,
K corners of the cross-section of a tube. Lengths are in metres.
"""
from dataclasses import dataclass

import numpy as np

from ..rooms.meshes import Mesh, strip_faces, unit
from ..rooms.primitives import Item, Material


@dataclass(frozen=True, eq=False)
class Sheer(Material):
    """A material that lets part of the light pass straight through.

    Attributes:
        opacity (float): Share of the light that it blocks, in [0, 1].
    """
    opacity: float = 0.5


@dataclass(eq=False)
class Subject:
    """What a picture shows, in its own frame: x right, z up, front +y.

    Attributes:
        item (Item): Its surfaces.
        low (np.ndarray): (3,) lowest corner of the part that the picture
            must show; the rest, such as the lower body of a person, may
            extend beyond the lower edge of the picture.
        high (np.ndarray): (3,) highest corner.
    """
    item: Item
    low: np.ndarray
    high: np.ndarray


def tube_mesh(points, radius, sides=3):
    """Sweep a regular polygon along curves.

    Args:
        points (np.ndarray): (N, S, 3) curves, S >= 2.
        radius (float | np.ndarray): Distance of the corners from the
            curve; broadcast to (N, S).
        sides (int): K, corners of the cross-section. Defaults to 3.

    Returns:
        Mesh: N * S * K vertices with outward normals; the ends are open.
    """
    points = np.asarray(points, float)
    count, steps = points.shape[:2]
    along = unit(np.gradient(points, axis=1))
    # the direction of least variation: the normal of a flat curve's plane
    axis = np.linalg.eigh(np.einsum('nsi,nsj->nij', along, along))[1][..., 0]
    side = unit(np.cross(along, axis[:, None]))
    other = np.cross(along, side)
    angle = 2 * np.pi * np.arange(sides) / sides
    normals = (side[:, :, None] * np.cos(angle)[:, None]
               + other[:, :, None] * np.sin(angle)[:, None])
    radius = np.broadcast_to(radius, (count, steps))[..., None, None]
    vertices = points[:, :, None] + radius * normals
    return Mesh(vertices.reshape(-1, 3),
                strip_faces(steps, sides, count, True),
                normals.reshape(-1, 3))


def blade_mesh(points, across, width):
    """Make flat strips along curves: leaves, feathers, blades of grass.

    Args:
        points (np.ndarray): (N, S, 3) middle lines, S >= 2.
        across (np.ndarray): (N, 3) or (N, S, 3) directions across.
        width (float | np.ndarray): Full width; broadcast to (N, S).

    Returns:
        Mesh: N * S * 2 vertices.
    """
    points = np.asarray(points, float)
    count, steps = points.shape[:2]
    across = np.asarray(across, float)
    if across.ndim == 2:
        across = across[:, None]
    across = unit(np.broadcast_to(across, points.shape))
    half = np.broadcast_to(width, (count, steps))[..., None] / 2
    vertices = np.stack([points - half * across, points + half * across], 2)
    normals = unit(np.cross(np.gradient(points, axis=1), across))
    return Mesh(vertices.reshape(-1, 3), strip_faces(steps, 2, count, False),
                np.repeat(normals.reshape(-1, 3), 2, axis=0))


def sheet_mesh(points):
    """Make a smooth surface through a grid of points.

    Args:
        points (np.ndarray): (R, C, 3), R and C >= 2.

    Returns:
        Mesh: R * C vertices.
    """
    points = np.asarray(points, float)
    rows, columns = points.shape[:2]
    normals = unit(np.cross(np.gradient(points, axis=0),
                            np.gradient(points, axis=1)))
    return Mesh(points.reshape(-1, 3), strip_faces(rows, columns, 1, False),
                normals.reshape(-1, 3))


def add_mesh(item, mesh, material):
    """Add a mesh in the frame of the item.

    Args:
        item (Item): The item to extend.
        mesh (Mesh): Mesh with vertices in the frame of the item.
        material (Material): Material of the surface.
    """
    item.add('mesh', np.eye(4), material, mesh)


def add_rods(item, ends, radius, material, sides=8):
    """Add straight rods as one mesh.

    Args:
        item (Item): The item to extend.
        ends (Sequence): (N, 2, 3) start and end of each rod.
        radius (float): Radius of all rods.
        material (Material): Material of the rods.
        sides (int): Corners of the cross-section. Defaults to 8.
    """
    add_mesh(item, tube_mesh(np.asarray(ends, float), radius, sides),
             material)


def add_ring(item, center, radius, thick, material, normal=(0, 0, 1)):
    """Add a torus.

    Args:
        item (Item): The item to extend.
        center (Sequence[float]): (3,) centre.
        radius (float): Radius of the circle.
        thick (float): Radius of the tube.
        material (Material): Material of the surface.
        normal (Sequence[float]): (3,) axis. Defaults to (0, 0, 1).
    """
    add_mesh(item, tube_mesh(circle(center, radius, normal)[None], thick, 8),
             material)


def circle(center, radius, normal=(0, 0, 1), steps=33):
    """Return points on a closed circle.

    Args:
        center (Sequence[float]): (3,) centre.
        radius (float): Radius of the circle.
        normal (Sequence[float]): (3,) axis. Defaults to (0, 0, 1).
        steps (int): S, number of points; the first and the last coincide.
            Defaults to 33.

    Returns:
        np.ndarray: (S, 3).
    """
    normal = unit(np.asarray(normal, float))
    side = unit(np.cross(normal, (0, 1, 0) if abs(normal[1]) < 0.9
                         else (1, 0, 0)))
    angle = np.linspace(0, 2 * np.pi, steps)[:, None]
    return np.asarray(center) + radius * (
        np.cos(angle) * side + np.sin(angle) * np.cross(normal, side))
