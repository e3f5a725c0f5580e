"""Describe seeded, furnished rooms in plain numpy; nothing is rendered here.

World frame: metres, z up; the floor is the rectangle [0, W] x [0, D] at
z = 0. Wall 0 is y = 0, wall 1 is x = W, wall 2 is y = D, wall 3 is x = 0.
An object is designed in its own frame: x along the wall, y away from the
wall into the room, z up, origin on the floor at the wall.
"""
import colorsys
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

#: The names of the NYU40 ids that the rooms use.
NYU40_IDS = dict(
    wall=1, floor=2, cabinet=3, bed=4, chair=5, sofa=6, table=7, door=8,
    window=9, bookshelf=10, picture=11, counter=12, blinds=13, desk=14,
    shelves=15, curtain=16, dresser=17, pillow=18, mirror=19, floormat=20,
    ceiling=22, books=23, refrigerator=24, television=25, paper=26, box=29,
    whiteboard=30, nightstand=32, sink=34, lamp=35, bag=37, otherprop=40)

#: Room types; room number i has type ``ROOM_KINDS[i % 4]``.
ROOM_KINDS = ('living', 'bedroom', 'dining', 'study')

#: Horizontal field of view of the standard Hypersim camera, radians.
FIELD_OF_VIEW = np.pi / 3

_WALL_THICKNESS = 0.15
_RUG_THICKNESS = 0.01


@dataclass(frozen=True, eq=False)
class Texture:
    """A repeating picture of reflectance (or radiance, on an emitter).

    Attributes:
        image (np.ndarray): (h, w, 3) float32, linear RGB, top row first.
        size (tuple): Metres that one repetition covers along u and v; None
            stretches the picture once over a rectangle.
        follow_length (bool): Whether u runs along the longer side of a
            box, as wood grain does.
    """
    image: np.ndarray
    size: Optional[Tuple[float, float]] = None
    follow_length: bool = False


@dataclass(frozen=True, eq=False)
class Material:
    """How a surface reflects or emits light.

    Attributes:
        kind (str): ``diffuse``, ``glossy``, ``metal`` or ``mirror``.
        color (tuple): Linear RGB reflectance in [0, 1].
        texture (Texture, optional): Replaces ``color``.
        roughness (float): Of ``glossy`` and ``metal``, in (0, 1].
        emission (tuple, optional): Linear RGB radiance, any unit; scales
            the texture where there is one.
    """
    kind: str = 'diffuse'
    color: Tuple[float, float, float] = (0.5, 0.5, 0.5)
    texture: Optional[Texture] = None
    roughness: float = 0.2
    emission: Optional[Tuple[float, float, float]] = None


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


@dataclass(eq=False)
class Primitive:
    """One surface of a room.

    Attributes:
        shape (str): ``box`` ([-1, 1]^3), ``sphere`` (unit, at the origin),
            ``rectangle`` ([-1, 1]^2 at z = 0, normal +z) or ``mesh``.
        to_world (np.ndarray): (4, 4) float64, metres.
        material (Material): Its surface.
        semantic (int): NYU40 id 1..40, or -1 for the outside world.
        instance (int): Number of the object it belongs to, from 1; -1 for
            the outside world, which geometry maps leave empty.
        mesh (Mesh, optional): Needed by shape ``mesh``.
    """
    shape: str
    to_world: np.ndarray
    material: Material
    semantic: int
    instance: int
    mesh: Optional[Mesh] = None

    def corners(self) -> np.ndarray:
        """Return the points that span the primitive's bounding box.

        Returns:
            np.ndarray: (P, 3) float64, world, metres.
        """
        if self.shape == 'mesh':
            points = self.mesh.vertices
        else:
            depth = 0 if self.shape == 'rectangle' else 1
            points = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1)
                               for z in (-depth, depth)], dtype=float)
        return points @ self.to_world[:3, :3].T + self.to_world[:3, 3]

    def bounds(self) -> Tuple[np.ndarray, np.ndarray]:
        """Return the axis-aligned bounding box.

        Returns:
            tuple: lowest and highest corner, (3,) each, world, metres.
        """
        corners = self.corners()
        return corners.min(axis=0), corners.max(axis=0)


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera with Hypersim's axes: x right, y up, view along -z.

    Attributes:
        position (np.ndarray): (3,) float64, optical centre, metres.
        rotation (np.ndarray): (3, 3) float64, camera to world; its columns
            are the camera axes in the world.
    """
    position: np.ndarray
    rotation: np.ndarray

    @classmethod
    def look_at(cls, position: Sequence[float],
                target: Sequence[float]) -> 'Camera':
        """Aim an upright camera at a point.

        Args:
            position (Sequence[float]): Optical centre, metres.
            target (Sequence[float]): Point in the picture's centre.

        Returns:
            Camera: Without roll.

        Raises:
            ValueError: If the view would be vertical, where up is undefined.
        """
        position = np.asarray(position, dtype=float)
        backward = position - np.asarray(target, dtype=float)
        if np.hypot(*backward[:2]) < 1e-9:
            raise ValueError(
                'Camera: target must not be straight above or below '
                f'position, got {tuple(target)} from {tuple(position)}; '
                'move it sideways.')
        backward /= np.linalg.norm(backward)
        right = np.cross((0, 0, 1), backward)
        right /= np.linalg.norm(right)
        up = np.cross(backward, right)
        return cls(position, np.stack([right, up, backward], axis=1))

    def pixel_rays(self, width: int, height: int,
                   fov: float = FIELD_OF_VIEW) -> np.ndarray:
        """Return the unit directions through all pixel centres.

        Args:
            width (int): Pixels per row.
            height (int): Rows.
            fov (float): Horizontal field of view, radians. Defaults to
                pi / 3.

        Returns:
            np.ndarray: (H, W, 3) float64, world.
        """
        focal = width / 2 / np.tan(fov / 2)
        x, y = np.meshgrid(
            np.linspace(-(width - 1) / 2, (width - 1) / 2, width),
            np.linspace((height - 1) / 2, -(height - 1) / 2, height))
        rays = np.stack([x, y, np.full_like(x, -focal)], axis=-1)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        return rays @ self.rotation.T


@dataclass(eq=False)
class PlacedObject:
    """Where a piece of furniture stands.

    Attributes:
        name (str): For error messages.
        low (np.ndarray): (3,) lowest corner of its bounding box, metres.
        high (np.ndarray): (3,) highest corner.
    """
    name: str
    low: np.ndarray
    high: np.ndarray


@dataclass(eq=False)
class Room:
    """A furnished room.

    Attributes:
        kind (str): One of :data:`ROOM_KINDS`.
        size (tuple): Width, depth and height inside, metres.
        primitives (list[Primitive]): All surfaces.
        objects (list[PlacedObject]): Furniture; not walls and windows.
        cameras (list[Camera]): Where the pictures are taken.
    """
    kind: str
    size: Tuple[float, float, float]
    primitives: List[Primitive] = field(default_factory=list)
    objects: List[PlacedObject] = field(default_factory=list)
    cameras: List[Camera] = field(default_factory=list)


# --------------------------------------------------------------------------
# Colours and textures. Colours are chosen in display space and converted,
# so that the tone-mapped picture shows about what was chosen.


def _linear(rgb) -> Tuple[float, ...]:
    return tuple(float(c) for c in np.clip(rgb, 0.01, 0.95)**2.2)


def _hsv(rng, hue, saturation, value, hue_jitter=0.02, jitter=0.06):
    """Return a jittered display colour."""
    return np.array(colorsys.hsv_to_rgb(
        (hue + rng.uniform(-hue_jitter, hue_jitter)) % 1,
        float(np.clip(saturation + rng.uniform(-jitter, jitter), 0, 1)),
        float(np.clip(value + rng.uniform(-jitter, jitter), 0.04, 0.95))))


def _texture(display, size=None, follow_length=False) -> Texture:
    image = np.clip(display, 0.01, 0.95)**2.2
    return Texture(image.astype(np.float32), size, follow_length)


def _smooth_noise(rng, shape, cells) -> np.ndarray:
    """Interpolate periodic random values; (h, w) in [-1, 1]."""
    grid = rng.uniform(-1, 1, cells)
    for axis, length in enumerate(shape):
        at = np.arange(length) * cells[axis] / length
        low = at.astype(int)
        share = (at - low).reshape(-1, *[1] * (1 - axis))
        grid = (np.take(grid, low, axis) * (1 - share)
                + np.take(grid, (low + 1) % cells[axis], axis) * share)
    return grid


def _grain(rng, color, amount=0.1, size=(1.2, 0.3)) -> Texture:
    """Wood grain along the longer side."""
    noise = (_smooth_noise(rng, (64, 64), (16, 2))
             + 0.6 * _smooth_noise(rng, (64, 64), (32, 4)))
    return _texture(color * (1 + amount * noise[..., None]), size, True)


def _planks(rng, color, rows=8, length=1.4, width=0.14) -> Texture:
    """Floor boards with gaps, staggered joints and varied tones."""
    image = np.empty((rows * 16, 128, 3))
    for row in range(rows):
        strip = np.empty((16, 128, 3))
        joint = int(rng.integers(0, 128))
        for start in (0, 64):
            tone = color * (1 + rng.uniform(-0.16, 0.16))
            grain = _smooth_noise(rng, (16, 64), (8, 2))[..., None]
            strip[:, start:start + 64] = tone * (1 + 0.08 * grain)
            strip[:, start] *= 0.6
        strip[0] *= 0.55
        image[row * 16:(row + 1) * 16] = np.roll(strip, joint, axis=1)
    return _texture(image, (length, width * rows))


def _tiles(rng, color, size=0.4, second=None) -> Texture:
    """Square tiles with grout; a second colour makes a chequerboard."""
    image = np.empty((128, 128, 3))
    for i in range(4):
        for j in range(4):
            tone = color if second is None or (i + j) % 2 else second
            image[i * 32:i * 32 + 32, j * 32:j * 32 + 32] = tone * (
                1 + rng.uniform(-0.04, 0.04))
    grout = color * 0.6 + 0.1
    image[::32] = grout
    image[:, ::32] = grout
    return _texture(image, (4 * size, 4 * size))


def _stripes(first, second, period=0.3, share=0.5) -> Texture:
    """Stripes across u."""
    image = np.broadcast_to(first, (4, 64, 3)).copy()
    image[:, :int(64 * share)] = second
    return _texture(image, (period, period))


def _check(first, second, period=0.3) -> Texture:
    """A chequerboard of two by two fields per period."""
    image = np.broadcast_to(first, (64, 64, 3)).copy()
    image[:32, :32] = second
    image[32:, 32:] = second
    return _texture(image, (period, period))


def _weave(rng, color, amount=0.1, size=(0.5, 0.5)) -> Texture:
    """Cloth: fine threads with slow changes of tone."""
    noise = (rng.uniform(-1, 1, (64, 64)) * 0.6
             + _smooth_noise(rng, (64, 64), (6, 6)))
    return _texture(color * (1 + amount * noise[..., None]), size)


def _painting(rng) -> Texture:
    """A picture to hang: landscape, colour fields or discs."""
    image = np.empty((48, 64, 3))
    y, x = np.mgrid[0:48, 0:64] / 64.0
    style = rng.integers(3)
    if style == 0:
        sky = _hsv(rng, rng.choice([0.58, 0.08, 0.55]), 0.4, 0.85)
        image[:] = sky + (0.75 - y)[..., None] * 0.15
        for layer in range(3):
            ridge = 0.35 + 0.12 * layer + 0.06 * _smooth_noise(
                rng, (1, 64), (1, 5))
            image[y > ridge] = _hsv(rng, 0.3, 0.45, 0.6 - 0.15 * layer)
    elif style == 1:
        image[:] = _hsv(rng, 0.1, 0.15, 0.9)
        for _ in range(7):
            top, left = rng.integers(0, 36), rng.integers(0, 48)
            image[top:top + rng.integers(8, 24),
                  left:left + rng.integers(8, 28)] = _hsv(
                      rng, rng.random(), 0.65, 0.7)
    else:
        image[:] = _hsv(rng, rng.random(), 0.3, 0.8)
        for _ in range(6):
            away = np.hypot(x - rng.random(), y - 0.75 * rng.random())
            image[away < rng.uniform(0.06, 0.2)] = _hsv(
                rng, rng.random(), 0.6, 0.65)
    return _texture(image)


def _rug_image(rng) -> Texture:
    """A carpet with a border and a pattern."""
    image = np.empty((64, 96, 3))
    hue = rng.choice([0.0, 0.05, 0.62, 0.95, 0.45, 0.1])
    base = _hsv(rng, hue, 0.55, 0.5)
    other = _hsv(rng, hue + 0.1, 0.3, 0.8)
    y, x = np.mgrid[0:64, 0:96]
    style = rng.integers(3)
    if style == 0:
        pattern = (x // 8 + y // 8) % 2 == 0
    elif style == 1:
        pattern = (np.abs(x % 24 - 12) + np.abs(y % 16 - 8)) < 7
    else:
        pattern = y // 6 % 2 == 0
    image[:] = np.where(pattern[..., None], base, other)
    edge = np.minimum(np.minimum(x, 95 - x), np.minimum(y, 63 - y))
    image[edge < 7] = base * 0.6
    image[edge < 2] = other
    image *= 1 + 0.08 * rng.uniform(-1, 1, (64, 96, 1))
    return _texture(image)


def _outside(rng, night) -> Texture:
    """Sky, far trees and lawn as seen through a window; relative radiance."""
    image = np.empty((48, 48, 3))
    y = np.linspace(0, 1, 48)[:, None, None]
    if night:
        image[:] = (0.02, 0.03, 0.07)
        return Texture(image.astype(np.float32))
    image[:] = (0.75, 0.87, 1.0) + y * (0.25, 0.13, 0.0)
    trees = 0.62 + 0.08 * _smooth_noise(rng, (1, 48), (1, 8))
    rows = np.linspace(0, 1, 48)[:, None]
    image[rows > trees] = (0.10, 0.16, 0.07)
    image[np.broadcast_to(rows > 0.78, (48, 48))] = (0.22, 0.34, 0.12)
    return Texture(image.astype(np.float32))


def _screen(rng) -> Texture:
    """What a switched-on screen shows."""
    image = np.empty((32, 48, 3))
    image[:] = _hsv(rng, rng.choice([0.58, 0.62, 0.5]), 0.7, 0.5)
    image[18:] = _hsv(rng, 0.3, 0.6, 0.35)
    image[8:26, 18:30] = _hsv(rng, 0.05, 0.5, 0.7)
    return _texture(image)


# --------------------------------------------------------------------------
# Meshes.


def _grid_faces(rows, columns) -> np.ndarray:
    """Split a rows x columns grid of vertices into triangles."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    return np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])


def _unit(vectors) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def _cushion_mesh(exponent) -> Mesh:
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

    # cos(+-pi/2) is 6e-17, which a small power would turn into a hole
    vertices = surface(exponent)
    vertices[:33, :2] = vertices[-33:, :2] = 0
    normals = _unit(surface(2 - exponent))
    normals[:33], normals[-33:] = (0, 0, -1), (0, 0, 1)
    return Mesh(vertices, _grid_faces(17, 33), normals)


def _lathe_mesh(profile, segments=24) -> Mesh:
    """Turn a profile [(radius, z), ...] around z; corners stay sharp.

    The profile runs so that the outside is on its right, that is upwards
    for an outer wall.
    """
    vertices, faces, normals = [], [], []
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for (r0, z0), (r1, z1) in zip(profile[:-1], profile[1:]):
        rings = [np.column_stack([circle * r, np.full(segments + 1, z)])
                 for r, z in ((r0, z0), (r1, z1))]
        normal = _unit(np.column_stack(
            [circle * (z1 - z0), np.full(segments + 1, r0 - r1)]))
        faces.append(_grid_faces(2, segments + 1)
                     + sum(len(v) for v in vertices))
        vertices.extend(rings)
        normals.extend([normal, normal])
    return Mesh(np.concatenate(vertices), np.concatenate(faces),
                np.concatenate(normals))


def _cylinder_profile(radius, low, high):
    return [(1e-4, low), (radius, low), (radius, high), (1e-4, high)]


def _curtain_mesh(width, height, amplitude, folds) -> Mesh:
    """A hanging cloth with folds, in the x-z plane around y = 0."""
    x = np.linspace(-width / 2, width / 2, 8 * folds + 1)
    phase = 2 * np.pi * folds * (x / width + 0.5)
    slope = amplitude * 2 * np.pi * folds / width * np.cos(phase)
    sheet = np.column_stack([x, amplitude * np.sin(phase), np.zeros_like(x)])
    normal = _unit(np.column_stack(
        [-slope, np.ones_like(x), np.zeros_like(x)]))
    return Mesh(np.concatenate([sheet, sheet + (0, 0, height)]),
                _grid_faces(2, len(x)), np.concatenate([normal, normal]))


_CUSHION = _cushion_mesh(0.55)
_PADDING = _cushion_mesh(0.22)
_BALL = _cushion_mesh(1.0)


# --------------------------------------------------------------------------
# Furniture.


@dataclass(eq=False)
class _Style:
    """The materials that one room's furniture shares."""
    wood: Material
    wood2: Material
    white: Material
    metal: Material
    fabric: Material
    fabric2: Material
    accent: Material
    lamp_on: bool
    lamp_power: float


class _Item:
    """Collect the primitives of one piece of furniture in its own frame.

    Args:
        name (str): Name of the piece.
        label (str): Default key of :data:`NYU40_IDS`.
    """

    def __init__(self, name: str, label: str) -> None:
        self.name = name
        self.label = label
        self.primitives: List[Primitive] = []
        self._instance = 0
        self._instances = 1

    def begin(self) -> None:
        """Count what follows as a further object, e.g. the next pillow."""
        self._instance = self._instances
        self._instances += 1

    def add(self, shape, to_world, material, label=None, mesh=None) -> None:
        label = label or self.label
        semantic = -1 if label == 'outside' else NYU40_IDS[label]
        self.primitives.append(Primitive(
            shape, np.asarray(to_world, dtype=float), material, semantic,
            self._instance, mesh))

    def box(self, low, high, material, label=None) -> None:
        low, high = np.asarray(low, float), np.asarray(high, float)
        self.add('box', _scaled((high - low) / 2, (low + high) / 2),
                 material, label)

    def padding(self, low, high, material, label=None, soft=False,
                turn=None) -> None:
        """Add a rounded box, or a pillow when ``soft``."""
        low, high = np.asarray(low, float), np.asarray(high, float)
        matrix = _scaled((high - low) / 2, (low + high) / 2)
        if turn is not None:
            matrix[:3, :3] = turn @ matrix[:3, :3]
        self.add('mesh', matrix, material, label,
                 _CUSHION if soft else _PADDING)

    def ball(self, center, radius, material, label=None) -> None:
        self.add('sphere', _scaled([radius] * 3, center), material, label)

    def turned(self, center, profile, material, label=None) -> None:
        self.add('mesh', _scaled((1, 1, 1), center), material, label,
                 _lathe_mesh(profile))

    def rod(self, start, end, radius, material, label=None) -> None:
        """Add a closed cylinder between two points."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        axis = end - start
        length = np.linalg.norm(axis)
        axis /= length
        side = np.cross(axis, (0, 1, 0) if abs(axis[1]) < 0.9 else (1, 0, 0))
        side /= np.linalg.norm(side)
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([side, np.cross(axis, side), axis], axis=1)
        matrix[:3, 3] = start
        self.add('mesh', matrix, material, label,
                 _lathe_mesh(_cylinder_profile(radius, 0, length), 12))

    def panel(self, center, width, height, material, label=None,
              facing='front') -> None:
        """Add a rectangle; ``front`` faces +y, ``down`` -z, ``up`` +z."""
        axes = dict(
            front=((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
            down=((1, 0, 0), (0, -1, 0), (0, 0, -1)),
            up=((1, 0, 0), (0, 1, 0), (0, 0, 1)))[facing]
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(axes, dtype=float).T
        matrix[:3, :3] *= (width / 2, height / 2, 1)
        matrix[:3, 3] = center
        self.add('rectangle', matrix, material, label)

    def merge(self, other: '_Item', matrix) -> None:
        """Take over another item, moved by a (4, 4) matrix."""
        for part in other.primitives:
            self.primitives.append(Primitive(
                part.shape, matrix @ part.to_world, part.material,
                part.semantic, part.instance + self._instances, part.mesh))
        self._instances += other._instances

    def bounds(self) -> Tuple[np.ndarray, np.ndarray]:
        bounds = [part.bounds() for part in self.primitives]
        return (np.min([low for low, _ in bounds], axis=0),
                np.max([high for _, high in bounds], axis=0))


def _scaled(scale, offset) -> np.ndarray:
    matrix = np.diag([*scale, 1.0]).astype(float)
    matrix[:3, 3] = offset
    return matrix


def _yaw(degrees, offset=(0, 0, 0)) -> np.ndarray:
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    # rounding keeps right angles exact, so walls stay axis-aligned
    c, s = np.round([np.cos(angle), np.sin(angle)], 12)
    matrix[:2, :2] = [[c, -s], [s, c]]
    matrix[:3, 3] = offset
    return matrix


def _pitch(degrees) -> np.ndarray:
    """Rotate about x; (3, 3)."""
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _paint(color, **kwargs) -> Material:
    return Material(color=_linear(color), **kwargs)


def _make_style(rng, evening) -> _Style:
    tone = rng.integers(4)
    wood = [_hsv(rng, 0.09, 0.45, 0.72), _hsv(rng, 0.06, 0.58, 0.45),
            _hsv(rng, 0.045, 0.65, 0.55), _hsv(rng, 0.1, 0.3, 0.82)][tone]
    wood2 = wood * rng.uniform(0.6, 0.9)
    fabric = _hsv(rng, rng.choice([0.6, 0.02, 0.33, 0.1, 0.55, 0.08]),
                  rng.uniform(0.15, 0.55), rng.uniform(0.4, 0.75))
    fabric2 = _hsv(rng, rng.random(), rng.uniform(0.1, 0.5), 0.78)
    accent = _hsv(rng, rng.choice([0.0, 0.13, 0.48, 0.58, 0.9, 0.07]), 0.65,
                  0.72)
    return _Style(
        wood=Material('glossy', texture=_grain(rng, wood), roughness=0.3),
        wood2=Material('glossy', texture=_grain(rng, wood2), roughness=0.3),
        white=_paint(_hsv(rng, 0.12, 0.05, 0.9, 0.05, 0.03)),
        metal=Material('metal', (0.6, 0.58, 0.55), roughness=0.25),
        fabric=Material(texture=_weave(rng, fabric)),
        fabric2=Material(texture=_weave(rng, fabric2)),
        accent=_paint(accent), lamp_on=bool(evening or rng.random() < 0.5),
        lamp_power=3.0 if evening else 2.0)


def _table_lamp(rng, style, base) -> _Item:
    """A lamp of 0.4 m that stands at ``base``."""
    item = _Item('table lamp', 'lamp')
    radius = rng.uniform(0.10, 0.14)
    foot = style.accent if rng.random() < 0.6 else style.metal
    item.turned(base, [(1e-4, 0), (0.07, 0), (0.08, 0.02), (0.03, 0.06),
                       (0.055, 0.12), (0.02, 0.2), (1e-4, 0.2)], foot)
    item.begin()
    shade = _hsv(rng, 0.11, 0.18, 0.9)
    light = None
    if style.lamp_on:
        light = tuple(style.lamp_power * np.array(_linear(shade)))
    item.turned(base, [(1e-4, 0.2), (radius, 0.2), (radius * 0.7, 0.4),
                       (1e-4, 0.4)], _paint(shade, emission=light))
    return item


def _floor_lamp(rng, style) -> _Item:
    item = _Item('floor lamp', 'lamp')
    center = np.array([0.0, 0.25, 0.0])
    top = rng.uniform(1.45, 1.6)
    item.turned(center, _cylinder_profile(0.14, 0, 0.03), style.metal)
    item.rod(center, center + (0, 0, top - 0.2), 0.015, style.metal)
    shade = _hsv(rng, 0.11, 0.15, 0.9)
    light = None
    if style.lamp_on:
        light = tuple(style.lamp_power * np.array(_linear(shade)))
    item.turned(center, [(1e-4, top - 0.25), (0.22, top - 0.25),
                         (0.16, top + 0.05), (1e-4, top + 0.05)],
                _paint(shade, emission=light))
    return item


def _books_row(item, rng, low, width, height, depth) -> None:
    """Fill a shelf compartment that starts at ``low`` with books."""
    x, end = 0.02, width * rng.uniform(0.5, 0.97)
    hues = rng.random(3)
    while True:
        thick = rng.uniform(0.02, 0.05)
        if x + thick > end:
            return
        tall = height * rng.uniform(0.62, 0.92)
        color = _hsv(rng, rng.choice(hues), rng.uniform(0.15, 0.55),
                     rng.uniform(0.3, 0.75), 0.06)
        deep = depth * rng.uniform(0.75, 0.92)
        item.begin()
        item.box((low[0] + x, low[1], low[2]),
                 (low[0] + x + thick, low[1] + deep, low[2] + tall),
                 _paint(color), 'books')
        x += thick + 0.002


def _cardboard(rng) -> Material:
    return _paint(_hsv(rng, 0.08, 0.42, 0.66))


def _storage(rng) -> Material:
    """A colour for boxes: mostly cardboard, sometimes a painted box."""
    if rng.random() < 0.7:
        return _cardboard(rng)
    return _paint(_hsv(rng, rng.random(), 0.3, 0.75))


def _vase(item, rng, base) -> None:
    item.begin()
    color = Material('glossy', _linear(_hsv(rng, rng.random(), 0.35, 0.7)))
    item.turned(base, [(1e-4, 0), (0.05, 0), (0.075, 0.08), (0.06, 0.16),
                       (0.03, 0.2), (0.04, 0.24), (1e-4, 0.23)], color,
                'otherprop')


def _bookshelf(rng, style) -> _Item:
    item = _Item('bookshelf', 'bookshelf')
    width, depth = rng.uniform(0.8, 1.2), rng.uniform(0.28, 0.34)
    height, levels = rng.uniform(1.7, 2.1), int(rng.integers(4, 6))
    half = width / 2
    item.box((-half, 0, 0), (half, 0.015, height), style.wood2)
    for x in (-half, half - 0.03):
        item.box((x, 0.015, 0), (x + 0.03, depth, height), style.wood)
    step = (height - 0.09) / levels
    for level in range(levels + 1):
        z = 0.06 + level * step
        item.box((-half + 0.03, 0.015, z),
                 (half - 0.03, depth - 0.005, z + 0.03), style.wood)
    item.box((-half + 0.03, 0.015, 0), (half - 0.03, depth - 0.03, 0.06),
             style.wood2)
    for level in range(levels):
        base = np.array([-half + 0.03, 0.02, 0.09 + level * step])
        choice = rng.random()
        if choice < 0.72:
            _books_row(item, rng, base, width - 0.06, step - 0.03,
                       depth - 0.05)
        elif choice < 0.88:
            item.begin()
            item.box(base + (0.06, 0.01, 0), base + (0.4, depth - 0.06, 0.2),
                     _storage(rng), 'box')
        else:
            _vase(item, rng, base + (width / 2, depth / 2 - 0.02, 0))
    return item


def _wall_shelves(rng, style) -> _Item:
    """Two boards with books and things at eye height."""
    item = _Item('shelves', 'shelves')
    half = rng.uniform(0.4, 0.6)
    low = rng.uniform(1.25, 1.4)
    for z in (low, low + 0.36):
        item.begin()
        item.box((-half, 0, z), (half, 0.24, z + 0.035), style.wood2)
        for x in (-half + 0.12, half - 0.15):
            item.box((x, 0, z - 0.1), (x + 0.03, 0.02, z), style.metal)
            item.box((x, 0.02, z - 0.03), (x + 0.03, 0.2, z), style.metal)
        if rng.random() < 0.7:
            _books_row(item, rng, (-half, 0.02, z + 0.035), half * 1.2, 0.29,
                       0.2)
        if rng.random() < 0.6:
            _vase(item, rng, (half - 0.12, 0.12, z + 0.035))
    return item


def _drawers(item, low, high, rows, columns, front, knob, label) -> None:
    """Put a grid of drawer or door fronts with knobs on a face y = high."""
    wide = (high[0] - low[0]) / columns
    tall = (high[2] - low[2]) / rows
    for row in range(rows):
        for column in range(columns):
            x = low[0] + column * wide
            z = low[2] + row * tall
            item.box((x + 0.012, high[1], z + 0.012),
                     (x + wide - 0.012, high[1] + 0.018, z + tall - 0.012),
                     front, label)
            center = np.array([x + wide / 2, high[1] + 0.018, z + tall / 2])
            if tall > wide * 1.2:
                side = 1 if column % 2 == 0 else -1
                center[0] += side * (wide / 2 - 0.06)
                item.box(center - (0.01, 0, 0.08),
                         center + (0.01, 0.025, 0.08), knob, label)
            else:
                item.box(center - (0.06, 0, 0.01),
                         center + (0.06, 0.025, 0.01), knob, label)


def _case(rng, style, name, label, width, depth, height, rows, columns,
          legs=0.0) -> _Item:
    """A closed piece of furniture with a grid of fronts."""
    item = _Item(name, label)
    half = width / 2
    painted = rng.random() < 0.35
    body = style.white if painted else style.wood
    front = style.white if painted else style.wood2
    if legs:
        for x in (-half + 0.03, half - 0.07):
            for y in (0.03, depth - 0.08):
                item.box((x, y, 0), (x + 0.04, y + 0.04, legs), style.wood2)
    else:
        item.box((-half + 0.02, 0, 0), (half - 0.02, depth - 0.05, 0.06),
                 style.wood2)
        legs = 0.06
    item.box((-half, 0, legs), (half, depth - 0.03, height - 0.03), body)
    item.box((-half - 0.01, 0, height - 0.03), (half + 0.01, depth, height),
             body)
    _drawers(item, (-half, 0, legs), (half, depth - 0.03, height - 0.03),
             rows, columns, front, style.metal, label)
    return item


def _wardrobe(rng, style) -> _Item:
    return _case(rng, style, 'wardrobe', 'cabinet', rng.uniform(0.9, 1.4),
                 0.58, rng.uniform(1.9, 2.2), 1, int(rng.integers(2, 4)))


def _dresser(rng, style) -> _Item:
    """A chest of drawers with a mirror on the wall above it."""
    item = _case(rng, style, 'dresser', 'dresser', rng.uniform(0.9, 1.3),
                 0.48, rng.uniform(0.75, 0.9), int(rng.integers(3, 5)), 2,
                 legs=0.08)
    top = item.bounds()[1][2]
    if rng.random() < 0.75:
        _mirror(item, rng, style, top + 0.15, top + 0.95)
    _vase(item, rng, (rng.uniform(-0.35, -0.15), 0.22, top))
    if rng.random() < 0.7:
        item.merge(_table_lamp(rng, style, (0.32, 0.2, top)), np.eye(4))
    return item


def _mirror(item, rng, style, low, high) -> None:
    half = rng.uniform(0.28, 0.4)
    item.begin()
    frame = style.wood2 if rng.random() < 0.5 else style.metal
    item.box((-half, 0, low), (half, 0.02, high), frame, 'mirror')
    for x in (-half, half - 0.04):
        item.box((x, 0.02, low), (x + 0.04, 0.035, high), frame, 'mirror')
    for z in (low, high - 0.04):
        item.box((-half + 0.04, 0.02, z), (half - 0.04, 0.035, z + 0.04),
                 frame, 'mirror')
    item.panel((0, 0.022, (low + high) / 2), 2 * half - 0.08,
               high - low - 0.08, Material('mirror', (0.88, 0.9, 0.9)),
               'mirror')


def _wall_mirror(rng, style) -> _Item:
    item = _Item('mirror', 'mirror')
    _mirror(item, rng, style, 0.95, 1.85)
    return item


def _nightstand(rng, style) -> _Item:
    item = _case(rng, style, 'nightstand', 'nightstand', 0.46, 0.42, 0.5, 2,
                 1, legs=0.1)
    if rng.random() < 0.85:
        item.merge(_table_lamp(rng, style, (0.05, 0.18, 0.5)), np.eye(4))
    item.begin()
    item.box((-0.2, 0.18, 0.5), (-0.06, 0.38, 0.53),
             _paint(_hsv(rng, rng.random(), 0.5, 0.6)), 'books')
    return item


def _bed(rng, style) -> _Item:
    """A bed with legs, frame, mattress, pillows and a headboard."""
    item = _Item('bed', 'bed')
    double = rng.random() < 0.75
    half = rng.uniform(0.78, 0.9) if double else 0.5
    length = 2.05
    for x in (-half + 0.02, half - 0.1):
        for y in (0.06, length - 0.12):
            item.box((x, y, 0), (x + 0.08, y + 0.08, 0.16), style.wood2)
    item.box((-half, 0.05, 0.16), (half, length, 0.3), style.wood)
    item.box((-half - 0.03, 0, 0.1), (half + 0.03, 0.05,
                                      rng.uniform(0.95, 1.15)), style.wood)
    item.padding((-half + 0.02, 0.06, 0.28), (half - 0.02, length - 0.02,
                                              0.52), style.white)
    choice = rng.integers(3)
    first = _hsv(rng, rng.random(), rng.uniform(0.2, 0.55), 0.7)
    if choice == 0:
        cover = Material(texture=_stripes(first, first * 0.4 + 0.5, 0.24))
    elif choice == 1:
        cover = Material(texture=_check(first, first * 0.5 + 0.4, 0.3))
    else:
        cover = Material(texture=_weave(rng, first))
    item.box((-half - 0.012, 0.75, 0.24), (half + 0.012, length + 0.012,
                                           0.545), cover)
    item.box((-half - 0.016, 0.7, 0.3), (half + 0.016, 0.95, 0.56),
             style.white)
    places = (-half / 2, half / 2) if double else (0.0,)
    for x in places:
        item.begin()
        item.padding((x - 0.33, 0.1, 0.56), (x + 0.33, 0.58, 0.72),
                     style.white, 'pillow', soft=True, turn=_pitch(-28))
    if rng.random() < 0.7:
        item.begin()
        item.padding((-0.2, 0.48, 0.56), (0.2, 0.86, 0.7), style.accent,
                     'pillow', soft=True, turn=_pitch(-50))
    return item


def _sofa(rng, style, seats=None) -> _Item:
    """A sofa or, with one seat, an armchair of the sofa class."""
    item = _Item('sofa', 'sofa')
    seats = seats or int(rng.integers(2, 4))
    half, depth, arm = seats * 0.32 + 0.16, 0.88, 0.16
    cloth = style.fabric if seats > 1 else style.fabric2
    for x in (-half + 0.04, half - 0.09):
        for y in (0.06, depth - 0.12):
            item.box((x, y, 0), (x + 0.05, y + 0.05, 0.1), style.wood2)
    item.padding((-half + 0.02, 0.02, 0.1), (half - 0.02, depth - 0.02, 0.3),
                 cloth)
    item.padding((-half, 0, 0.1), (half, 0.2, 0.84), cloth)
    for x in (-half, half - arm):
        item.padding((x, 0.02, 0.1), (x + arm, depth, 0.62), cloth)
    wide = (2 * half - 2 * arm) / seats
    for seat in range(seats):
        x = -half + arm + seat * wide
        item.padding((x + 0.005, 0.18, 0.29), (x + wide - 0.005,
                                               depth + 0.01, 0.46), cloth)
        item.padding((x + 0.01, 0.17, 0.44), (x + wide - 0.01, 0.36, 0.86),
                     cloth)
    for x in (-half + arm + 0.2, half - arm - 0.2):
        if rng.random() < 0.75:
            item.begin()
            item.padding((x - 0.2, 0.36, 0.46), (x + 0.2, 0.5, 0.84),
                         style.accent if rng.random() < 0.6 else
                         style.fabric2, 'pillow', soft=True,
                         turn=_pitch(14))
    return item


def _chair(rng, style, padded) -> _Item:
    """A chair whose front faces -y, so that it looks at a table there."""
    item = _Item('chair', 'chair')
    half = 0.21
    for x in (-half, half - 0.035):
        item.box((x, -0.2, 0), (x + 0.035, -0.165, 0.43), style.wood2)
        item.box((x, 0.175, 0), (x + 0.035, 0.21, 0.95), style.wood2)
        item.box((x + 0.008, -0.165, 0.18), (x + 0.027, 0.175, 0.21),
                 style.wood2)
    item.box((-half - 0.005, -0.215, 0.42), (half + 0.005, 0.17, 0.45),
             style.wood)
    if padded:
        item.padding((-half + 0.01, -0.2, 0.44), (half - 0.01, 0.16, 0.49),
                     style.fabric)
        item.padding((-half + 0.035, 0.172, 0.58), (half - 0.035, 0.212,
                                                    0.93), style.fabric)
    else:
        for z in (0.58, 0.72, 0.86):
            item.box((-half + 0.035, 0.183, z), (half - 0.035, 0.203,
                                                 z + 0.07), style.wood)
    return item


def _office_chair(rng, style) -> _Item:
    item = _Item('office chair', 'chair')
    cloth = style.fabric if rng.random() < 0.5 else _paint(
        _hsv(rng, 0.6, 0.1, 0.22))
    dark = _paint((0.12, 0.12, 0.13))
    for angle in np.arange(5) * 2 * np.pi / 5 + np.pi / 2:
        end = np.array([0.26 * np.cos(angle), 0.26 * np.sin(angle), 0.07])
        item.rod((0, 0, 0.1), end, 0.02, dark)
        item.ball(end - (0, 0, 0.035), 0.035, dark)
    item.rod((0, 0, 0.08), (0, 0, 0.42), 0.03, style.metal)
    item.padding((-0.24, -0.24, 0.42), (0.24, 0.22, 0.52), cloth)
    item.box((-0.03, 0.2, 0.44), (0.03, 0.23, 0.7), dark)
    item.padding((-0.22, 0.16, 0.6), (0.22, 0.24, 1.08), cloth)
    return item


def _coffee_table(rng, style) -> _Item:
    item = _Item('coffee table', 'table')
    half, depth, height = rng.uniform(0.4, 0.55), 0.55, 0.42
    base = _RUG_THICKNESS
    for x in (-half + 0.03, half - 0.08):
        for y in (0.03, depth - 0.08):
            item.box((x, y, base), (x + 0.05, y + 0.05, height - 0.04),
                     style.wood2)
    item.box((-half, 0, height - 0.04), (half, depth, height), style.wood)
    item.box((-half + 0.05, 0.05, 0.15), (half - 0.05, depth - 0.05, 0.17),
             style.wood2)
    for z in range(int(rng.integers(1, 4))):
        item.begin()
        low = np.array([-0.3, 0.15, height + 0.03 * z])
        item.box(low, low + (0.22, 0.28, 0.03),
                 _paint(_hsv(rng, rng.random(), 0.5, 0.65)), 'books')
    if rng.random() < 0.7:
        _vase(item, rng, (0.2, 0.3, height))
    else:
        item.begin()
        item.box((0.05, 0.12, height), (0.26, 0.42, height + 0.004),
                 _paint((0.92, 0.92, 0.9)), 'paper')
    return item


def _dining_set(rng, style) -> _Item:
    """A table with chairs around it, centred at the origin."""
    item = _Item('dining set', 'table')
    base, top = _RUG_THICKNESS, 0.75
    pairs = int(rng.integers(1, 4))
    half, deep = 0.3 * pairs + 0.28, 0.42
    padded = rng.random() < 0.5
    round_top = pairs == 1
    if round_top:
        half = deep = 0.55
        item.turned((0, 0, 0), _cylinder_profile(0.55, top - 0.035, top),
                    style.wood)
        item.turned((0, 0, 0), _cylinder_profile(0.05, base + 0.04,
                                                 top - 0.03), style.wood2)
        item.turned((0, 0, 0), _cylinder_profile(0.28, base, base + 0.04),
                    style.wood2)
    else:
        item.box((-half, -deep, top - 0.035), (half, deep, top), style.wood)
        for x in (-half + 0.04, half - 0.11):
            for y in (-deep + 0.04, deep - 0.11):
                item.box((x, y, base), (x + 0.07, y + 0.07, top - 0.035),
                         style.wood2)
        item.box((-half + 0.06, -deep + 0.06, top - 0.12),
                 (half - 0.06, deep - 0.06, top - 0.036), style.wood2)
    reach = deep + (0.16 if round_top else 0.05)
    spread = np.arange(pairs) * 0.6 - 0.3 * (pairs - 1)
    seats = [(x, reach, 0) for x in spread]
    seats += [(x, -reach, 180) for x in spread]
    if round_top:
        seats += [(reach, 0, 270), (-reach, 0, 90)]
    elif rng.random() < 0.6:
        seats += [(half + 0.06, 0, 270), (-half - 0.06, 0, 90)]
    for x, y, turn in seats:
        item.merge(_chair(rng, style, padded), _yaw(turn, (x, y, base)))
    for x in spread[:2]:
        item.begin()
        item.turned((x, 0.2, top), [(1e-4, 0), (0.07, 0), (0.12, 0.02),
                                    (1e-4, 0.008)],
                    Material('glossy', (0.8, 0.8, 0.78)), 'otherprop')
    _vase(item, rng, (0, -0.05, top))
    return item


def _desk(rng, style) -> _Item:
    """A desk at the wall with a chair, a screen, a lamp and papers."""
    item = _Item('desk', 'desk')
    half, depth, top = rng.uniform(0.6, 0.8), 0.65, 0.74
    item.box((-half, 0, top - 0.035), (half, depth, top), style.wood)
    item.box((-half + 0.02, 0.02, 0), (-half + 0.05, depth - 0.03,
                                       top - 0.035), style.wood2)
    item.box((half - 0.42, 0.02, 0.04), (half - 0.02, depth - 0.05,
                                         top - 0.035), style.wood2)
    _drawers(item, (half - 0.42, 0, 0.04), (half - 0.02, depth - 0.05,
                                            top - 0.035), 3, 1, style.wood,
             style.metal, 'desk')
    x = rng.uniform(-0.2, 0.0)
    dark = _paint((0.1, 0.1, 0.11), kind='glossy')
    item.begin()
    item.box((x - 0.1, 0.16, top), (x + 0.1, 0.32, top + 0.015), dark,
             'otherprop')
    item.box((x - 0.025, 0.2, top), (x + 0.025, 0.225, top + 0.2), dark,
             'otherprop')
    item.box((x - 0.28, 0.225, top + 0.1), (x + 0.28, 0.25, top + 0.45),
             dark, 'otherprop')
    screen = dark
    if rng.random() < 0.6:
        screen = Material('glossy', texture=_screen(rng))
    item.panel((x, 0.252, top + 0.275), 0.53, 0.32, screen, 'otherprop')
    item.box((x - 0.2, 0.4, top), (x + 0.2, 0.53, top + 0.02), dark,
             'otherprop')
    item.begin()
    item.box((-half + 0.06, 0.3, top), (-half + 0.27, 0.6, top + 0.006),
             _paint((0.93, 0.93, 0.9)), 'paper')
    item.merge(_table_lamp(rng, style, (half - 0.2, 0.18, top)), np.eye(4))
    _books_row(item, rng, (-half + 0.02, 0.04, top), 0.3, 0.28, 0.2)
    item.merge(_office_chair(rng, style),
               _yaw(rng.uniform(-25, 25), (-0.1, depth + 0.2, 0)))
    return item


def _television(rng, style) -> _Item:
    """A television on a low cabinet."""
    item = _case(rng, style, 'tv cabinet', 'cabinet', rng.uniform(1.3, 1.7),
                 0.42, 0.48, 1, 3, legs=0.1)
    half = rng.uniform(0.48, 0.62)
    tall = half * 1.15
    dark = _paint((0.07, 0.07, 0.08), kind='glossy')
    item.begin()
    item.box((-0.2, 0.12, 0.48), (0.2, 0.28, 0.495), dark, 'television')
    item.box((-0.04, 0.17, 0.49), (0.04, 0.2, 0.6), dark, 'television')
    item.box((-half, 0.16, 0.58), (half, 0.21, 0.58 + tall), dark,
             'television')
    screen = dark
    if rng.random() < 0.35:
        screen = Material('glossy', texture=_screen(rng))
    item.panel((0, 0.212, 0.58 + tall / 2), 2 * half - 0.03, tall - 0.03,
               screen, 'television')
    return item


def _refrigerator(rng, style) -> _Item:
    item = _Item('refrigerator', 'refrigerator')
    white = _paint((0.9, 0.91, 0.92), kind='glossy')
    color = white if rng.random() < 0.6 else Material(
        'metal', (0.55, 0.56, 0.58), roughness=0.4)
    height, split = rng.uniform(1.65, 1.85), rng.uniform(1.0, 1.2)
    item.box((-0.31, 0, 0.03), (0.31, 0.58, height), color)
    item.box((-0.29, 0.02, 0), (0.29, 0.55, 0.03), _paint((0.1,) * 3))
    for low, high in ((0.05, split), (split + 0.012, height - 0.005)):
        item.box((-0.308, 0.585, low), (0.308, 0.64, high), color)
        item.box((-0.27, 0.64, max(low + 0.05, split - 0.35)),
                 (-0.245, 0.68, min(high - 0.05, split + 0.35)),
                 style.metal)
    return item


def _counter(rng, style) -> _Item:
    """A kitchen counter with sink, lower and upper cabinets."""
    item = _Item('counter', 'cabinet')
    half, depth, top = rng.uniform(0.7, 1.0), 0.6, 0.9
    front = style.white if rng.random() < 0.5 else style.wood
    item.box((-half, 0, 0.1), (half, depth - 0.04, top - 0.04), front)
    item.box((-half + 0.02, 0, 0), (half - 0.02, depth - 0.1, 0.1),
             _paint((0.15,) * 3))
    _drawers(item, (-half, 0, 0.1), (half, depth - 0.04, top - 0.04), 1, 4,
             front, style.metal, 'cabinet')
    item.begin()
    stone = Material('glossy', texture=_weave(
        rng, _hsv(rng, 0.1, 0.08, rng.choice([0.3, 0.55, 0.75])), 0.25,
        (0.3, 0.3)), roughness=0.15)
    item.box((-half - 0.01, 0, top - 0.04), (half + 0.01, depth + 0.01, top),
             stone, 'counter')
    item.begin()
    item.box((-0.5, 0.12, top), (-0.06, 0.5, top + 0.012), style.metal,
             'sink')
    item.rod((-0.28, 0.07, top), (-0.28, 0.07, top + 0.26), 0.015,
             style.metal, 'sink')
    item.rod((-0.28, 0.07, top + 0.25), (-0.28, 0.25, top + 0.22), 0.012,
             style.metal, 'sink')
    _vase(item, rng, (half - 0.2, 0.25, top))
    item.begin()
    item.box((-half, 0, 1.45), (half, 0.32, 2.1), front, 'cabinet')
    _drawers(item, (-half, 0, 1.45), (half, 0.32, 2.1), 1, 4, front,
             style.metal, 'cabinet')
    return item


def _sideboard(rng, style) -> _Item:
    item = _case(rng, style, 'sideboard', 'cabinet', rng.uniform(1.1, 1.5),
                 0.44, rng.uniform(0.78, 0.9), 2, 3, legs=0.12)
    top = item.bounds()[1][2]
    _vase(item, rng, (0.3, 0.2, top))
    if rng.random() < 0.6:
        item.merge(_table_lamp(rng, style, (-0.35, 0.2, top)), np.eye(4))
    return item


def _plant(rng, style) -> _Item:
    item = _Item('plant', 'otherprop')
    center = np.array([0.0, 0.32, 0.0])
    pot = _paint(_hsv(rng, rng.choice([0.05, 0.6, 0.1]), 0.4, 0.6))
    item.turned(center, [(1e-4, 0), (0.11, 0), (0.15, 0.28), (1e-4, 0.26)],
                pot)
    tall = rng.uniform(0.7, 1.1)
    item.rod(center + (0, 0, 0.25), center + (0, 0, 0.28 + 0.5 * tall),
             0.018, _paint(_hsv(rng, 0.08, 0.5, 0.35)))
    for _ in range(26):
        yaw, lift = rng.uniform(0, 360), rng.uniform(15, 75)
        length = rng.uniform(0.16, 0.28)
        leaf = np.eye(4)
        leaf[:3, :3] = _yaw(yaw)[:3, :3] @ _pitch(lift) @ np.diag(
            (0.05, length / 2, 0.01))
        direction = _yaw(yaw)[:3, :3] @ _pitch(lift) @ (0, 1, 0)
        leaf[:3, 3] = center + direction * length / 2 + (
            0, 0, 0.28 + rng.uniform(0.12, 0.55) * tall)
        item.add('mesh', leaf, _paint(_hsv(rng, 0.33, 0.55, 0.42)),
                 mesh=_BALL)
    return item


def _boxes(rng, style) -> _Item:
    """One or two stacked cartons, taped."""
    item = _Item('boxes', 'box')
    z = 0.0
    half, deep = rng.uniform(0.22, 0.3), rng.uniform(0.35, 0.45)
    for _ in range(int(rng.integers(1, 4))):
        tall = rng.uniform(0.22, 0.36)
        item.begin()
        paper = _storage(rng)
        item.box((-half, 0.05, z), (half, 0.05 + deep, z + tall), paper)
        item.box((-0.03, 0.045, z + tall * 0.55),
                 (0.03, 0.055 + deep, z + tall + 0.002),
                 _paint((0.8, 0.72, 0.55)))
        z += tall + 0.003
        half *= 0.85
        deep *= 0.88
    return item


def _bag(rng, style) -> _Item:
    """A shopping bag with a handle, leaning nowhere."""
    item = _Item('bag', 'bag')
    cloth = _paint(_hsv(rng, rng.random(), 0.6, 0.5))
    item.padding((-0.2, 0.06, 0), (0.2, 0.24, 0.36), cloth)
    for x in (-0.1, 0.1):
        item.rod((x, 0.15, 0.3), (x * 0.8, 0.15, 0.5), 0.012, cloth)
    item.rod((-0.08, 0.15, 0.5), (0.08, 0.15, 0.5), 0.012, cloth)
    return item


def _stool_chair(rng, style) -> _Item:
    """A single chair with its back to the wall."""
    item = _Item('chair', 'chair')
    item.merge(_chair(rng, style, rng.random() < 0.5),
               _yaw(180, (0, 0.26, 0)))
    return item


def _armchair(rng, style) -> _Item:
    return _sofa(rng, style, seats=1)


def _picture(rng, style) -> _Item:
    item = _Item('picture', 'picture')
    half = rng.uniform(0.22, 0.5)
    tall = half * 2 * rng.choice([0.75, 1.3])
    low = max(1.6 - tall / 2, 1.25)
    frame = [style.wood2, style.white, _paint((0.1, 0.1, 0.1))][
        rng.integers(3)]
    item.box((-half, 0, low), (half, 0.025, low + tall), frame)
    item.panel((0, 0.027, low + tall / 2), 2 * half - 0.07, tall - 0.07,
               Material(texture=_painting(rng)))
    return item


def _whiteboard(rng, style) -> _Item:
    item = _Item('whiteboard', 'whiteboard')
    half, low, high = rng.uniform(0.5, 0.8), 1.0, 1.85
    item.box((-half, 0, low), (half, 0.02, high), style.metal)
    image = np.full((48, 64, 3), 0.93)
    for row in range(6, 40, 7):
        end = int(rng.integers(20, 58))
        image[row:row + 2, 6:end] = _hsv(rng, rng.random(), 0.8, 0.4)
    item.panel((0, 0.022, (low + high) / 2), 2 * half - 0.04,
               high - low - 0.04, Material(texture=_texture(image)))
    item.box((-half * 0.6, 0.02, low - 0.01), (half * 0.6, 0.07, low + 0.01),
             style.metal)
    return item


def _door(rng, style) -> _Item:
    item = _Item('door', 'door')
    half, height = 0.42, 2.03
    tone = rng.random()
    if tone < 0.55:
        color = _hsv(rng, 0.07, 0.55, 0.5)
    elif tone < 0.8:
        color = _hsv(rng, 0.09, 0.35, 0.7)
    else:
        color = _hsv(rng, 0.12, 0.1, 0.85)
    leaf = Material('glossy', texture=_grain(rng, color, 0.08),
                    roughness=0.35)
    dark = _paint(color * 0.8)
    for x in (-half - 0.08, half):
        item.box((x, 0, 0), (x + 0.08, 0.035, height + 0.08), dark)
    item.box((-half, 0, height), (half, 0.035, height + 0.08), dark)
    item.box((-half, 0, 0.005), (half, 0.02, height), leaf)
    for low, high in ((0.15, 0.9), (1.05, 1.88)):
        for x in (-half + 0.1, 0.04):
            item.box((x, 0.02, low), (x + half - 0.14, 0.03, high), dark)
    side = rng.choice([-1, 1])
    item.rod((side * (half - 0.06), 0.02, 1.0),
             (side * (half - 0.06), 0.07, 1.0), 0.014, style.metal)
    item.rod((side * (half - 0.07), 0.07, 1.0),
             (side * (half - 0.19), 0.07, 1.0), 0.012, style.metal)
    return item


def _window(rng, half, low, high, glazed, power, night) -> _Item:
    """A window in a wall opening, and the view behind it.

    An open window shows the outside world, which geometry maps leave empty;
    the view through a glazed one counts as window, as panes in Hypersim do.
    """
    item = _Item('window', 'window')
    white = _paint(_hsv(rng, 0.1, 0.06, 0.9, 0.02, 0.04))
    back, front = -_WALL_THICKNESS + 0.04, -0.04
    for x in (-half, half - 0.06):
        item.box((x, back, low), (x + 0.06, front, high), white)
    for z in (low, high - 0.06):
        item.box((-half + 0.06, back, z), (half - 0.06, front, z + 0.06),
                 white)
    bars = 2 if half > 0.75 else 1
    for bar in range(1, bars + 1):
        x = -half + 2 * half * bar / (bars + 1)
        item.box((x - 0.025, back + 0.01, low + 0.06),
                 (x + 0.025, front - 0.01, high - 0.06), white)
    middle = low + (high - low) * 0.6
    item.box((-half + 0.06, back + 0.02, middle - 0.02),
             (half - 0.06, front - 0.02, middle + 0.02), white)
    item.box((-half - 0.06, 0, low - 0.04), (half + 0.06, 0.09, low), white)
    view = Material(color=(0.02,) * 3, texture=_outside(rng, night),
                    emission=(power,) * 3)
    item.panel((0, back + 0.03 if glazed else -_WALL_THICKNESS - 0.05,
                (low + high) / 2), 2 * half - (0.1 if glazed else -0.6),
               high - low - (0.1 if glazed else -0.6), view,
               'window' if glazed else 'outside')
    return item


def _curtains(rng, style, half, low, high) -> _Item:
    """Two curtains beside a window, on a rod."""
    item = _Item('curtains', 'curtain')
    pale = _hsv(rng, rng.random(), rng.uniform(0.05, 0.5),
                rng.uniform(0.55, 0.85))
    cloth = Material(texture=_weave(rng, pale, 0.06))
    width = rng.uniform(0.3, 0.45)
    bottom = 0.03 if rng.random() < 0.6 else low - 0.15
    for side in (-1, 1):
        item.begin()
        matrix = _scaled((1, 1, 1), (side * (half + width / 2 - 0.12), 0.13,
                                     bottom))
        item.add('mesh', matrix, cloth, mesh=_curtain_mesh(
            width, high + 0.08 - bottom, 0.03, int(rng.integers(4, 7))))
    item.begin()
    item.rod((-half - width, 0.13, high + 0.1),
             (half + width, 0.13, high + 0.1), 0.015, style.metal)
    return item


def _blinds(rng, half, low, high) -> _Item:
    """Horizontal slats in front of the upper part of a window."""
    item = _Item('blinds', 'blinds')
    slat = _paint(_hsv(rng, 0.1, rng.choice([0.08, 0.4]), 0.85))
    item.box((-half, 0.02, high), (half, 0.07, high + 0.05), slat)
    end = low + (high - low) * rng.uniform(0.25, 0.6)
    for z in np.arange(high - 0.03, end, -0.045):
        matrix = _scaled((half, 0.022, 0.002), (0, 0.045, z))
        matrix[:3, :3] = _pitch(-40) @ matrix[:3, :3]
        item.add('box', matrix, slat)
    item.box((-half, 0.035, end - 0.04), (half, 0.055, end - 0.02), slat)
    return item


def _rug(rng, width, depth) -> _Item:
    item = _Item('rug', 'floormat')
    cloth = Material(texture=_rug_image(rng))
    item.box((-width / 2, 0, 0), (width / 2, depth, _RUG_THICKNESS - 0.002),
             _paint((0.3, 0.25, 0.22)))
    item.panel((0, depth / 2, _RUG_THICKNESS - 0.001), width, depth, cloth,
               facing='up')
    return item


def _ceiling_light(rng, height, power, pendant) -> _Item:
    """A flat panel, a globe or a pendant that hangs over a table."""
    item = _Item('ceiling light', 'lamp')
    warm = np.array(_linear(_hsv(rng, 0.1, 0.15, 0.95, 0.02, 0.04)))
    if pendant:
        low = 1.6
        item.rod((0, 0, low + 0.24), (0, 0, height), 0.01,
                 _paint((0.1,) * 3))
        shade = Material('glossy', _linear(_hsv(rng, rng.random(), 0.5,
                                                0.5)))
        item.turned((0, 0, low), [(0.24, 0), (0.07, 0.22), (1e-4, 0.25)],
                    shade)
        item.panel((0, 0, low + 0.03), 0.26, 0.26, Material(
            color=(0.7,) * 3, emission=tuple(12 * power * warm)),
            facing='down')
        # the pendant alone leaves the room too dark to be recognised
        item.begin()
        item.box((-0.2, -0.2, height - 0.04), (0.2, 0.2, height),
                 _paint((0.9,) * 3))
        item.panel((0, 0, height - 0.041), 0.36, 0.36, Material(
            color=(0.7,) * 3, emission=tuple(60 * power * warm)),
            facing='down')
    elif rng.random() < 0.5:
        item.box((-0.38, -0.38, height - 0.05), (0.38, 0.38, height),
                 _paint((0.9,) * 3))
        item.panel((0, 0, height - 0.051), 0.68, 0.68, Material(
            color=(0.7,) * 3, emission=tuple(16 * power * warm)),
            facing='down')
    else:
        # only the bowl shines: a glowing rim would light a tiny, very
        # bright patch of ceiling, which path tracing turns into speckles
        item.turned((0, 0, height), [(1e-4, -0.12), (0.21, -0.12),
                                     (0.21, 0), (1e-4, 0)],
                    Material('metal', (0.6,) * 3, roughness=0.3))
        item.turned((0, 0, height), [
            (1e-4, -0.2), (0.1, -0.185), (0.17, -0.155), (0.2, -0.12)],
            Material(color=(0.7,) * 3, emission=tuple(40 * power * warm)))
    return item


# --------------------------------------------------------------------------
# Rooms.


class _Planner:
    """Put furniture into an empty room without collisions.

    Args:
        room (Room): Filled in place.
        rng (np.random.Generator): Source of all choices.
    """

    def __init__(self, room: Room, rng: np.random.Generator) -> None:
        self.room = room
        self.rng = rng
        self._keep_out: List[Tuple[np.ndarray, np.ndarray]] = []
        self._next_instance = 1

    def put(self, item: _Item, matrix, solid=True) -> None:
        """Add an item, moved by a (4, 4) matrix."""
        used: Dict[int, int] = {}
        start = len(self.room.primitives)
        for part in item.primitives:
            if part.instance not in used:
                used[part.instance] = self._next_instance
                self._next_instance += 1
            self.room.primitives.append(Primitive(
                part.shape, matrix @ part.to_world, part.material,
                part.semantic,
                -1 if part.semantic < 0 else used[part.instance],
                part.mesh))
        if solid:
            bounds = [p.bounds() for p in self.room.primitives[start:]]
            self.room.objects.append(PlacedObject(
                item.name, np.min([low for low, _ in bounds], axis=0),
                np.max([high for _, high in bounds], axis=0)))

    def reserve(self, low, high) -> None:
        """Keep an axis-aligned box of the room free."""
        self._keep_out.append((np.asarray(low, float),
                               np.asarray(high, float)))

    def _is_free(self, low, high) -> bool:
        size = np.asarray(self.room.size)
        if (low < -1e-6).any() or (high > size + 1e-6).any():
            return False
        boxes = self._keep_out + [(o.low, o.high)
                                  for o in self.room.objects]
        return not any((low < b - 1e-6).all() and (high > a + 1e-6).all()
                       for a, b in boxes)

    def wall_matrix(self, wall: int, along: float) -> np.ndarray:
        """Return the pose of an item at a wall.

        Args:
            wall (int): 0..3.
            along (float): Place along the wall, metres from its end with
                the smaller coordinate.

        Returns:
            np.ndarray: (4, 4).
        """
        width, depth, _ = self.room.size
        offset = [(along, 0, 0), (width, along, 0), (along, depth, 0),
                  (0, along, 0)][wall]
        return _yaw(90 * wall, offset)

    def try_put(self, item: _Item, matrix, front=0.0, side=0.0) -> bool:
        """Add an item if its place, with clearance, is free.

        Args:
            item (_Item): The furniture.
            matrix (np.ndarray): (4, 4) pose.
            front (float): Metres to keep free in front of it.
            side (float): Metres to keep free to its left and right.

        Returns:
            bool: Whether it was added.
        """
        low, high = item.bounds()
        low, high = low - (side, 0, 0), high + (side, front, 0)
        ends = np.stack([low, high]) @ matrix[:3, :3].T + matrix[:3, 3]
        if not self._is_free(ends.min(axis=0), ends.max(axis=0)):
            return False
        self.put(item, matrix)
        if front:
            ends = (np.array([(low[0], high[1] - front, low[2]), high])
                    @ matrix[:3, :3].T + matrix[:3, 3])
            self.reserve(ends.min(axis=0), ends.max(axis=0))
        return True

    def at_wall(self, item: _Item, front=0.0, side=0.03, walls=None,
                tries=40) -> Optional[np.ndarray]:
        """Add an item somewhere along a wall.

        Args:
            item (_Item): The furniture.
            front (float): Metres to keep free in front. Defaults to 0.
            side (float): Metres to keep free beside. Defaults to 0.03.
            walls (Sequence[int], optional): Walls to use. Defaults to all.
            tries (int): Places to try. Defaults to 40.

        Returns:
            np.ndarray, optional: Its pose; None if there was no place.
        """
        low, high = item.bounds()
        for _ in range(tries):
            wall = int(self.rng.choice(walls or (0, 1, 2, 3)))
            length = self.room.size[wall % 2]
            # x runs against the wall's coordinate on walls 2 and 3
            left, right = (-low[0], high[0]) if wall < 2 else (high[0],
                                                               -low[0])
            free = length - left - right - 2 * side
            if free < 0:
                continue
            along = side + left + free * self.rng.random()
            matrix = self.wall_matrix(wall, along)
            if self.try_put(item, matrix, front, side):
                return matrix
        return None

    def floor_center(self, half, deep, tries=60) -> Optional[np.ndarray]:
        """Find a free rectangle on the floor.

        Args:
            half (float): Half its width, metres.
            deep (float): Half its depth, metres.
            tries (int): Places to try. Defaults to 60.

        Returns:
            np.ndarray, optional: (4, 4) pose of its centre, as near to the
            room's centre as found; None if there was no place.
        """
        size = np.asarray(self.room.size)
        for step in range(tries):
            turn = 90 * int(self.rng.integers(2))
            reach = np.array([half, deep] if turn == 0 else [deep, half])
            spread = (size[:2] / 2 - reach - 0.1) * step / tries
            if (spread < 0).any():
                continue
            center = size[:2] / 2 + self.rng.uniform(-1, 1, 2) * spread
            if self._is_free(np.append(center - reach, 0),
                             np.append(center + reach, 1.2)):
                return _yaw(turn, (*center, 0))
        return None


def _add_shell(planner, rng, style, evening) -> None:
    """Build floor, ceiling, walls, a door and one or two windows."""
    room = planner.room
    width, depth, height = room.size
    thick = _WALL_THICKNESS
    floor = _Item('floor', 'floor')
    choice = rng.random()
    if choice < 0.6:
        tone = [_hsv(rng, 0.08, 0.45, 0.65), _hsv(rng, 0.06, 0.5, 0.45),
                _hsv(rng, 0.09, 0.35, 0.78)][rng.integers(3)]
        surface = Material('glossy', texture=_planks(rng, tone),
                           roughness=0.35)
    elif choice < 0.85:
        tone = _hsv(rng, 0.1, 0.12, rng.uniform(0.55, 0.8))
        second = tone * 0.6 if rng.random() < 0.4 else None
        surface = Material('glossy', texture=_tiles(rng, tone,
                                                    second=second),
                           roughness=0.25)
    else:
        surface = Material(texture=_weave(
            rng, _hsv(rng, rng.choice([0.1, 0.6, 0.35]), 0.2, 0.5)))
    floor.box((-thick, -thick, -0.1), (width + thick, depth + thick, 0),
              surface)
    ceiling = _Item('ceiling', 'ceiling')
    ceiling.box((-thick, -thick, height), (width + thick, depth + thick,
                                           height + 0.1),
                _paint(_hsv(rng, 0.12, 0.03, 0.93, 0.05, 0.02)))
    for item in (floor, ceiling):
        planner.put(item, np.eye(4), solid=False)

    hue = rng.choice([0.12, 0.1, 0.58, 0.3, 0.05, 0.52])
    tone = _hsv(rng, hue, rng.uniform(0.04, 0.28), 0.84)
    paper = rng.random()
    if paper < 0.2:
        surface = Material(texture=_stripes(tone, tone * 0.9, 0.24))
    else:
        surface = _paint(tone)
    skirting = _paint(_hsv(rng, 0.1, 0.05, 0.88, 0.05, 0.03))
    accent_wall = int(rng.integers(8))
    accent = _paint(_hsv(rng, hue, 0.4, 0.65))

    door_wall = int(rng.integers(4))
    window_walls = [int((door_wall + 2) % 4)]
    if rng.random() < 0.35:
        window_walls.append(int((door_wall + rng.choice([1, 3])) % 4))
    glazed = rng.random() < 0.6
    # the door stands first: windows are never on its wall
    along = rng.uniform(0.7, room.size[door_wall % 2] - 0.7)
    planner.try_put(_door(rng, style), planner.wall_matrix(door_wall, along),
                    front=0.75)
    for wall in range(4):
        length = room.size[wall % 2]
        item = _Item('wall', 'wall')
        cover = accent if wall == accent_wall else surface
        # corners are filled by walls 0 and 2, which overhang
        over = thick if wall % 2 == 0 else 0.0
        start, end = -over, length + over
        if wall not in window_walls:
            item.box((start, -thick, 0), (end, 0, height), cover)
        else:
            half = rng.uniform(0.6, min(1.1, length / 2 - 0.6))
            low = rng.uniform(0.8, 1.0)
            high = min(rng.uniform(2.05, 2.3), height - 0.25)
            center = rng.uniform(half + 0.5, length - half - 0.5)
            matrix = planner.wall_matrix(wall, center)
            left, right = center - half, center + half
            if wall >= 2:
                left, right = length - right, length - left
            item.box((start, -thick, 0), (end, 0, low), cover)
            item.box((start, -thick, high), (end, 0, height), cover)
            item.box((start, -thick, low), (left, 0, high), cover)
            item.box((right, -thick, low), (end, 0, high), cover)
            planner.put(_window(
                rng, half, low, high, glazed,
                rng.uniform(1.5, 2.2) if not evening else 0.6, evening),
                matrix, solid=False)
            corners = np.array([(-half, 0, low - 0.05),
                                (half, 0.3, high + 0.1)])
            corners = corners @ matrix[:3, :3].T + matrix[:3, 3]
            dressing = rng.random()
            if dressing < 0.55:
                planner.try_put(_curtains(rng, style, half, low, high),
                                matrix)
            elif dressing < 0.85:
                planner.try_put(_blinds(rng, half, low, high), matrix)
            planner.reserve(corners.min(axis=0), corners.max(axis=0))
        item.box((start, 0, 0), (end, 0.0005, 0.08), skirting)
        origin = [0, 0, length, length][wall]
        matrix = planner.wall_matrix(wall, origin)
        planner.put(item, matrix, solid=False)


def _furnish_living(planner, rng, style) -> None:
    pose = planner.at_wall(_sofa(rng, style), front=1.55)
    if pose is not None:
        if rng.random() < 0.8:
            planner.put(_rug(rng, 2.0, 1.3), pose @ _yaw(0, (0, 0.95, 0)),
                        solid=False)
        planner.put(_coffee_table(rng, style),
                    pose @ _yaw(0, (0, 1.3, 0)))
        wall = int(round(np.arctan2(pose[1, 0], pose[0, 0]) / np.pi * 2)) % 4
        planner.at_wall(_television(rng, style), front=0.3,
                        walls=[(wall + 2) % 4])
    for make in (_bookshelf, _armchair, _floor_lamp, _plant, _picture,
                 _picture, _wall_shelves, _sideboard, _boxes, _stool_chair,
                 _wall_mirror, _bag):
        if rng.random() < 0.75:
            planner.at_wall(make(rng, style))


def _furnish_bedroom(planner, rng, style) -> None:
    bed = _bed(rng, style)
    pose = planner.at_wall(bed, front=0.5, side=0.52)
    if pose is None:
        # no room for nightstands on both sides
        pose = planner.at_wall(bed, front=0.3)
    if pose is not None:
        half = bed.bounds()[1][0] + 0.26
        for x in (-half, half):
            planner.try_put(_nightstand(rng, style),
                            pose @ _yaw(0, (x, 0, 0)))
        picture = _picture(rng, style)
        planner.try_put(picture, pose)
        if rng.random() < 0.6:
            planner.put(_rug(rng, 1.4, 0.5), pose @ _yaw(0, (0, 2.07, 0)),
                        solid=False)
    for make in (_dresser, _wardrobe, _stool_chair, _picture, _plant,
                 _boxes, _wall_mirror, _wall_shelves, _floor_lamp, _bag,
                 _bookshelf):
        if rng.random() < 0.75:
            planner.at_wall(make(rng, style))


def _furnish_dining(planner, rng, style) -> Optional[np.ndarray]:
    table = _dining_set(rng, style)
    half, deep = table.bounds()[1][:2]
    pose = planner.floor_center(half + 0.15, deep + 0.15)
    if pose is not None:
        if rng.random() < 0.6:
            planner.put(_rug(rng, 2 * half, 2 * deep),
                        pose @ _yaw(0, (0, -deep, 0)), solid=False)
        planner.try_put(table, pose)
    for make in (_counter, _refrigerator, _sideboard, _picture, _plant,
                 _wall_shelves, _picture, _bookshelf, _stool_chair, _boxes,
                 _wall_mirror, _bag):
        if rng.random() < 0.75:
            planner.at_wall(make(rng, style), front=0.0)
    return pose


def _furnish_study(planner, rng, style) -> None:
    planner.at_wall(_desk(rng, style), front=0.2)
    for make in (_bookshelf, _whiteboard, _bookshelf, _wall_shelves,
                 _armchair, _boxes, _wardrobe, _picture, _plant, _floor_lamp,
                 _boxes, _stool_chair, _bag):
        if rng.random() < 0.8:
            planner.at_wall(make(rng, style))
    pose = planner.floor_center(0.8, 0.6)
    if pose is not None and rng.random() < 0.7:
        planner.put(_rug(rng, 1.6, 1.2), pose @ _yaw(0, (0, -0.6, 0)),
                    solid=False)


def _coarse_view(camera, lows, highs, columns=20, rows=15):
    """See the room as bounding boxes: first box and distance per ray."""
    rays = camera.pixel_rays(columns, rows).reshape(-1, 1, 3)
    rays = rays.astype(np.float32)
    origin = camera.position.astype(np.float32)
    enter = np.float32(0)
    leave = np.float32(np.inf)
    with np.errstate(divide='ignore', invalid='ignore'):
        inverse = 1 / rays
        for axis in range(3):
            near = (lows[:, axis] - origin[axis]) * inverse[..., axis]
            far = (highs[:, axis] - origin[axis]) * inverse[..., axis]
            enter = np.maximum(enter, np.minimum(near, far))
            leave = np.minimum(leave, np.maximum(near, far))
    # a camera may be inside a slanted object's box without being in it
    enter[(enter > leave) | (enter <= 0)] = np.inf
    first = enter.argmin(axis=1)
    return first, enter[np.arange(len(first)), first]


def _choose_cameras(room, rng, num_cameras) -> List[Camera]:
    """Pick varied views of much furniture from free places at eye height."""
    width, depth, _ = room.size
    bounds = [p.bounds() for p in room.primitives]
    lows = np.array([low for low, _ in bounds], dtype=np.float32)
    highs = np.array([high for _, high in bounds], dtype=np.float32)
    # label 0 is the view out of an open window
    labels = np.array([max(p.semantic, 0) for p in room.primitives])
    shell = [NYU40_IDS[k] for k in ('wall', 'floor', 'ceiling')]
    candidates = []
    # crowded rooms: allow less distance to furniture when nothing is found
    for clearance in (0.45, 0.3, 0.15):
        for _ in range(100):
            position = np.array([rng.uniform(0.25, width - 0.25),
                                 rng.uniform(0.25, depth - 0.25),
                                 rng.uniform(1.25, 1.65)])
            goal = room.objects[rng.integers(len(room.objects))]
            target = (goal.low + goal.high) / 2 + rng.normal(0, 0.3, 3)
            blocked = any(((position > o.low - clearance)
                           & (position < o.high + clearance)).all()
                          for o in room.objects)
            away = np.hypot(*(target - position)[:2])
            if blocked or away < 1.8:
                continue
            # heads are rarely tilted far: between 18 down and 3 up
            slope = np.clip((target[2] - position[2]) / away, -0.32, 0.05)
            target[2] = position[2] + slope * away
            camera = Camera.look_at(position, target)
            first, distance = _coarse_view(camera, lows, highs)
            if np.quantile(distance, 0.05) < 0.9:
                continue
            shares = np.bincount(labels[first], minlength=41) / len(first)
            score = 0.5 * min(np.median(distance), 3.5)
            score -= 3 * max(0, shares[shell].max() - 0.45)
            score -= 3 * max(0, np.delete(shares, shell).max() - 0.3)
            # bright windows leave the rest of the picture dark
            score -= 4 * max(0, shares[[0, NYU40_IDS['window']]].sum()
                             - 0.12)
            candidates.append((score, shares, camera))
        if len(candidates) >= 3 * num_cameras:
            break
    if not candidates:
        raise RuntimeError('mini Hypersim: no free camera position; '
                           'choose another seed.')
    chosen: List[Camera] = []
    shown = np.zeros(41)
    shown[shell] = np.inf

    def gain(candidate):
        """Value of a view, given the classes and views chosen before."""
        score, shares, camera = candidate
        score = score + 1.5 * (np.sqrt(shares) / (1 + shown)).sum()
        for other in chosen:
            turn = camera.rotation[:, 2] @ other.rotation[:, 2]
            move = np.linalg.norm(camera.position - other.position)
            score -= 2 * max(0, turn) * max(0, 1 - move / 4)
        return score

    while len(chosen) < num_cameras:
        best = max(range(len(candidates)), key=lambda k: gain(candidates[k]))
        shown += np.sqrt(candidates[best][1])
        chosen.append(candidates[best][2])
        # views repeat only when there are fewer places than frames
        if len(candidates) > 1:
            candidates.pop(best)
    return chosen


def make_room(seed: int, index: int, num_cameras: int = 4) -> Room:
    """Furnish a room and choose its cameras.

    The result depends on the arguments only. Rooms of other indices or
    seeds differ in size, furniture, colours, light and cameras.

    Args:
        seed (int): Seed of the data set, >= 0.
        index (int): Number of the room, >= 0; sets its kind.
        num_cameras (int): Number of views, >= 1. Defaults to 4. The
            furniture does not depend on it.

    Returns:
        Room: The description.

    Raises:
        ValueError: If seed or index is negative or num_cameras is not
            positive.
    """
    for name, value, least in (('seed', seed, 0), ('index', index, 0),
                               ('num_cameras', num_cameras, 1)):
        if value < least:
            raise ValueError(f'make_room: {name} must be at least {least}, '
                             f'got {value}; change the argument.')
    rng = np.random.default_rng([seed, index])
    kind = ROOM_KINDS[index % len(ROOM_KINDS)]
    room = Room(kind, (float(rng.uniform(3.9, 5.4)),
                       float(rng.uniform(3.7, 5.0)),
                       float(rng.uniform(2.5, 2.8))))
    evening = bool(rng.random() < 0.3)
    style = _make_style(rng, evening)
    planner = _Planner(room, rng)
    _add_shell(planner, rng, style, evening)
    furnish = dict(living=_furnish_living, bedroom=_furnish_bedroom,
                   dining=_furnish_dining, study=_furnish_study)[kind]
    pose = furnish(planner, rng, style)
    center = np.array([room.size[0] / 2, room.size[1] / 2])
    if pose is not None:
        center = pose[:2, 3]
    power = 2.0 if evening else rng.uniform(1.2, 2.2)
    light = _ceiling_light(rng, room.size[2], power,
                           pendant=pose is not None and rng.random() < 0.7)
    planner.put(light, _yaw(0, (*center, 0)))
    room.cameras = _choose_cameras(room, rng, num_cameras)
    return room
