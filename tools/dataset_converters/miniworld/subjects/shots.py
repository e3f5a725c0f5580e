"""Place a subject in a furnished room and choose how to photograph it.

The frames are those of :mod:`..rooms.primitives`; nothing is rendered here.
"""
from dataclasses import dataclass, replace
from typing import List, Sequence

import numpy as np

from ..rooms.primitives import (
    FIELD_OF_VIEW,
    Camera,
    Material,
    Primitive,
    Room,
    placement,
)

#: Objects above this height, in metres, hang from the ceiling and are never
#: cleared away.
_OVERHEAD = 2.2


@dataclass(eq=False)
class Shot:
    """One photograph.

    Attributes:
        subject (list[Primitive]): Surfaces of the subject, in the world.
        room (list[Primitive]): All other surfaces; none of them hides the
            subject.
        camera (Camera): Pose in the middle of the exposure.
        fov (float): Horizontal field of view in radians.
        aperture (float): Radius of the lens in metres; 0 is a pinhole, for
            which everything is in focus.
        focus (float): Distance of the plane in focus, in metres.
        slide (Sequence[float]): (3,) motion of the camera during the
            exposure, in metres, in the world.
    """
    subject: List[Primitive]
    room: List[Primitive]
    camera: Camera
    fov: float = FIELD_OF_VIEW
    aperture: float = 0.0
    focus: float = 1.0
    slide: Sequence[float] = (0.0, 0.0, 0.0)


def _moved(item, matrix):
    return [replace(part, to_world=matrix @ part.to_world)
            for part in item.primitives]


def _corners(low, high):
    """Return the (8, 3) corners of a box."""
    choice = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), -1).reshape(-1, 3)
    return np.where(choice, high, low)


def _grid(low, high, matrix, steps=5):
    """Return (steps^3, 3) points of a box after a (4, 4) motion."""
    share = np.linspace(0, 1, steps)
    points = np.stack(np.meshgrid(share, share, share), -1).reshape(-1, 3)
    points = low + points * (np.asarray(high) - low)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _in_the_way(objects, eye, points, margin=0.12):
    """List the furniture on the lines from the eye to some points.

    Args:
        objects (list[PlacedObject]): The furniture.
        eye (np.ndarray): (3,), in metres.
        points (np.ndarray): (P, 3), in metres.
        margin (float): Metres to keep free around a piece. Defaults to
            0.12.

    Returns:
        list[PlacedObject]: Furniture in the way, except what hangs overhead.
    """
    # no line is parallel to a face, which would divide zero by zero
    way = points - eye
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    blocked = []
    for thing in objects:
        near = (thing.low - margin - eye) / way
        far = (thing.high + margin - eye) / way
        enter = np.minimum(near, far).max(axis=1)
        leave = np.maximum(near, far).min(axis=1)
        # only up to the far side of the subject
        hit = (enter < leave) & (leave > 0) & (enter < 1)
        if hit.any() and thing.low[2] < _OVERHEAD:
            blocked.append(thing)
    return blocked


def _without(primitives, things):
    """Remove the surfaces of some furniture, but not its lights."""
    kept = []
    for part in primitives:
        low, high = part.bounds()
        inside = any((low > thing.low - 1e-4).all()
                     and (high < thing.high + 1e-4).all() for thing in things)
        if not inside or low[2] > _OVERHEAD:
            kept.append(part)
    return kept


def shares(points, camera, fov, aspect):
    """Project points into the picture.

    Args:
        points (np.ndarray): (P, 3) in front of the camera, in the world, in
            metres.
        camera (Camera): The view.
        fov (float): Horizontal field of view in radians.
        aspect (float): Width of the picture over its height.

    Returns:
        np.ndarray: (P, 2), from -1 (left, lower edge) to 1 (right, upper
        edge).
    """
    local = (points - camera.position) @ camera.rotation
    half = np.tan(fov / 2)
    return local[:, :2] / -local[:, 2:] / np.array([half, half / aspect])


def _studio_light(room, camera, goal, rng):
    """Put a soft light beside the camera, if there is room for one.

    Args:
        room (Room): The light hangs inside it.
        camera (Camera): The view, in which the light must not appear.
        goal (np.ndarray): (3,) point at which it shines, in metres.
        rng (np.random.Generator): Source of all choices.

    Returns:
        list[Primitive]: A glowing rectangle, or nothing.
    """
    aside = np.array([rng.choice([-1, 1]) * rng.uniform(0.4, 0.9),
                      rng.uniform(0.3, 0.7), 0.15])
    size = rng.uniform(0.25, 0.4)
    power = rng.uniform(2.0, 6.0)
    warmth = rng.uniform(-0.12, 0.12)
    place = np.clip(camera.position + camera.rotation @ aside, 0.1,
                    np.array(room.size) - 0.1)
    away = np.linalg.norm(goal - place)
    if ((place - camera.position) @ camera.rotation)[2] < 0.02:
        return []
    pose = np.eye(4)
    normal = (goal - place) / away
    side = np.cross((0, 0, 1), normal)
    side /= np.linalg.norm(side)
    pose[:3, :3] = np.stack([size * side, size * np.cross(normal, side),
                             normal], axis=1)
    pose[:3, 3] = place
    # the subject is equally bright at any distance
    radiance = power * away**2 / (4 * size**2)
    return [Primitive('rectangle', pose, Material(
        color=(0.5,) * 3, emission=tuple(
            radiance * np.array([1 + warmth, 1.0, 1 - warmth]))), 40, 1)]


def portrait_shot(room: Room, view, subject, rng, aspect):
    """Place a subject in front of one of the room's own cameras.

    Args:
        room (Room): The room, which stays as it is.
        view (int): Index into the room's cameras.
        subject (Subject): Its framed part will fill 75 to 110 % of the width
            or height of the picture, and be cut at the lower edge.
        rng (np.random.Generator): Source of all choices.
        aspect (float): Width of the picture over its height.

    Returns:
        Shot: Mostly with a soft light beside the camera and a blurred
        background; in one of five the camera moves.
    """
    camera = room.cameras[view]
    fov = FIELD_OF_VIEW * rng.uniform(0.65, 1.0)
    forward = -camera.rotation[:, 2]
    facing = np.rad2deg(np.arctan2(forward[0], -forward[1]))
    turn = placement((0, 0, 0), facing + rng.uniform(-50, 50))
    center = (subject.low + subject.high) / 2
    corners = (_corners(subject.low, subject.high) - center
               ) @ turn[:3, :3].T @ camera.rotation
    extent = np.abs(corners).max(axis=0)
    tangent = np.tan(fov / 2) * np.array([1, 1 / aspect])
    fill = rng.uniform(0.75, 1.1)
    distance = (extent[:2] / tangent).max() / fill + 0.5 * extent[2]
    room_left = np.maximum(1 - extent[:2] / tangent / distance, 0)
    aim = np.array([rng.uniform(-0.75, 0.75), -1.0]) * room_left
    offset = np.append(aim * tangent, -1) * distance
    middle = camera.position + camera.rotation @ offset
    matrix = placement(middle - turn[:3, :3] @ center)
    matrix[:3, :3] = turn[:3, :3]

    whole = subject.item.bounds()
    blocked = _in_the_way(room.objects, camera.position,
                          _grid(*whole, matrix), margin=0.05)
    slide = np.zeros(3)
    if rng.random() < 0.2:
        angle = rng.uniform(0, np.pi)
        smear = rng.uniform(0.02, 0.07) * 2 * tangent[0] * distance
        slide = camera.rotation @ (smear * np.cos(angle),
                                   smear * np.sin(angle), 0)
    aperture = rng.uniform(0.004, 0.03) if rng.random() < 0.85 else 0.0
    light = _studio_light(room, camera, middle, rng)
    return Shot(_moved(subject.item, matrix),
                _without(room.primitives, blocked) + light, camera, fov,
                aperture, distance + rng.uniform(-0.08, 0.08), slide)


def structure_shot(room: Room, subject, rng, aspect):
    """Stand a subject on the floor and search for a view around it.

    Args:
        room (Room): The room, which stays as it is; its own cameras are not
            used.
        subject (Subject): It stands on z = 0, will be turned at random and
            fill 75 to 97 % of the width or height of the picture.
        rng (np.random.Generator): Source of all choices.
        aspect (float): Width of the picture over its height.

    Returns:
        Shot: The one of 80 random views for which the least furniture has to
        be cleared away. The subject is in focus; in half of the shots the
        background is slightly blurred.

    Raises:
        RuntimeError: If the subject fits nowhere.
    """
    low, high = subject.low, subject.high
    reach = np.hypot(*np.maximum(np.abs(low), np.abs(high))[:2])
    size = np.array(room.size[:2])
    best = None
    for _ in range(80):
        free = np.maximum(size / 2 - reach - 0.05, 0)
        spot = size / 2 + rng.uniform(-1, 1, 2) * free
        matrix = placement((*spot, 0), rng.uniform(0, 360))
        corners = (_corners(low, high) @ matrix[:3, :3].T
                   + matrix[:3, 3])
        fov = FIELD_OF_VIEW * rng.uniform(0.85, 1.05)
        fill = rng.uniform(0.75, 0.97)
        tangent = np.tan(fov / 2) * np.array([1, 1 / aspect])
        angle = rng.uniform(0, 2 * np.pi)
        eye_height = rng.uniform(0.6, 1.6)
        middle = corners.mean(axis=0)
        away = np.array([np.cos(angle), np.sin(angle), 0])
        distance = ((high - low)[2] / 2 / tangent[1] / fill
                    + 0.5 * reach)
        # step back if the subject is wide rather than tall
        for _ in range(3):
            eye = middle + distance * away
            eye[2] = eye_height
            camera = Camera.look_at(eye, middle)
            local = (corners - eye) @ camera.rotation
            if (local[:, 2] > -0.2).any():
                distance += 0.4
                continue
            shown = np.abs(shares(corners, camera, fov, aspect)).max()
            distance *= shown / fill
        if (local[:, 2] > -0.2).any() or not (
                (eye[:2] > 0.12).all() and (eye[:2] < size - 0.12).all()):
            continue
        # move the subject off centre, but not out of the picture
        shown = shares(corners, camera, fov, aspect)
        span = np.stack([shown.min(axis=0), shown.max(axis=0)])
        if span[1].max() > 1.15 or span[0].min() < -1.15:
            continue
        room_left = np.maximum(1 - np.abs(span).max(axis=0), 0)
        shift = rng.uniform(-0.8, 0.8, 2) * room_left * tangent
        shift *= np.linalg.norm(middle - eye)
        aim = middle - camera.rotation[:, :2] @ shift
        camera = Camera.look_at(eye, aim)
        blocked = _in_the_way(room.objects, eye, _grid(low, high, matrix))
        if best is None or len(blocked) < len(best[0]):
            best = blocked, matrix, camera, fov, middle
    if best is None:
        raise RuntimeError(
            f'structure_shot: subject must fit into the room, got '
            f'{subject.item.name} of {np.round(high - low, 2)} m for a room '
            f'of {np.round(size, 2)} m; choose another seed.')
    blocked, matrix, camera, fov, middle = best
    aperture = rng.uniform(0.005, 0.03) if rng.random() < 0.5 else 0.0
    focus = -((middle - camera.position) @ camera.rotation)[2]
    light = _studio_light(room, camera, middle, rng)
    return Shot(_moved(subject.item, matrix),
                _without(room.primitives, blocked) + light, camera, fov,
                aperture, float(focus))
