"""Triangle meshes of smooth shapes."""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with smooth normals, in the primitive's own frame.

    Attributes:
        vertices (np.ndarray): (V, 3) float64.
        faces (np.ndarray): (F, 3) int64 vertex numbers.
        normals (np.ndarray): (V, 3) float64, unit length.
    """
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray


def unit(vectors):
    """Scale vectors along the last axis to unit length.

    Args:
        vectors (np.ndarray): (..., 3); zero vectors stay zero.

    Returns:
        np.ndarray: (..., 3).
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def strip_faces(rows, columns, count=1, closed=False) -> np.ndarray:
    """Split grids of vertices into triangles.

    Args:
        rows (int): Rows of vertices of each grid.
        columns (int): Columns of vertices of each grid.
        count (int): Number of grids, which follow each other. Defaults to 1.
        closed (bool): Whether the last column is joined to the first.
            Defaults to False.

    Returns:
        np.ndarray: (F, 3) vertex numbers.
    """
    row, column = np.meshgrid(np.arange(rows - 1),
                              np.arange(columns if closed else columns - 1),
                              indexing='ij')
    after = (column + 1) % columns
    a, b = row * columns + column, row * columns + after
    c, d = a + columns, b + columns
    faces = np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)]
                           ).reshape(-1, 3)
    start = np.arange(count)[:, None, None] * rows * columns
    return (faces + start).reshape(-1, 3)


def cushion_mesh(exponent) -> Mesh:
    """A superellipsoid in [-1, 1]^3; small exponents are box-like."""
    theta, phi = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, 17),
                             np.linspace(-np.pi, np.pi, 33), indexing='ij')

    def power(value, exponent):
        return np.sign(value) * np.abs(value)**exponent

    def surface(exponent):
        return np.stack([
            power(np.cos(theta), exponent) * power(np.cos(phi), exponent),
            power(np.cos(theta), exponent) * power(np.sin(phi), exponent),
            power(np.sin(theta), exponent)], axis=-1).reshape(-1, 3)

    # cos(+-pi/2) is 6e-17, which a small power would open into a hole
    vertices = surface(exponent)
    vertices[:33, :2] = vertices[-33:, :2] = 0
    normals = unit(surface(2 - exponent))
    normals[:33], normals[-33:] = (0, 0, -1), (0, 0, 1)
    return Mesh(vertices, strip_faces(17, 33), normals)


def lathe_mesh(profile, segments=24) -> Mesh:
    """Revolve a profile [(radius, z), ...] around z; corners stay sharp.

    The outside is on the right of the profile, so an outer wall runs upwards.
    """
    vertices, faces, normals = [], [], []
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for (r0, z0), (r1, z1) in zip(profile[:-1], profile[1:]):
        rings = [np.column_stack([circle * r, np.full(segments + 1, z)])
                 for r, z in ((r0, z0), (r1, z1))]
        normal = unit(np.column_stack(
            [circle * (z1 - z0), np.full(segments + 1, r0 - r1)]))
        faces.append(strip_faces(2, segments + 1)
                     + sum(len(v) for v in vertices))
        vertices.extend(rings)
        normals.extend([normal, normal])
    return Mesh(np.concatenate(vertices), np.concatenate(faces),
                np.concatenate(normals))


def cylinder_profile(radius, low, high):
    """Return the profile of a closed cylinder for :meth:`Item.turned`."""
    return [(1e-4, low), (radius, low), (radius, high), (1e-4, high)]


def curtain_mesh(width, height, folds) -> Mesh:
    """A hanging cloth with folds, in the x-z plane around y = 0."""
    x = np.linspace(-width / 2, width / 2, 8 * folds + 1)
    amplitude = 0.03
    phase = 2 * np.pi * folds * (x / width + 0.5)
    slope = amplitude * 2 * np.pi * folds / width * np.cos(phase)
    sheet = np.column_stack([x, amplitude * np.sin(phase), np.zeros_like(x)])
    normal = unit(np.column_stack(
        [-slope, np.ones_like(x), np.zeros_like(x)]))
    return Mesh(np.concatenate([sheet, sheet + (0, 0, height)]),
                strip_faces(2, len(x)), np.concatenate([normal, normal]))


CUSHION = cushion_mesh(0.55)
PADDING = cushion_mesh(0.22)
BALL = cushion_mesh(1.0)
