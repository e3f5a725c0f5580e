"""Fittings of walls, floor and ceiling: windows, doors, pictures, lights.

The builders are like those of :mod:`.furniture`; ``half`` is half a width,
``low`` and ``high`` are heights above the floor, in metres.
"""
import numpy as np

from .materials import (
    Style,
    grain,
    hsv,
    linear,
    outside,
    paint,
    painting,
    rug_pattern,
    to_texture,
    weave,
)
from .meshes import curtain_mesh
from .primitives import (
    RUG_THICKNESS,
    WALL_THICKNESS,
    Item,
    Material,
    pitch,
    scaled,
)


def picture(rng, style: Style) -> Item:
    """A framed picture at eye height."""
    item = Item('picture', 'picture')
    half = rng.uniform(0.22, 0.5)
    tall = half * 2 * rng.choice([0.75, 1.3])
    low = max(1.6 - tall / 2, 1.25)
    frame = [style.wood2, style.white, paint((0.1, 0.1, 0.1))][
        rng.integers(3)]
    item.box((-half, 0, low), (half, 0.025, low + tall), frame)
    item.panel((0, 0.027, low + tall / 2), 2 * half - 0.07, tall - 0.07,
               Material(texture=painting(rng)))
    return item


def whiteboard(rng, style: Style) -> Item:
    """A whiteboard with lines of writing and a tray for pens."""
    item = Item('whiteboard', 'whiteboard')
    half, low, high = rng.uniform(0.5, 0.8), 1.0, 1.85
    item.box((-half, 0, low), (half, 0.02, high), style.metal)
    image = np.full((48, 64, 3), 0.93)
    for row in range(6, 40, 7):
        end = int(rng.integers(20, 58))
        image[row:row + 2, 6:end] = hsv(rng, rng.random(), 0.8, 0.4)
    item.panel((0, 0.022, (low + high) / 2), 2 * half - 0.04,
               high - low - 0.04, Material(texture=to_texture(image)))
    item.box((-half * 0.6, 0.02, low - 0.01), (half * 0.6, 0.07, low + 0.01),
             style.metal)
    return item


def door(rng, style: Style) -> Item:
    """A closed panelled door with its frame and handle."""
    item = Item('door', 'door')
    half, height = 0.42, 2.03
    tone = rng.random()
    if tone < 0.55:
        color = hsv(rng, 0.07, 0.55, 0.5)
    elif tone < 0.8:
        color = hsv(rng, 0.09, 0.35, 0.7)
    else:
        color = hsv(rng, 0.12, 0.1, 0.85)
    leaf = Material('glossy', texture=grain(rng, color, 0.08),
                    roughness=0.35)
    dark = paint(color * 0.8)
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


def window(rng, half, low, high, glazed, power, night) -> Item:
    """A window in a wall opening, and the view behind it.

    An open window shows the outside world, which geometry maps leave empty.
    The view through a glazed one counts as window, like panes in Hypersim.
    """
    item = Item('window', 'window')
    white = paint(hsv(rng, 0.1, 0.06, 0.9, 0.02, 0.04))
    back, front = -WALL_THICKNESS + 0.04, -0.04
    item.frame(half, low, high, back, front, 0.06, white)
    bars = 2 if half > 0.75 else 1
    for bar in range(1, bars + 1):
        x = -half + 2 * half * bar / (bars + 1)
        item.box((x - 0.025, back + 0.01, low + 0.06),
                 (x + 0.025, front - 0.01, high - 0.06), white)
    middle = low + (high - low) * 0.6
    item.box((-half + 0.06, back + 0.02, middle - 0.02),
             (half - 0.06, front - 0.02, middle + 0.02), white)
    item.box((-half - 0.06, 0, low - 0.04), (half + 0.06, 0.09, low), white)
    if glazed:
        y, margin = back + 0.03, -0.1
    else:
        item.label = 'outside'
        y, margin = -WALL_THICKNESS - 0.05, 0.6
    item.panel((0, y, (low + high) / 2), 2 * half + margin,
               high - low + margin, Material(
                   color=(0.02,) * 3, texture=outside(rng, night),
                   emission=(power,) * 3))
    return item


def curtains(rng, style: Style, half, low, high) -> Item:
    """Two curtains beside a window, on a rod."""
    item = Item('curtains', 'curtain')
    pale = hsv(rng, rng.random(), rng.uniform(0.05, 0.5),
               rng.uniform(0.55, 0.85))
    cloth = Material(texture=weave(rng, pale, 0.06))
    width = rng.uniform(0.3, 0.45)
    bottom = 0.03 if rng.random() < 0.6 else low - 0.15
    for side in (-1, 1):
        item.begin()
        item.add('mesh', scaled((1, 1, 1), (
            side * (half + width / 2 - 0.12), 0.13, bottom)), cloth,
            curtain_mesh(width, high + 0.08 - bottom,
                         int(rng.integers(4, 7))))
    item.begin()
    item.rod((-half - width, 0.13, high + 0.1),
             (half + width, 0.13, high + 0.1), 0.015, style.metal)
    return item


def blinds(rng, half, low, high) -> Item:
    """Horizontal slats in front of the upper part of a window."""
    item = Item('blinds', 'blinds')
    slat = paint(hsv(rng, 0.1, rng.choice([0.08, 0.4]), 0.85))
    item.box((-half, 0.02, high), (half, 0.07, high + 0.05), slat)
    end = low + (high - low) * rng.uniform(0.25, 0.6)
    for z in np.arange(high - 0.03, end, -0.045):
        matrix = scaled((half, 0.022, 0.002), (0, 0.045, z))
        matrix[:3, :3] = pitch(-40) @ matrix[:3, :3]
        item.add('box', matrix, slat)
    item.box((-half, 0.035, end - 0.04), (half, 0.055, end - 0.02), slat)
    return item


def rug(rng, width, depth) -> Item:
    """A rug of width x depth metres, from y = 0 on."""
    item = Item('rug', 'floormat')
    cloth = Material(texture=rug_pattern(rng))
    item.box((-width / 2, 0, 0), (width / 2, depth, RUG_THICKNESS - 0.002),
             paint((0.3, 0.25, 0.22)))
    item.panel((0, depth / 2, RUG_THICKNESS - 0.001), width, depth, cloth,
               facing='up')
    return item


def ceiling_light(rng, height, power, pendant) -> Item:
    """A flat panel, a globe or a pendant that hangs over a table."""
    item = Item('ceiling light', 'lamp')
    warm = np.array(linear(hsv(rng, 0.1, 0.15, 0.95, 0.02, 0.04)))

    def glow(strength):
        return Material(color=(0.7,) * 3,
                        emission=tuple(strength * power * warm))

    def flat(half, thick, down, width, strength):
        item.box((-half, -half, height - thick), (half, half, height),
                 paint((0.9,) * 3))
        item.panel((0, 0, height - down), width, width, glow(strength),
                   facing='down')

    if pendant:
        low = 1.6
        item.rod((0, 0, low + 0.24), (0, 0, height), 0.01,
                 paint((0.1,) * 3))
        shade = Material('glossy', linear(hsv(rng, rng.random(), 0.5, 0.5)))
        item.turned((0, 0, low), [(0.24, 0), (0.07, 0.22), (1e-4, 0.25)],
                    shade)
        item.panel((0, 0, low + 0.03), 0.26, 0.26, glow(12), facing='down')
        # the pendant alone leaves the room too dark
        item.begin()
        flat(0.2, 0.04, 0.041, 0.36, 60)
    elif rng.random() < 0.5:
        flat(0.38, 0.05, 0.051, 0.68, 16)
    else:
        # only the bowl shines: a glowing rim would light a tiny, very
        # bright patch of ceiling, which path tracing turns into speckles
        item.turned((0, 0, height), [(1e-4, -0.12), (0.21, -0.12),
                                     (0.21, 0), (1e-4, 0)],
                    Material('metal', (0.6,) * 3, roughness=0.3))
        item.turned((0, 0, height), [(1e-4, -0.2), (0.1, -0.185),
                                     (0.17, -0.155), (0.2, -0.12)], glow(40))
    return item
