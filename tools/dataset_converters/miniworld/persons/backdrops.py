"""Random backgrounds: walls, floors and the shadows on them."""
import cv2
import numpy as np

from .clothing import random_color

KINDS = ('room', 'texture', 'blurred')


def make_backdrop(rng, camera, wall, kind=None):
    """Draw a floor and what is behind it.

    Args:
        rng (np.random.Generator): Source of all choices.
        camera (Camera): The camera that views the world.
        wall (float): Where the floor ends along the y axis of the world,
            in metres.
        kind (str, optional): One of ``KINDS``. Defaults to None, which
            chooses one at random.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    kind = kind or KINDS[rng.integers(len(KINDS))]
    shape = camera.height, camera.width
    top = random_color(rng, (0.0, 0.5), (0.3, 0.95))
    bottom = np.clip(top * rng.uniform(0.6, 1.2) + rng.normal(0, 12, 3),
                     0, 255)
    picture = _gradient(shape, top, bottom)
    if kind == 'room':
        _decorate(rng, picture, camera, wall)
    elif kind == 'texture':
        picture *= _noise(rng, shape, rng.uniform(0.05, 0.3))
    else:
        _scatter(rng, picture)
    floor = random_color(rng, (0.05, 0.5), (0.2, 0.8))
    ground = _gradient(shape, 0.75 * floor, 1.1 * floor)
    ground *= _noise(rng, shape, 0.08 if kind == 'room' else rng.uniform(
        0.05, 0.25))
    edge, _ = camera.project(np.array([(-9, wall, 0), (9, wall, 0)]))
    outline = np.concatenate([edge, [(edge[1, 0], 4 * camera.height),
                                     (edge[0, 0], 4 * camera.height)]])
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(outline).astype(np.int32), 1)
    if kind == 'blurred':
        mask = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 4)[..., None]
        picture = picture * (1 - mask) + ground * mask
    else:
        picture = np.where(mask[..., None] > 0, ground, picture)
        if kind == 'room' and rng.random() < 0.7:
            _draw_boards(rng, picture, camera, wall, floor)
    return np.clip(picture, 0, 255).astype(np.uint8)


def cast_shadows(picture, camera, things, strength=0.45):
    """Darken the floor under objects, in place.

    Args:
        picture (np.ndarray): (H, W, 3) uint8.
        camera (Camera): The camera that views the world.
        things (Sequence[tuple]): x, y and radius of each shadow, in metres.
        strength (float): Share of the light that is blocked, in [0, 1].
            Defaults to 0.45.
    """
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    # shadows are soft, so a small mask is enough
    mask = np.zeros((camera.height // 4, camera.width // 4), np.uint8)
    for x, y, radius in things:
        places, depths = camera.project(radius * circle + (x, y, 0))
        if depths.min() > 0.1:
            cv2.fillConvexPoly(mask, np.round(4 * places).astype(np.int32),
                               255, cv2.LINE_AA, shift=4)
    mask = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 1.2),
                      picture.shape[1::-1]).astype(np.float32)
    picture[:] = picture * (1 - strength / 255 * mask[..., None])


def _gradient(shape, top, bottom):
    share = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
    rows = (1 - share) * np.float32(top) + share * np.float32(bottom)
    return np.ascontiguousarray(np.broadcast_to(rows, (*shape, 3)))


def _noise(rng, shape, strength):
    """Return factors around 1, (H, W, 1), from noise at several scales."""
    total = np.zeros(shape, np.float32)
    for cells in (4, 12, 40, 120):
        grain = rng.standard_normal(
            (max(cells * shape[0] // shape[1], 2), cells)).astype(np.float32)
        total += cv2.resize(grain, shape[::-1],
                            interpolation=cv2.INTER_CUBIC)
    return np.clip(1 + 0.5 * strength * total, 0.2, 2)[..., None]


def _decorate(rng, picture, camera, wall):
    """Hang pictures, doors and windows on the wall."""
    for _ in range(rng.integers(0, 6)):
        wide, tall = rng.uniform(0.25, 1.3), rng.uniform(0.25, 1.4)
        left = rng.uniform(-0.6, 0.6) * wall - wide / 2
        low = rng.choice([0.0, rng.uniform(0.7, 1.6)])
        corners = np.array([(left, wall, low), (left + wide, wall, low),
                            (left + wide, wall, low + tall),
                            (left, wall, low + tall)])
        outline = np.round(camera.project(corners)[0]).astype(np.int32)
        color = random_color(rng, (0, 0.7), (0.2, 1))
        cv2.fillConvexPoly(picture, outline, color.tolist(), cv2.LINE_AA)
        cv2.polylines(picture, [outline], True, (0.6 * color).tolist(), 2,
                      cv2.LINE_AA)


def _scatter(rng, picture):
    """Draw random shapes, out of focus, in place."""
    height, width = picture.shape[:2]
    for _ in range(rng.integers(6, 22)):
        center = [int(rng.uniform(0, width)), int(rng.uniform(0, height))]
        size = [int(s) for s in rng.uniform(8, 0.3 * width, 2)]
        color = random_color(rng, (0, 0.8), (0.1, 1)).tolist()
        if rng.random() < 0.5:
            cv2.ellipse(picture, center, size, rng.uniform(0, 180), 0, 360,
                        color, -1)
        else:
            cv2.rectangle(picture, center, (center[0] + size[0],
                                            center[1] + size[1]), color, -1)
    small = cv2.resize(picture, (width // 4, height // 4),
                       interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.4, 2))
    picture[:] = cv2.resize(small, (width, height),
                            interpolation=cv2.INTER_CUBIC)


def _draw_boards(rng, picture, camera, wall, floor):
    """Draw the joints of floor boards that run away from the camera."""
    step = rng.uniform(0.15, 0.5)
    near = camera.position[1] + 0.6
    for x in np.arange(-6, 6, step):
        ends, depths = camera.project(np.array([(x, near, 0), (x, wall, 0)]))
        if depths.min() < 0.1:
            continue
        # points far outside the picture would overflow
        ends = np.clip(np.round(ends), -20000, 20000).astype(int)
        cv2.line(picture, ends[0].tolist(), ends[1].tolist(),
                 (0.7 * floor).tolist(), 1, cv2.LINE_AA)
