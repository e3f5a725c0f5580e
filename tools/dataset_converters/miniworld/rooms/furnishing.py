"""Furnish random rooms and choose views of them; nothing is rendered here.

The frames of the world and the furniture are those of :mod:`.primitives`.
"""
from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from . import fittings, furniture
from .materials import (
    Style,
    hsv,
    make_style,
    paint,
    planks,
    stripes,
    tiles,
    weave,
)
from .primitives import (
    NYU40_IDS,
    WALL_THICKNESS,
    Camera,
    Item,
    Material,
    PlacedObject,
    Room,
    joint_bounds,
    moved_box,
    placement,
)
from ..building import check_numbers

#: Room types; room number i has type ``ROOM_KINDS[i % 4]``.
ROOM_KINDS = ('living', 'bedroom', 'dining', 'study')

_SHELL = [NYU40_IDS[name] for name in ('wall', 'floor', 'ceiling')]


class _Planner:
    """Place furniture in an empty room without collisions.

    Args:
        room (Room): Filled in place.
        rng (np.random.Generator): Source of all choices.
    """

    def __init__(self, room: Room, rng: np.random.Generator) -> None:
        self.room = room
        self.rng = rng
        self._taken: List[Tuple[np.ndarray, np.ndarray]] = []
        self._next_instance = 1

    def put(self, item: Item, matrix=np.eye(4), solid=True) -> None:
        """Add an item, moved by a (4, 4) matrix.

        Args:
            item (Item): The item.
            matrix (np.ndarray): (4, 4) pose. Defaults to the identity.
            solid (bool): Whether nothing else may stand there. Defaults to
                True.
        """
        numbers: Dict[int, int] = {}
        parts = []
        for part in item.primitives:
            number = numbers.setdefault(
                part.instance, self._next_instance + len(numbers))
            parts.append(replace(
                part, to_world=matrix @ part.to_world,
                instance=-1 if part.semantic < 0 else number))
        self._next_instance += len(numbers)
        self.room.primitives += parts
        if solid:
            bounds = joint_bounds(parts)
            self.room.objects.append(PlacedObject(item.name, *bounds))
            self._taken.append(bounds)

    def reserve(self, low, high, matrix) -> None:
        """Keep a box free, given by two corners in the frame of an item."""
        self._taken.append(moved_box(low, high, matrix))

    def _is_free(self, low, high) -> bool:
        size = np.asarray(self.room.size)
        if (low < -1e-6).any() or (high > size + 1e-6).any():
            return False
        return not any((low < b - 1e-6).all() and (high > a + 1e-6).all()
                       for a, b in self._taken)

    def wall_matrix(self, wall: int, along: float) -> np.ndarray:
        """Return the pose of an item at a wall.

        Args:
            wall (int): 0..3.
            along (float): Position along the wall, in metres from the end
                with the smaller coordinate.

        Returns:
            np.ndarray: (4, 4) pose.
        """
        width, depth, _ = self.room.size
        offset = [(along, 0, 0), (width, along, 0), (along, depth, 0),
                  (0, along, 0)][wall]
        return placement(offset, 90 * wall)

    def try_put(self, item: Item, matrix, front=0.0, side=0.0) -> bool:
        """Add an item if its place and the clearance around it are free.

        Args:
            item (Item): The furniture.
            matrix (np.ndarray): (4, 4) pose.
            front (float): Metres to keep free in front of it.
            side (float): Metres to keep free to its left and right.

        Returns:
            bool: Whether the item was added.
        """
        low, high = item.bounds()
        low, high = low - (side, 0, 0), high + (side, front, 0)
        if not self._is_free(*moved_box(low, high, matrix)):
            return False
        self.put(item, matrix)
        if front:
            self.reserve((low[0], high[1] - front, low[2]), high, matrix)
        return True

    def at_wall(self, item: Item, front=0.0, side=0.03,
                walls: Sequence[int] = (0, 1, 2, 3),
                tries=40) -> Optional[np.ndarray]:
        """Add an item somewhere along a wall.

        Args:
            item (Item): The furniture.
            front (float): Metres to keep free in front. Defaults to 0.0.
            side (float): Metres to keep free beside. Defaults to 0.03.
            walls (Sequence[int]): Walls to choose from. Defaults to
                (0, 1, 2, 3).
            tries (int): Number of places to try. Defaults to 40.

        Returns:
            np.ndarray, optional: Its (4, 4) pose; None if no place was free.
        """
        low, high = item.bounds()
        for _ in range(tries):
            wall = int(self.rng.choice(walls))
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
            half (float): Half its width in metres.
            deep (float): Half its depth in metres.
            tries (int): Number of places to try. Defaults to 60.

        Returns:
            np.ndarray, optional: (4, 4) pose of its centre, near the centre
            of the room if possible; None if no place was free.
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
                return placement((*center, 0), turn)
        return None


# --------------------------------------------------------------------------
# Floor, ceiling and walls.


def _floor_material(rng) -> Material:
    """Choose between boards, tiles and carpet."""
    choice = rng.random()
    if choice < 0.6:
        tone = [hsv(rng, 0.08, 0.45, 0.65), hsv(rng, 0.06, 0.5, 0.45),
                hsv(rng, 0.09, 0.35, 0.78)][rng.integers(3)]
        return Material('glossy', texture=planks(rng, tone), roughness=0.35)
    if choice < 0.85:
        tone = hsv(rng, 0.1, 0.12, rng.uniform(0.55, 0.8))
        second = tone * 0.6 if rng.random() < 0.4 else None
        return Material('glossy', texture=tiles(rng, tone, second),
                        roughness=0.25)
    return Material(texture=weave(
        rng, hsv(rng, rng.choice([0.1, 0.6, 0.35]), 0.2, 0.5)))


def _add_shell(planner: _Planner, style: Style, evening: bool) -> None:
    """Build floor, ceiling, walls, a door and one or two windows."""
    rng = planner.rng
    width, depth, height = planner.room.size
    thick = WALL_THICKNESS
    floor = Item('floor', 'floor')
    floor.box((-thick, -thick, -0.1), (width + thick, depth + thick, 0),
              _floor_material(rng))
    ceiling = Item('ceiling', 'ceiling')
    ceiling.box((-thick, -thick, height),
                (width + thick, depth + thick, height + 0.1),
                paint(hsv(rng, 0.12, 0.03, 0.93, 0.05, 0.02)))
    for item in (floor, ceiling):
        planner.put(item, solid=False)

    hue = rng.choice([0.12, 0.1, 0.58, 0.3, 0.05, 0.52])
    tone = hsv(rng, hue, rng.uniform(0.04, 0.28), 0.84)
    if rng.random() < 0.2:
        surface = Material(texture=stripes(tone, tone * 0.9))
    else:
        surface = paint(tone)
    skirting = paint(hsv(rng, 0.1, 0.05, 0.88, 0.05, 0.03))
    accent_wall = int(rng.integers(8))
    accent = paint(hsv(rng, hue, 0.4, 0.65))

    door_wall = int(rng.integers(4))
    window_walls = [(door_wall + 2) % 4]
    if rng.random() < 0.35:
        window_walls.append(int((door_wall + rng.choice([1, 3])) % 4))
    glazed = rng.random() < 0.6
    # the door stands first: windows are never on its wall
    along = rng.uniform(0.7, planner.room.size[door_wall % 2] - 0.7)
    planner.try_put(fittings.door(rng, style),
                    planner.wall_matrix(door_wall, along), front=0.75)
    for wall in range(4):
        length = planner.room.size[wall % 2]
        item = Item('wall', 'wall')
        cover = accent if wall == accent_wall else surface
        # corners are filled by walls 0 and 2, which overhang
        over = thick if wall % 2 == 0 else 0.0
        start, end = -over, length + over
        if wall not in window_walls:
            item.box((start, -thick, 0), (end, 0, height), cover)
        else:
            left, right, low, high = _add_window(planner, style, wall,
                                                 glazed, evening)
            item.box((start, -thick, 0), (end, 0, low), cover)
            item.box((start, -thick, high), (end, 0, height), cover)
            item.box((start, -thick, low), (left, 0, high), cover)
            item.box((right, -thick, low), (end, 0, high), cover)
        item.box((start, 0, 0), (end, 0.0005, 0.08), skirting)
        planner.put(item, planner.wall_matrix(wall, length * (wall >= 2)),
                    solid=False)


def _add_window(planner: _Planner, style: Style, wall: int, glazed: bool,
                evening: bool) -> Tuple[float, float, float, float]:
    """Add a window and perhaps curtains or blinds, and keep them visible.

    Returns:
        tuple[float, float, float, float]: Left, right, low and high edge of
        the opening in metres, in the frame of an item that begins at the end
        of the wall.
    """
    rng = planner.rng
    length, height = planner.room.size[wall % 2], planner.room.size[2]
    half = rng.uniform(0.6, min(1.1, length / 2 - 0.6))
    low = rng.uniform(0.8, 1.0)
    high = min(rng.uniform(2.05, 2.3), height - 0.25)
    center = rng.uniform(half + 0.5, length - half - 0.5)
    matrix = planner.wall_matrix(wall, center)
    power = 0.6 if evening else rng.uniform(1.5, 2.2)
    planner.put(fittings.window(rng, half, low, high, glazed, power, evening),
                matrix, solid=False)
    dressing = rng.random()
    if dressing < 0.55:
        planner.try_put(fittings.curtains(rng, style, half, low, high),
                        matrix)
    elif dressing < 0.85:
        planner.try_put(fittings.blinds(rng, half, low, high), matrix)
    planner.reserve((-half, 0, low - 0.05), (half, 0.3, high + 0.1), matrix)
    left, right = center - half, center + half
    if wall >= 2:
        left, right = length - right, length - left
    return left, right, low, high


# --------------------------------------------------------------------------
# Furniture for each kind of room. These functions return the pose of a dining
# table, above which the lamp may hang.


def _fill(planner: _Planner, style: Style, share: float, *builders) -> None:
    """Try each piece along any wall, with a probability of ``share``."""
    for build in builders:
        if planner.rng.random() < share:
            planner.at_wall(build(planner.rng, style))


def _furnish_living(planner: _Planner, style: Style) -> None:
    rng = planner.rng
    pose = planner.at_wall(furniture.sofa(rng, style), front=1.55)
    if pose is not None:
        if rng.random() < 0.8:
            planner.put(fittings.rug(rng, 2.0, 1.3),
                        pose @ placement((0, 0.95, 0)), solid=False)
        planner.put(furniture.coffee_table(rng, style),
                    pose @ placement((0, 1.3, 0)))
        wall = int(round(np.arctan2(pose[1, 0], pose[0, 0]) / np.pi * 2))
        planner.at_wall(furniture.television(rng, style), front=0.3,
                        walls=[(wall + 2) % 4])
    _fill(planner, style, 0.75, furniture.bookshelf, furniture.armchair,
          furniture.floor_lamp, furniture.plant, fittings.picture,
          fittings.picture, furniture.wall_shelves, furniture.sideboard,
          furniture.boxes, furniture.single_chair, furniture.wall_mirror,
          furniture.bag)


def _furnish_bedroom(planner: _Planner, style: Style) -> None:
    rng = planner.rng
    bed = furniture.bed(rng, style)
    pose = planner.at_wall(bed, front=0.5, side=0.52)
    if pose is None:
        # no room for nightstands on both sides
        pose = planner.at_wall(bed, front=0.3)
    if pose is not None:
        half = bed.bounds()[1][0] + 0.26
        for x in (-half, half):
            planner.try_put(furniture.nightstand(rng, style),
                            pose @ placement((x, 0, 0)))
        planner.try_put(fittings.picture(rng, style), pose)
        if rng.random() < 0.6:
            planner.put(fittings.rug(rng, 1.4, 0.5),
                        pose @ placement((0, 2.07, 0)), solid=False)
    _fill(planner, style, 0.75, furniture.dresser, furniture.wardrobe,
          furniture.single_chair, fittings.picture, furniture.plant,
          furniture.boxes, furniture.wall_mirror, furniture.wall_shelves,
          furniture.floor_lamp, furniture.bag, furniture.bookshelf)


def _furnish_dining(planner: _Planner, style: Style) -> Optional[np.ndarray]:
    rng = planner.rng
    table = furniture.dining_set(rng, style)
    half, deep = table.bounds()[1][:2]
    pose = planner.floor_center(half + 0.15, deep + 0.15)
    if pose is not None:
        if rng.random() < 0.6:
            planner.put(fittings.rug(rng, 2 * half, 2 * deep),
                        pose @ placement((0, -deep, 0)), solid=False)
        planner.try_put(table, pose)
    _fill(planner, style, 0.75, furniture.counter, furniture.refrigerator,
          furniture.sideboard, fittings.picture, furniture.plant,
          furniture.wall_shelves, fittings.picture, furniture.bookshelf,
          furniture.single_chair, furniture.boxes, furniture.wall_mirror,
          furniture.bag)
    return pose


def _furnish_study(planner: _Planner, style: Style) -> None:
    rng = planner.rng
    planner.at_wall(furniture.desk(rng, style), front=0.2)
    _fill(planner, style, 0.8, furniture.bookshelf, fittings.whiteboard,
          furniture.bookshelf, furniture.wall_shelves, furniture.armchair,
          furniture.boxes, furniture.wardrobe, fittings.picture,
          furniture.plant, furniture.floor_lamp, furniture.boxes,
          furniture.single_chair, furniture.bag)
    pose = planner.floor_center(0.8, 0.6)
    if pose is not None and rng.random() < 0.7:
        planner.put(fittings.rug(rng, 1.6, 1.2),
                    pose @ placement((0, -0.6, 0)), solid=False)


# --------------------------------------------------------------------------
# Views.


def _coarse_view(camera, lows, highs, columns=20, rows=15):
    """View the bounding boxes: the first box and distance for each ray."""
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


def _draw_camera(room: Room, rng, clearance: float) -> Optional[Camera]:
    """Aim from a random place at random furniture.

    Args:
        room (Room): A furnished room.
        rng (np.random.Generator): Source of all choices.
        clearance (float): Smallest distance to furniture in metres.

    Returns:
        Camera, optional: A view at eye height, nearly level; None if it is
        too near to something.
    """
    width, depth, _ = room.size
    position = np.array([rng.uniform(0.25, width - 0.25),
                         rng.uniform(0.25, depth - 0.25),
                         rng.uniform(1.25, 1.65)])
    goal = room.objects[rng.integers(len(room.objects))]
    target = (goal.low + goal.high) / 2 + rng.normal(0, 0.3, 3)
    away = np.hypot(*(target - position)[:2])
    if away < 1.8 or any(((position > o.low - clearance)
                          & (position < o.high + clearance)).all()
                         for o in room.objects):
        return None
    # between 18 degrees down and 3 degrees up, as people mostly look
    slope = np.clip((target[2] - position[2]) / away, -0.32, 0.05)
    target[2] = position[2] + slope * away
    return Camera.look_at(position, target)


def _rate_views(room: Room, rng, enough: int) -> list:
    """Choose random views and rate each by what it shows.

    Args:
        room (Room): A furnished room.
        rng (np.random.Generator): Source of all choices.
        enough (int): Number of views at which to stop.

    Returns:
        list[tuple]: (score, (41,) share of each label, camera) for each view;
        label 0 is the outside seen through an open window.
    """
    lows, highs = (np.array(corners, dtype=np.float32) for corners in zip(
        *[part.bounds() for part in room.primitives]))
    labels = np.array([max(part.semantic, 0) for part in room.primitives])
    views = []
    # in crowded rooms, allow views from nearer to the furniture
    for clearance in (0.45, 0.3, 0.15):
        for _ in range(100):
            camera = _draw_camera(room, rng, clearance)
            if camera is None:
                continue
            first, distance = _coarse_view(camera, lows, highs)
            if np.quantile(distance, 0.05) < 0.9:
                continue
            shares = np.bincount(labels[first], minlength=41) / len(first)
            score = 0.5 * min(np.median(distance), 3.5)
            score -= 3 * max(0, shares[_SHELL].max() - 0.45)
            score -= 3 * max(0, np.delete(shares, _SHELL).max() - 0.3)
            # bright windows leave the rest of the picture dark
            score -= 4 * max(0, shares[[0, NYU40_IDS['window']]].sum()
                             - 0.12)
            views.append((score, shares, camera))
        if len(views) >= enough:
            break
    return views


def _choose_cameras(room: Room, rng, num_cameras: int) -> List[Camera]:
    """Choose varied views that show much furniture."""
    views = _rate_views(room, rng, 3 * num_cameras)
    if not views:
        raise RuntimeError('make_room: no camera position is free; '
                           'choose another seed.')
    chosen: List[Camera] = []
    shown = np.zeros(41)
    shown[_SHELL] = np.inf

    def gain(view):
        """Rate a view, given the classes and views chosen so far."""
        score, shares, camera = view
        score = score + 1.5 * (np.sqrt(shares) / (1 + shown)).sum()
        for other in chosen:
            turn = camera.rotation[:, 2] @ other.rotation[:, 2]
            move = np.linalg.norm(camera.position - other.position)
            score -= 2 * max(0, turn) * max(0, 1 - move / 4)
        return score

    while len(chosen) < num_cameras:
        best = max(range(len(views)), key=lambda k: gain(views[k]))
        shown += np.sqrt(views[best][1])
        chosen.append(views[best][2])
        # views repeat only when there are fewer places than frames
        if len(views) > 1:
            views.pop(best)
    return chosen


def make_room(seed: int, index: int, num_cameras: int = 4) -> Room:
    """Furnish a room and choose its cameras.

    The result depends only on the arguments. Rooms with other indices or seeds
    differ in size, furniture, colours, light and cameras.

    Args:
        seed (int): Seed of the data set, >= 0.
        index (int): Number of the room, >= 0; determines its kind.
        num_cameras (int): Number of views, >= 1. Defaults to 4. The
            furniture does not depend on it.

    Returns:
        Room: The room with furniture and cameras.

    Raises:
        ValueError: If seed or index is negative, or num_cameras is not
            positive.
        RuntimeError: If no place for a camera is free.
    """
    check_numbers('make_room', dict(seed=seed, index=index,
                                    num_cameras=num_cameras), seed=0, index=0)
    rng = np.random.default_rng([seed, index])
    kind = ROOM_KINDS[index % len(ROOM_KINDS)]
    room = Room(kind, (float(rng.uniform(3.9, 5.4)),
                       float(rng.uniform(3.7, 5.0)),
                       float(rng.uniform(2.5, 2.8))))
    evening = bool(rng.random() < 0.3)
    style = make_style(rng, evening)
    planner = _Planner(room, rng)
    _add_shell(planner, style, evening)
    furnish = dict(living=_furnish_living, bedroom=_furnish_bedroom,
                   dining=_furnish_dining, study=_furnish_study)[kind]
    table = furnish(planner, style)
    center = np.array(room.size[:2]) / 2 if table is None else table[:2, 3]
    power = 2.0 if evening else rng.uniform(1.2, 2.2)
    light = fittings.ceiling_light(
        rng, room.size[2], power,
        pendant=table is not None and rng.random() < 0.7)
    planner.put(light, placement((*center, 0)))
    room.cameras = _choose_cameras(room, rng, num_cameras)
    return room
