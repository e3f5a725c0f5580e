"""The parts that describe rooms, in plain numpy.

The world frame is in metres, with z up; the floor is the rectangle
[0, W] x [0, D] at z = 0. Wall 0 is y = 0, wall 1 is x = W, wall 2 is y = D,
wall 3 is x = 0. An object is designed in its own frame: x along the wall, y
away from the wall into the room, z up, with the origin on the floor at the
wall.
"""
from dataclasses import dataclass, field, replace
from typing import List, Optional, Sequence, Tuple

import numpy as np

from .meshes import CUSHION, PADDING, Mesh, cylinder_profile, lathe_mesh

#: The names of the NYU40 ids that the rooms use.
NYU40_IDS = dict(
    wall=1, floor=2, cabinet=3, bed=4, chair=5, sofa=6, table=7, door=8,
    window=9, bookshelf=10, picture=11, counter=12, blinds=13, desk=14,
    shelves=15, curtain=16, dresser=17, pillow=18, mirror=19, floormat=20,
    ceiling=22, books=23, refrigerator=24, television=25, paper=26, box=29,
    whiteboard=30, nightstand=32, sink=34, lamp=35, bag=37, otherprop=40)

#: Horizontal field of view of the standard Hypersim camera, radians.
FIELD_OF_VIEW = np.pi / 3

WALL_THICKNESS = 0.15
RUG_THICKNESS = 0.01


@dataclass(frozen=True, eq=False)
class Texture:
    """A repeating picture of reflectance (or radiance, on an emitter).

    Attributes:
        image (np.ndarray): (h, w, 3) float32, linear RGB, top row first.
        size (tuple): Metres that one repetition covers along u and v; None
            stretches the picture over the whole rectangle.
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
        roughness (float): Roughness of ``glossy`` and ``metal``, in (0, 1].
        emission (tuple, optional): Linear RGB radiance in any unit; scales
            the texture if there is one.
    """
    kind: str = 'diffuse'
    color: Tuple[float, float, float] = (0.5, 0.5, 0.5)
    texture: Optional[Texture] = None
    roughness: float = 0.2
    emission: Optional[Tuple[float, float, float]] = None


@dataclass(eq=False)
class Primitive:
    """One surface of a room.

    Attributes:
        shape (str): ``box`` ([-1, 1]^3), ``sphere`` (unit, at the origin),
            ``rectangle`` ([-1, 1]^2 at z = 0, normal +z) or ``mesh``.
        to_world (np.ndarray): (4, 4) float64, in metres.
        material (Material): Material of the surface.
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

    def bounds(self) -> Tuple[np.ndarray, np.ndarray]:
        """Return the axis-aligned bounding box.

        Returns:
            tuple[np.ndarray, np.ndarray]: Lowest and highest corner, (3,)
            each, in the world, in metres.
        """
        if self.shape == 'mesh':
            points = self.mesh.vertices
        else:
            depth = 0 if self.shape == 'rectangle' else 1
            points = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1)
                               for z in (-depth, depth)], dtype=float)
        return _extremes(points, self.to_world)


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera with Hypersim's axes: x right, y up, view along -z.

    Attributes:
        position (np.ndarray): (3,) float64, optical centre in metres.
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
            position (Sequence[float]): Optical centre in metres.
            target (Sequence[float]): Point in the centre of the picture.

        Returns:
            Camera: A camera without roll.

        Raises:
            ValueError: If the view is vertical, so that up is undefined.
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
            width (int): Width of the picture in pixels.
            height (int): Height of the picture in pixels.
            fov (float): Horizontal field of view in radians. Defaults to
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
        name (str): Name for error messages.
        low (np.ndarray): (3,) lowest corner of its bounding box, in metres.
        high (np.ndarray): (3,) highest corner.
    """
    name: str
    low: np.ndarray
    high: np.ndarray


@dataclass(eq=False)
class Room:
    """A furnished room.

    Attributes:
        kind (str): One of :data:`.furnishing.ROOM_KINDS`.
        size (tuple): Inner width, depth and height in metres.
        primitives (list[Primitive]): All surfaces.
        objects (list[PlacedObject]): Furniture; not walls and windows.
        cameras (list[Camera]): Where the pictures are taken.
    """
    kind: str
    size: Tuple[float, float, float]
    primitives: List[Primitive] = field(default_factory=list)
    objects: List[PlacedObject] = field(default_factory=list)
    cameras: List[Camera] = field(default_factory=list)


def scaled(scale, offset) -> np.ndarray:
    """Scale along the axes, then translate; (4, 4)."""
    matrix = np.diag([*scale, 1.0]).astype(float)
    matrix[:3, 3] = offset
    return matrix


def placement(offset, degrees=0) -> np.ndarray:
    """Rotate about z, then translate; (4, 4)."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    # rounding keeps right angles exact, so walls stay axis-aligned
    c, s = np.round([np.cos(angle), np.sin(angle)], 12)
    matrix[:2, :2] = [[c, -s], [s, c]]
    matrix[:3, 3] = offset
    return matrix


def pitch(degrees) -> np.ndarray:
    """Rotate about x; (3, 3)."""
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _extremes(points, matrix) -> Tuple[np.ndarray, np.ndarray]:
    """Bound (P, 3) points after a (4, 4) motion; lowest, highest corner."""
    points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return points.min(axis=0), points.max(axis=0)


def moved_box(low, high, matrix) -> Tuple[np.ndarray, np.ndarray]:
    """Bound a box, given by two corners, after a motion by right angles.

    Args:
        low (Sequence[float]): Lowest corner in metres.
        high (Sequence[float]): Highest corner.
        matrix (np.ndarray): (4, 4) pose.

    Returns:
        tuple[np.ndarray, np.ndarray]: Lowest and highest corner, (3,) each.
    """
    return _extremes(np.array([low, high]), matrix)


def joint_bounds(primitives) -> Tuple[np.ndarray, np.ndarray]:
    """Bound several primitives; lowest and highest corner, (3,) each."""
    lows, highs = zip(*[part.bounds() for part in primitives])
    return np.min(lows, axis=0), np.max(highs, axis=0)


class Item:
    """Collect the primitives of one piece of furniture in its own frame.

    Args:
        name (str): Name of the piece.
        label (str): Key of :data:`NYU40_IDS`, or ``outside``.

    Attributes:
        label (str): Label of the primitives that are added next.
    """

    def __init__(self, name: str, label: str) -> None:
        self.name = name
        self.label = self._own_label = label
        self.primitives: List[Primitive] = []
        self._instance = 0
        self._instances = 1

    def begin(self, label: Optional[str] = None) -> None:
        """Start another object, for example the next pillow.

        Args:
            label (str, optional): Its label. Defaults to None, which takes
                the label of the item.
        """
        self.label = label or self._own_label
        self._instance = self._instances
        self._instances += 1

    def add(self, shape, to_world, material, mesh=None) -> None:
        """Add a primitive with the current label."""
        semantic = -1 if self.label == 'outside' else NYU40_IDS[self.label]
        self.primitives.append(Primitive(shape, to_world, material, semantic,
                                         self._instance, mesh))

    def box(self, low, high, material) -> None:
        """Add a box between two corners."""
        self.add('box', _spanning(low, high), material)

    def padding(self, low, high, material, soft=False, turn=None) -> None:
        """Add a rounded box, or a pillow when ``soft``."""
        matrix = _spanning(low, high)
        if turn is not None:
            matrix[:3, :3] = turn @ matrix[:3, :3]
        self.add('mesh', matrix, material, CUSHION if soft else PADDING)

    def ball(self, center, radius, material) -> None:
        """Add a sphere."""
        self.add('sphere', scaled([radius] * 3, center), material)

    def turned(self, center, profile, material) -> None:
        """Add a solid of revolution, see `lathe_mesh`."""
        self.add('mesh', scaled((1, 1, 1), center), material,
                 lathe_mesh(profile))

    def rod(self, start, end, radius, material) -> None:
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
        self.add('mesh', matrix, material,
                 lathe_mesh(cylinder_profile(radius, 0, length), 12))

    def panel(self, center, width, height, material, facing='front') -> None:
        """Add a rectangle; ``front`` faces +y, ``down`` -z, ``up`` +z."""
        axes = dict(
            front=((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
            down=((1, 0, 0), (0, -1, 0), (0, 0, -1)),
            up=((1, 0, 0), (0, 1, 0), (0, 0, 1)))[facing]
        matrix = scaled((1, 1, 1), center)
        matrix[:3, :3] = np.array(axes).T * (width / 2, height / 2, 1)
        self.add('rectangle', matrix, material)

    def legs(self, xs, ys, thick, low, high, material) -> None:
        """Add square legs from ``low`` to ``high`` at every (x, y)."""
        for x in xs:
            for y in ys:
                self.box((x, y, low), (x + thick, y + thick, high), material)

    def frame(self, half, low, high, back, front, thick, material) -> None:
        """Add four bars around the rectangle [-half, half] x [low, high]."""
        for x in (-half, half - thick):
            self.box((x, back, low), (x + thick, front, high), material)
        for z in (low, high - thick):
            self.box((-half + thick, back, z),
                     (half - thick, front, z + thick), material)

    def merge(self, other: 'Item', matrix=np.eye(4)) -> None:
        """Add another item, moved by a (4, 4) matrix."""
        for part in other.primitives:
            self.primitives.append(replace(
                part, to_world=matrix @ part.to_world,
                instance=part.instance + self._instances))
        self._instances += other._instances

    def bounds(self) -> Tuple[np.ndarray, np.ndarray]:
        """Return the lowest and highest corner, (3,) each."""
        return joint_bounds(self.primitives)


def _spanning(low, high) -> np.ndarray:
    """Map [-1, 1]^3 to the box between two corners; (4, 4)."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    return scaled((high - low) / 2, (low + high) / 2)
