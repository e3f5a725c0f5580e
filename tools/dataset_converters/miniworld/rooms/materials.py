"""Colours, textures and the materials that a room's furniture shares.

Colours are chosen in display space and converted, so the tone-mapped picture
shows roughly the chosen ones. ``rng`` is a ``np.random.Generator`` and
``color`` a (3,) display colour in [0, 1].
"""
import colorsys
from dataclasses import dataclass
from typing import Tuple

import numpy as np

from .primitives import Material, Texture


def linear(rgb) -> Tuple[float, ...]:
    """Convert a display colour to linear reflectance."""
    return tuple(float(c) for c in np.clip(rgb, 0.01, 0.95)**2.2)


def hsv(rng, hue, saturation, value, hue_jitter=0.02, jitter=0.06):
    """Return a jittered display colour."""
    return np.array(colorsys.hsv_to_rgb(
        (hue + rng.uniform(-hue_jitter, hue_jitter)) % 1,
        float(np.clip(saturation + rng.uniform(-jitter, jitter), 0, 1)),
        float(np.clip(value + rng.uniform(-jitter, jitter), 0.04, 0.95))))


def paint(color, **kwargs) -> Material:
    """Return a material with a display colour, diffuse by default."""
    return Material(color=linear(color), **kwargs)


def to_texture(display, size=None, follow_length=False) -> Texture:
    """Convert an (h, w, 3) display picture to a linear texture."""
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


def grain(rng, color, amount=0.1) -> Texture:
    """Wood grain along the longer side."""
    noise = (_smooth_noise(rng, (64, 64), (16, 2))
             + 0.6 * _smooth_noise(rng, (64, 64), (32, 4)))
    return to_texture(color * (1 + amount * noise[..., None]), (1.2, 0.3),
                      follow_length=True)


def planks(rng, color) -> Texture:
    """Floor boards with gaps, staggered joints and varied tones."""
    image = np.empty((8, 16, 128, 3))
    for row in image:
        strip = np.empty((16, 128, 3))
        joint = int(rng.integers(0, 128))
        for start in (0, 64):
            tone = color * (1 + rng.uniform(-0.16, 0.16))
            noise = _smooth_noise(rng, (16, 64), (8, 2))[..., None]
            strip[:, start:start + 64] = tone * (1 + 0.08 * noise)
            strip[:, start] *= 0.6
        strip[0] *= 0.55
        row[:] = np.roll(strip, joint, axis=1)
    return to_texture(image.reshape(128, 128, 3), (1.4, 0.14 * 8))


def tiles(rng, color, second=None) -> Texture:
    """Square tiles with grout; a second colour makes a chequerboard."""
    image = np.empty((128, 128, 3))
    for i in range(4):
        for j in range(4):
            tone = color if second is None or (i + j) % 2 else second
            image[i * 32:i * 32 + 32, j * 32:j * 32 + 32] = tone * (
                1 + rng.uniform(-0.04, 0.04))
    image[::32] = image[:, ::32] = color * 0.6 + 0.1
    return to_texture(image, (1.6, 1.6))


def stripes(first, second) -> Texture:
    """Stripes across u."""
    image = np.broadcast_to(first, (4, 64, 3)).copy()
    image[:, :32] = second
    return to_texture(image, (0.24, 0.24))


def check(first, second) -> Texture:
    """A chequerboard of two by two fields per repetition."""
    image = np.broadcast_to(first, (64, 64, 3)).copy()
    image[:32, :32] = image[32:, 32:] = second
    return to_texture(image, (0.3, 0.3))


def weave(rng, color, amount=0.1, size=(0.5, 0.5)) -> Texture:
    """Cloth: fine threads with gradual changes of tone."""
    noise = (rng.uniform(-1, 1, (64, 64)) * 0.6
             + _smooth_noise(rng, (64, 64), (6, 6)))
    return to_texture(color * (1 + amount * noise[..., None]), size)


def painting(rng) -> Texture:
    """A picture for the wall: a landscape, colour fields or discs."""
    image = np.empty((48, 64, 3))
    y, x = np.mgrid[0:48, 0:64] / 64.0
    style = rng.integers(3)
    if style == 0:
        sky = hsv(rng, rng.choice([0.58, 0.08, 0.55]), 0.4, 0.85)
        image[:] = sky + (0.75 - y)[..., None] * 0.15
        for layer in range(3):
            ridge = 0.35 + 0.12 * layer + 0.06 * _smooth_noise(
                rng, (1, 64), (1, 5))
            image[y > ridge] = hsv(rng, 0.3, 0.45, 0.6 - 0.15 * layer)
    elif style == 1:
        image[:] = hsv(rng, 0.1, 0.15, 0.9)
        for _ in range(7):
            top, left = rng.integers(0, 36), rng.integers(0, 48)
            image[top:top + rng.integers(8, 24),
                  left:left + rng.integers(8, 28)] = hsv(
                      rng, rng.random(), 0.65, 0.7)
    else:
        image[:] = hsv(rng, rng.random(), 0.3, 0.8)
        for _ in range(6):
            away = np.hypot(x - rng.random(), y - 0.75 * rng.random())
            image[away < rng.uniform(0.06, 0.2)] = hsv(
                rng, rng.random(), 0.6, 0.65)
    return to_texture(image)


def rug_pattern(rng) -> Texture:
    """A carpet with a border and a pattern."""
    image = np.empty((64, 96, 3))
    hue = rng.choice([0.0, 0.05, 0.62, 0.95, 0.45, 0.1])
    base = hsv(rng, hue, 0.55, 0.5)
    other = hsv(rng, hue + 0.1, 0.3, 0.8)
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
    return to_texture(image)


def outside(rng, night) -> Texture:
    """Sky, distant trees and lawn outside a window, as relative radiance."""
    image = np.empty((48, 48, 3))
    if night:
        image[:] = (0.02, 0.03, 0.07)
    else:
        y = np.linspace(0, 1, 48)
        image[:] = (0.75, 0.87, 1.0) + y[:, None, None] * (0.25, 0.13, 0.0)
        trees = 0.62 + 0.08 * _smooth_noise(rng, (1, 48), (1, 8))
        image[y[:, None] > trees] = (0.10, 0.16, 0.07)
        image[y > 0.78] = (0.22, 0.34, 0.12)
    return Texture(image.astype(np.float32))


def screen(rng) -> Texture:
    """The picture on a screen that is switched on."""
    image = np.empty((32, 48, 3))
    image[:] = hsv(rng, rng.choice([0.58, 0.62, 0.5]), 0.7, 0.5)
    image[18:] = hsv(rng, 0.3, 0.6, 0.35)
    image[8:26, 18:30] = hsv(rng, 0.05, 0.5, 0.7)
    return to_texture(image)


@dataclass(eq=False)
class Style:
    """The materials that the furniture of a room shares."""
    wood: Material
    wood2: Material
    white: Material
    metal: Material
    fabric: Material
    fabric2: Material
    accent: Material
    lamp_on: bool
    lamp_power: float

    def lamp_shade(self, rng, saturation) -> Material:
        """Return the cloth of a lamp, which shines if the lamps are on."""
        color = linear(hsv(rng, 0.11, saturation, 0.9))
        light = None
        if self.lamp_on:
            light = tuple(self.lamp_power * np.array(color))
        return Material(color=color, emission=light)


def make_style(rng, evening) -> Style:
    """Choose the materials of a room; in the evening all lamps are on."""
    tone = rng.integers(4)
    wood = [hsv(rng, 0.09, 0.45, 0.72), hsv(rng, 0.06, 0.58, 0.45),
            hsv(rng, 0.045, 0.65, 0.55), hsv(rng, 0.1, 0.3, 0.82)][tone]
    wood2 = wood * rng.uniform(0.6, 0.9)
    fabric = hsv(rng, rng.choice([0.6, 0.02, 0.33, 0.1, 0.55, 0.08]),
                 rng.uniform(0.15, 0.55), rng.uniform(0.4, 0.75))
    fabric2 = hsv(rng, rng.random(), rng.uniform(0.1, 0.5), 0.78)
    accent = hsv(rng, rng.choice([0.0, 0.13, 0.48, 0.58, 0.9, 0.07]), 0.65,
                 0.72)
    return Style(
        wood=Material('glossy', texture=grain(rng, wood), roughness=0.3),
        wood2=Material('glossy', texture=grain(rng, wood2), roughness=0.3),
        white=paint(hsv(rng, 0.12, 0.05, 0.9, 0.05, 0.03)),
        metal=Material('metal', (0.6, 0.58, 0.55), roughness=0.25),
        fabric=Material(texture=weave(rng, fabric)),
        fabric2=Material(texture=weave(rng, fabric2)),
        accent=paint(accent), lamp_on=bool(evening or rng.random() < 0.5),
        lamp_power=3.0 if evening else 2.0)


