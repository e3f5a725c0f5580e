"""Draw pictures of random shapes in random colours.

Leaves follow the dead leaves model (Lee, Mumford and Huang, IJCV 2001):
occluding shapes whose frequency falls with the cube of their size share many
statistics with photographs.
"""
import cv2
import numpy as np

from .palettes import random_palette

# drawn larger, then reduced: edges are as smooth as those of photographs
_ZOOM = 2


def leaves(rng, height, width):
    """Occluding shapes of all sizes, some of them shaded or textured."""
    colors = random_palette(rng, int(rng.integers(3, 24)))
    shaded, textured = rng.uniform(0, .8, 2)
    canvas = colors[0] + ramp(rng, height, width)[..., None] * (
        colors[1] - colors[0])
    radii = _radii(rng, int(rng.integers(20, 160)), height,
                   rng.uniform(.03, .12))
    if rng.random() < .5:  # small things in front
        radii = np.sort(radii)[::-1]
    for radius in radii:
        mask = random_shape(rng, height, width, radius)
        fill = _pick(rng, colors)
        if rng.random() < shaded:
            fill = fill + ramp(rng, height, width)[..., None] * (
                _pick(rng, colors) - fill)
        if rng.random() < textured:
            fill = fill + rng.uniform(.05, .4) * clouds(
                rng, height, width, rng.uniform(.5, 2))[..., None]
        canvas = np.where(mask[..., None], fill, canvas)
    return canvas


def regions(rng, height, width):
    """Flat cells around random points, as a map of classes has."""
    count = int(rng.integers(3, 30))
    colors = random_palette(rng, int(rng.integers(2, 12)))
    centers = rng.uniform(0, 1, (count, 2)) * (height, width)
    places = np.mgrid[:height, :width].transpose(1, 2, 0)
    bend = rng.uniform(0, .15) * height * np.stack([
        clouds(rng, height, width, 2) for _ in range(2)], -1)
    distance = np.linalg.norm(
        (places + bend)[:, :, None] - centers, axis=-1)
    return colors[rng.integers(0, len(colors), count)][distance.argmin(-1)]


def surfaces(rng, height, width):
    """Smooth fields with a few steps, as depth and normals have."""
    field = np.stack([clouds(rng, height, width, rng.uniform(1.5, 3))
                      for _ in range(3)], -1)
    if rng.random() < .5:
        field = np.repeat(field[..., :1], 3, 2)
    canvas = .5 + rng.uniform(.1, .4) * field
    for radius in _radii(rng, int(rng.integers(0, 12)), height, .05):
        mask = random_shape(rng, height, width, radius)
        shift = rng.normal(0, .25, 3)
        if np.ptp(field, -1).max() == 0:
            shift[:] = shift[0]
        canvas = canvas + mask[..., None] * shift
    return canvas


def mattes(rng, height, width):
    """One to four shapes on a background, with edges from hard to soft."""
    alpha = np.zeros((height, width))
    for _ in range(rng.integers(1, 5)):
        mask = random_shape(rng, height, width,
                            rng.uniform(.08, .45) * height)
        alpha = np.maximum(alpha, mask) if rng.random() < .8 else (
            alpha * (1 - mask))
    if rng.random() < .5:
        alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(.3, 6))
    low, high = random_palette(rng, 2)
    return low + alpha[..., None] * (high - low)


STYLES = (leaves, leaves, leaves, regions, surfaces, mattes)


def draw_pattern(rng, height, width):
    """Draw a picture of a random style.

    Args:
        rng (np.random.Generator): Random numbers.
        height (int): In pixels.
        width (int): In pixels.

    Returns:
        np.ndarray: (height, width, 3) uint8 RGB.
    """
    style = STYLES[rng.integers(len(STYLES))]
    canvas = style(rng, height * _ZOOM, width * _ZOOM)
    picture = cv2.resize(np.clip(canvas, 0, 1), (width, height),
                         interpolation=cv2.INTER_AREA)
    return np.round(picture * 255).astype(np.uint8)


def random_shape(rng, height, width, radius):
    """Return a mask (height, width) bool of an ellipse, a polygon or a bar at
    a random place; ``radius`` in pixels."""
    mask = np.zeros((height, width), np.uint8)
    center = rng.uniform(0, 1, 2) * (width, height)
    angle = rng.uniform(0, 360)
    kind = rng.integers(4)
    if kind == 0:
        axes = radius * rng.uniform(.3, 1, 2)
        cv2.ellipse(mask, (tuple(center), tuple(2 * axes), angle), 1, -1)
    elif kind == 1:
        length = radius * rng.uniform(1, 4)
        box = (tuple(center), (2 * length, radius * rng.uniform(.1, .5)),
               angle)
        cv2.fillPoly(mask, [cv2.boxPoints(box).astype(np.int32)], 1)
    elif kind == 2:
        sides = radius * rng.uniform(.5, 1, 2) * 2
        box = (tuple(center), tuple(sides), rng.choice([0, angle]))
        cv2.fillPoly(mask, [cv2.boxPoints(box).astype(np.int32)], 1)
    else:
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 12)))
        reach = radius * rng.uniform(.3, 1, len(turns))
        points = center + reach[:, None] * np.stack(
            [np.cos(turns), np.sin(turns)], -1)
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask.astype(bool)


def clouds(rng, height, width, power):
    """Return noise (height, width) with mean 0 and deviation 1 whose
    amplitude falls with ``power`` of the frequency."""
    spectrum = np.fft.rfft2(rng.normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height,
                         np.fft.rfftfreq(width) * width)
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(spectrum / frequency ** power, (height, width))
    return noise / noise.std()


def ramp(rng, height, width):
    """Return a linear course (height, width) from 0 to 1 in a random
    direction."""
    turn = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:height, :width]
    course = np.cos(turn) * columns + np.sin(turn) * rows
    return (course - course.min()) / np.ptp(course)


def _radii(rng, count, height, low, high=.6):
    """Draw radii whose density falls with their cube, between two shares of
    the height."""
    share = rng.uniform(0, 1, count)
    return height * (low ** -2 - share * (low ** -2 - high ** -2)) ** -.5


def _pick(rng, colors):
    return colors[rng.integers(len(colors))]
