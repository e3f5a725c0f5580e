"""Furniture that stands on the floor or hangs on a wall, piece by piece.

Every public builder takes a ``np.random.Generator`` and the style of the room,
and returns an item in the frame that :mod:`.primitives` describes, in metres.
Unless its docstring says otherwise, it stands with its back to the wall y = 0.
"""
import numpy as np

from .materials import (
    Style,
    check,
    hsv,
    linear,
    paint,
    screen,
    stripes,
    weave,
)
from .meshes import BALL, cylinder_profile
from .primitives import (
    RUG_THICKNESS,
    Item,
    Material,
    pitch,
    placement,
)

# --------------------------------------------------------------------------
# Parts of several pieces.


def _table_lamp(rng, style: Style, base) -> Item:
    """A lamp 0.4 m high that stands at ``base``."""
    item = Item('table lamp', 'lamp')
    radius = rng.uniform(0.10, 0.14)
    foot = style.accent if rng.random() < 0.6 else style.metal
    item.turned(base, [(1e-4, 0), (0.07, 0), (0.08, 0.02), (0.03, 0.06),
                       (0.055, 0.12), (0.02, 0.2), (1e-4, 0.2)], foot)
    item.begin()
    item.turned(base, [(1e-4, 0.2), (radius, 0.2), (radius * 0.7, 0.4),
                       (1e-4, 0.4)], style.lamp_shade(rng, 0.18))
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
        color = hsv(rng, rng.choice(hues), rng.uniform(0.15, 0.55),
                    rng.uniform(0.3, 0.75), 0.06)
        deep = depth * rng.uniform(0.75, 0.92)
        item.begin('books')
        item.box((low[0] + x, low[1], low[2]),
                 (low[0] + x + thick, low[1] + deep, low[2] + tall),
                 paint(color))
        x += thick + 0.002


def _storage(rng) -> Material:
    """A material for boxes: mostly cardboard, sometimes painted."""
    if rng.random() < 0.7:
        return paint(hsv(rng, 0.08, 0.42, 0.66))
    return paint(hsv(rng, rng.random(), 0.3, 0.75))


def _vase(item, rng, base) -> None:
    """Put a vase 0.24 m high onto ``base``."""
    item.begin('otherprop')
    color = Material('glossy', linear(hsv(rng, rng.random(), 0.35, 0.7)))
    item.turned(base, [(1e-4, 0), (0.05, 0), (0.075, 0.08), (0.06, 0.16),
                       (0.03, 0.2), (0.04, 0.24), (1e-4, 0.23)], color)


def _drawers(item, low, high, rows, columns, front, knob) -> None:
    """Put a grid of drawer or door fronts with knobs on a face y = high."""
    y = high[1]
    wide = (high[0] - low[0]) / columns
    tall = (high[2] - low[2]) / rows
    for row in range(rows):
        for column in range(columns):
            x = low[0] + column * wide
            z = low[2] + row * tall
            item.box((x + 0.012, y, z + 0.012),
                     (x + wide - 0.012, y + 0.018, z + tall - 0.012), front)
            center = np.array([x + wide / 2, y + 0.018, z + tall / 2])
            size = np.array([0.06, 0, 0.01])
            if tall > wide * 1.2:
                # doors have upright handles, alternating left and right
                side = 1 if column % 2 == 0 else -1
                center[0] += side * (wide / 2 - 0.06)
                size = np.array([0.01, 0, 0.08])
            item.box(center - size, center + size + (0, 0.025, 0), knob)


def _case(rng, style: Style, name, label, width, depth, height, rows,
          columns, legs=0.0) -> Item:
    """A closed piece of furniture with a grid of fronts."""
    item = Item(name, label)
    half = width / 2
    painted = rng.random() < 0.35
    body = style.white if painted else style.wood
    front = style.white if painted else style.wood2
    if legs:
        item.legs((-half + 0.03, half - 0.07), (0.03, depth - 0.08), 0.04,
                  0, legs, style.wood2)
    else:
        legs = 0.06
        item.box((-half + 0.02, 0, 0), (half - 0.02, depth - 0.05, legs),
                 style.wood2)
    low, high = (-half, 0, legs), (half, depth - 0.03, height - 0.03)
    item.box(low, high, body)
    item.box((-half - 0.01, 0, height - 0.03), (half + 0.01, depth, height),
             body)
    _drawers(item, low, high, rows, columns, front, style.metal)
    return item


def _mirror(item, rng, style: Style, low, high) -> None:
    """Hang a mirror with a frame between two heights."""
    half = rng.uniform(0.28, 0.4)
    item.begin('mirror')
    frame = style.wood2 if rng.random() < 0.5 else style.metal
    item.box((-half, 0, low), (half, 0.02, high), frame)
    item.frame(half, low, high, 0.02, 0.035, 0.04, frame)
    item.panel((0, 0.022, (low + high) / 2), 2 * half - 0.08,
               high - low - 0.08, Material('mirror', (0.88, 0.9, 0.9)))


# --------------------------------------------------------------------------
# Pieces.


def floor_lamp(rng, style: Style) -> Item:
    """A lamp on a tall stand."""
    item = Item('floor lamp', 'lamp')
    center = np.array([0.0, 0.25, 0.0])
    top = rng.uniform(1.45, 1.6)
    item.turned(center, cylinder_profile(0.14, 0, 0.03), style.metal)
    item.rod(center, center + (0, 0, top - 0.2), 0.015, style.metal)
    item.turned(center, [(1e-4, top - 0.25), (0.22, top - 0.25),
                         (0.16, top + 0.05), (1e-4, top + 0.05)],
                style.lamp_shade(rng, 0.15))
    return item


def bookshelf(rng, style: Style) -> Item:
    """A tall shelf with books, boxes and vases."""
    item = Item('bookshelf', 'bookshelf')
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
            item.begin('box')
            item.box(base + (0.06, 0.01, 0), base + (0.4, depth - 0.06, 0.2),
                     _storage(rng))
        else:
            _vase(item, rng, base + (width / 2, depth / 2 - 0.02, 0))
    return item


def wall_shelves(rng, style: Style) -> Item:
    """Two boards with books and things at eye height."""
    item = Item('shelves', 'shelves')
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


def wardrobe(rng, style: Style) -> Item:
    """A cabinet with two or three tall doors."""
    return _case(rng, style, 'wardrobe', 'cabinet', rng.uniform(0.9, 1.4),
                 0.58, rng.uniform(1.9, 2.2), 1, int(rng.integers(2, 4)))


def dresser(rng, style: Style) -> Item:
    """A chest of drawers with a mirror on the wall above it."""
    item = _case(rng, style, 'dresser', 'dresser', rng.uniform(0.9, 1.3),
                 0.48, rng.uniform(0.75, 0.9), int(rng.integers(3, 5)), 2,
                 legs=0.08)
    top = item.bounds()[1][2]
    if rng.random() < 0.75:
        _mirror(item, rng, style, top + 0.15, top + 0.95)
    _vase(item, rng, (rng.uniform(-0.35, -0.15), 0.22, top))
    if rng.random() < 0.7:
        item.merge(_table_lamp(rng, style, (0.32, 0.2, top)))
    return item


def wall_mirror(rng, style: Style) -> Item:
    """A mirror at eye height."""
    item = Item('mirror', 'mirror')
    _mirror(item, rng, style, 0.95, 1.85)
    return item


def nightstand(rng, style: Style) -> Item:
    """Two drawers with a book and, mostly, a lamp on top."""
    item = _case(rng, style, 'nightstand', 'nightstand', 0.46, 0.42, 0.5, 2,
                 1, legs=0.1)
    if rng.random() < 0.85:
        item.merge(_table_lamp(rng, style, (0.05, 0.18, 0.5)))
    item.begin('books')
    item.box((-0.2, 0.18, 0.5), (-0.06, 0.38, 0.53),
             paint(hsv(rng, rng.random(), 0.5, 0.6)))
    return item


def bed(rng, style: Style) -> Item:
    """A bed with legs, frame, mattress, pillows and a headboard."""
    item = Item('bed', 'bed')
    double = rng.random() < 0.75
    half = rng.uniform(0.78, 0.9) if double else 0.5
    length = 2.05
    item.legs((-half + 0.02, half - 0.1), (0.06, length - 0.12), 0.08, 0,
              0.16, style.wood2)
    item.box((-half, 0.05, 0.16), (half, length, 0.3), style.wood)
    item.box((-half - 0.03, 0, 0.1),
             (half + 0.03, 0.05, rng.uniform(0.95, 1.15)), style.wood)
    item.padding((-half + 0.02, 0.06, 0.28),
                 (half - 0.02, length - 0.02, 0.52), style.white)
    choice = rng.integers(3)
    first = hsv(rng, rng.random(), rng.uniform(0.2, 0.55), 0.7)
    if choice == 0:
        cover = stripes(first, first * 0.4 + 0.5)
    elif choice == 1:
        cover = check(first, first * 0.5 + 0.4)
    else:
        cover = weave(rng, first)
    item.box((-half - 0.012, 0.75, 0.24),
             (half + 0.012, length + 0.012, 0.545), Material(texture=cover))
    item.box((-half - 0.016, 0.7, 0.3), (half + 0.016, 0.95, 0.56),
             style.white)
    for x in (-half / 2, half / 2) if double else (0.0,):
        item.begin('pillow')
        item.padding((x - 0.33, 0.1, 0.56), (x + 0.33, 0.58, 0.72),
                     style.white, soft=True, turn=pitch(-28))
    if rng.random() < 0.7:
        item.begin('pillow')
        item.padding((-0.2, 0.48, 0.56), (0.2, 0.86, 0.7), style.accent,
                     soft=True, turn=pitch(-50))
    return item


def sofa(rng, style: Style, seats=None) -> Item:
    """A sofa with the given number of seats, or two or three."""
    item = Item('sofa', 'sofa')
    seats = seats or int(rng.integers(2, 4))
    half, depth, arm = seats * 0.32 + 0.16, 0.88, 0.16
    cloth = style.fabric if seats > 1 else style.fabric2
    item.legs((-half + 0.04, half - 0.09), (0.06, depth - 0.12), 0.05, 0,
              0.1, style.wood2)
    item.padding((-half + 0.02, 0.02, 0.1), (half - 0.02, depth - 0.02, 0.3),
                 cloth)
    item.padding((-half, 0, 0.1), (half, 0.2, 0.84), cloth)
    for x in (-half, half - arm):
        item.padding((x, 0.02, 0.1), (x + arm, depth, 0.62), cloth)
    wide = (2 * half - 2 * arm) / seats
    for seat in range(seats):
        x = -half + arm + seat * wide
        item.padding((x + 0.005, 0.18, 0.29),
                     (x + wide - 0.005, depth + 0.01, 0.46), cloth)
        item.padding((x + 0.01, 0.17, 0.44), (x + wide - 0.01, 0.36, 0.86),
                     cloth)
    for x in (-half + arm + 0.2, half - arm - 0.2):
        if rng.random() < 0.75:
            item.begin('pillow')
            item.padding(
                (x - 0.2, 0.36, 0.46), (x + 0.2, 0.5, 0.84),
                style.accent if rng.random() < 0.6 else style.fabric2,
                soft=True, turn=pitch(14))
    return item


def armchair(rng, style: Style) -> Item:
    """A sofa with one seat, in the second fabric."""
    return sofa(rng, style, seats=1)


def _chair(rng, style: Style, padded) -> Item:
    """A chair whose front faces -y, towards a table there."""
    item = Item('chair', 'chair')
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
        item.padding((-half + 0.035, 0.172, 0.58),
                     (half - 0.035, 0.212, 0.93), style.fabric)
    else:
        for z in (0.58, 0.72, 0.86):
            item.box((-half + 0.035, 0.183, z),
                     (half - 0.035, 0.203, z + 0.07), style.wood)
    return item


def single_chair(rng, style: Style) -> Item:
    """A chair with its back to the wall."""
    item = Item('chair', 'chair')
    item.merge(_chair(rng, style, rng.random() < 0.5),
               placement((0, 0.26, 0), 180))
    return item


def _office_chair(rng, style: Style) -> Item:
    """A swivel chair around the origin whose front faces -y."""
    item = Item('office chair', 'chair')
    cloth = style.fabric if rng.random() < 0.5 else paint(
        hsv(rng, 0.6, 0.1, 0.22))
    dark = paint((0.12, 0.12, 0.13))
    for angle in np.arange(5) * 2 * np.pi / 5 + np.pi / 2:
        end = np.array([0.26 * np.cos(angle), 0.26 * np.sin(angle), 0.07])
        item.rod((0, 0, 0.1), end, 0.02, dark)
        item.ball(end - (0, 0, 0.035), 0.035, dark)
    item.rod((0, 0, 0.08), (0, 0, 0.42), 0.03, style.metal)
    item.padding((-0.24, -0.24, 0.42), (0.24, 0.22, 0.52), cloth)
    item.box((-0.03, 0.2, 0.44), (0.03, 0.23, 0.7), dark)
    item.padding((-0.22, 0.16, 0.6), (0.22, 0.24, 1.08), cloth)
    return item


def coffee_table(rng, style: Style) -> Item:
    """A low table on a rug, with books and a vase or paper."""
    item = Item('coffee table', 'table')
    half, depth, height = rng.uniform(0.4, 0.55), 0.55, 0.42
    item.legs((-half + 0.03, half - 0.08), (0.03, depth - 0.08), 0.05,
              RUG_THICKNESS, height - 0.04, style.wood2)
    item.box((-half, 0, height - 0.04), (half, depth, height), style.wood)
    item.box((-half + 0.05, 0.05, 0.15), (half - 0.05, depth - 0.05, 0.17),
             style.wood2)
    for number in range(int(rng.integers(1, 4))):
        item.begin('books')
        low = np.array([-0.3, 0.15, height + 0.03 * number])
        item.box(low, low + (0.22, 0.28, 0.03),
                 paint(hsv(rng, rng.random(), 0.5, 0.65)))
    if rng.random() < 0.7:
        _vase(item, rng, (0.2, 0.3, height))
    else:
        item.begin('paper')
        item.box((0.05, 0.12, height), (0.26, 0.42, height + 0.004),
                 paint((0.92, 0.92, 0.9)))
    return item


def dining_set(rng, style: Style) -> Item:
    """A table on a rug with chairs around it, centred at the origin."""
    item = Item('dining set', 'table')
    base, top = RUG_THICKNESS, 0.75
    pairs = int(rng.integers(1, 4))
    half, deep = 0.3 * pairs + 0.28, 0.42
    padded = rng.random() < 0.5
    round_top = pairs == 1
    if round_top:
        half = deep = 0.55
        for radius, low, high, wood in (
                (half, top - 0.035, top, style.wood),
                (0.05, base + 0.04, top - 0.03, style.wood2),
                (0.28, base, base + 0.04, style.wood2)):
            item.turned((0, 0, 0), cylinder_profile(radius, low, high), wood)
    else:
        item.box((-half, -deep, top - 0.035), (half, deep, top), style.wood)
        item.legs((-half + 0.04, half - 0.11), (-deep + 0.04, deep - 0.11),
                  0.07, base, top - 0.035, style.wood2)
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
        item.merge(_chair(rng, style, padded), placement((x, y, base), turn))
    for x in spread[:2]:
        item.begin('otherprop')
        item.turned((x, 0.2, top), [(1e-4, 0), (0.07, 0), (0.12, 0.02),
                                    (1e-4, 0.008)],
                    Material('glossy', (0.8, 0.8, 0.78)))
    _vase(item, rng, (0, -0.05, top))
    return item


def desk(rng, style: Style) -> Item:
    """A desk with a chair, a screen, a lamp, books and papers."""
    item = Item('desk', 'desk')
    half, depth, top = rng.uniform(0.6, 0.8), 0.65, 0.74
    board = top - 0.035
    item.box((-half, 0, board), (half, depth, top), style.wood)
    item.box((-half + 0.02, 0.02, 0), (-half + 0.05, depth - 0.03, board),
             style.wood2)
    low, high = (half - 0.42, 0.02, 0.04), (half - 0.02, depth - 0.05, board)
    item.box(low, high, style.wood2)
    _drawers(item, low, high, 3, 1, style.wood, style.metal)
    x = rng.uniform(-0.2, 0.0)
    dark = paint((0.1, 0.1, 0.11), kind='glossy')
    item.begin('otherprop')
    item.box((x - 0.1, 0.16, top), (x + 0.1, 0.32, top + 0.015), dark)
    item.box((x - 0.025, 0.2, top), (x + 0.025, 0.225, top + 0.2), dark)
    item.box((x - 0.28, 0.225, top + 0.1), (x + 0.28, 0.25, top + 0.45),
             dark)
    shown = dark
    if rng.random() < 0.6:
        shown = Material('glossy', texture=screen(rng))
    item.panel((x, 0.252, top + 0.275), 0.53, 0.32, shown)
    item.box((x - 0.2, 0.4, top), (x + 0.2, 0.53, top + 0.02), dark)
    item.begin('paper')
    item.box((-half + 0.06, 0.3, top), (-half + 0.27, 0.6, top + 0.006),
             paint((0.93, 0.93, 0.9)))
    item.merge(_table_lamp(rng, style, (half - 0.2, 0.18, top)))
    _books_row(item, rng, (-half + 0.02, 0.04, top), 0.3, 0.28, 0.2)
    chair = _office_chair(rng, style)
    item.merge(chair, placement((-0.1, depth + 0.2, 0),
                                rng.uniform(-25, 25)))
    return item


def television(rng, style: Style) -> Item:
    """A television on a low cabinet."""
    item = _case(rng, style, 'tv cabinet', 'cabinet', rng.uniform(1.3, 1.7),
                 0.42, 0.48, 1, 3, legs=0.1)
    half = rng.uniform(0.48, 0.62)
    tall = half * 1.15
    dark = paint((0.07, 0.07, 0.08), kind='glossy')
    item.begin('television')
    item.box((-0.2, 0.12, 0.48), (0.2, 0.28, 0.495), dark)
    item.box((-0.04, 0.17, 0.49), (0.04, 0.2, 0.6), dark)
    item.box((-half, 0.16, 0.58), (half, 0.21, 0.58 + tall), dark)
    shown = dark
    if rng.random() < 0.35:
        shown = Material('glossy', texture=screen(rng))
    item.panel((0, 0.212, 0.58 + tall / 2), 2 * half - 0.03, tall - 0.03,
               shown)
    return item


def refrigerator(rng, style: Style) -> Item:
    """A white or steel refrigerator with two doors."""
    item = Item('refrigerator', 'refrigerator')
    white = paint((0.9, 0.91, 0.92), kind='glossy')
    color = white if rng.random() < 0.6 else Material(
        'metal', (0.55, 0.56, 0.58), roughness=0.4)
    height, split = rng.uniform(1.65, 1.85), rng.uniform(1.0, 1.2)
    item.box((-0.31, 0, 0.03), (0.31, 0.58, height), color)
    item.box((-0.29, 0.02, 0), (0.29, 0.55, 0.03), paint((0.1,) * 3))
    for low, high in ((0.05, split), (split + 0.012, height - 0.005)):
        item.box((-0.308, 0.585, low), (0.308, 0.64, high), color)
        item.box((-0.27, 0.64, max(low + 0.05, split - 0.35)),
                 (-0.245, 0.68, min(high - 0.05, split + 0.35)),
                 style.metal)
    return item


def counter(rng, style: Style) -> Item:
    """A kitchen counter with sink, lower and upper cabinets."""
    item = Item('counter', 'cabinet')
    half, depth, top = rng.uniform(0.7, 1.0), 0.6, 0.9
    front = style.white if rng.random() < 0.5 else style.wood
    low, high = (-half, 0, 0.1), (half, depth - 0.04, top - 0.04)
    item.box(low, high, front)
    item.box((-half + 0.02, 0, 0), (half - 0.02, depth - 0.1, 0.1),
             paint((0.15,) * 3))
    _drawers(item, low, high, 1, 4, front, style.metal)
    item.begin('counter')
    tone = hsv(rng, 0.1, 0.08, rng.choice([0.3, 0.55, 0.75]))
    item.box((-half - 0.01, 0, top - 0.04), (half + 0.01, depth + 0.01, top),
             Material('glossy', texture=weave(rng, tone, 0.25, (0.3, 0.3)),
                      roughness=0.15))
    item.begin('sink')
    item.box((-0.5, 0.12, top), (-0.06, 0.5, top + 0.012), style.metal)
    item.rod((-0.28, 0.07, top), (-0.28, 0.07, top + 0.26), 0.015,
             style.metal)
    item.rod((-0.28, 0.07, top + 0.25), (-0.28, 0.25, top + 0.22), 0.012,
             style.metal)
    _vase(item, rng, (half - 0.2, 0.25, top))
    item.begin()
    low, high = (-half, 0, 1.45), (half, 0.32, 2.1)
    item.box(low, high, front)
    _drawers(item, low, high, 1, 4, front, style.metal)
    return item


def sideboard(rng, style: Style) -> Item:
    """A long low cabinet with a vase and, mostly, a lamp on top."""
    item = _case(rng, style, 'sideboard', 'cabinet', rng.uniform(1.1, 1.5),
                 0.44, rng.uniform(0.78, 0.9), 2, 3, legs=0.12)
    top = item.bounds()[1][2]
    _vase(item, rng, (0.3, 0.2, top))
    if rng.random() < 0.6:
        item.merge(_table_lamp(rng, style, (-0.35, 0.2, top)))
    return item


def plant(rng, style: Style) -> Item:
    """A potted plant with a stem and leaves."""
    item = Item('plant', 'otherprop')
    center = np.array([0.0, 0.32, 0.0])
    pot = paint(hsv(rng, rng.choice([0.05, 0.6, 0.1]), 0.4, 0.6))
    item.turned(center, [(1e-4, 0), (0.11, 0), (0.15, 0.28), (1e-4, 0.26)],
                pot)
    tall = rng.uniform(0.7, 1.1)
    item.rod(center + (0, 0, 0.25), center + (0, 0, 0.28 + 0.5 * tall),
             0.018, paint(hsv(rng, 0.08, 0.5, 0.35)))
    for _ in range(26):
        yaw, lift = rng.uniform(0, 360), rng.uniform(15, 75)
        length = rng.uniform(0.16, 0.28)
        leaf = placement((0, 0, 0), yaw)
        turn = leaf[:3, :3] @ pitch(lift)
        leaf[:3, :3] = turn @ np.diag((0.05, length / 2, 0.01))
        leaf[:3, 3] = center + turn @ (0, 1, 0) * length / 2 + (
            0, 0, 0.28 + rng.uniform(0.12, 0.55) * tall)
        item.add('mesh', leaf, paint(hsv(rng, 0.33, 0.55, 0.42)), BALL)
    return item


def boxes(rng, style: Style) -> Item:
    """One to three stacked cartons, taped."""
    item = Item('boxes', 'box')
    z = 0.0
    half, deep = rng.uniform(0.22, 0.3), rng.uniform(0.35, 0.45)
    for _ in range(int(rng.integers(1, 4))):
        tall = rng.uniform(0.22, 0.36)
        item.begin()
        item.box((-half, 0.05, z), (half, 0.05 + deep, z + tall),
                 _storage(rng))
        item.box((-0.03, 0.045, z + tall * 0.55),
                 (0.03, 0.055 + deep, z + tall + 0.002),
                 paint((0.8, 0.72, 0.55)))
        z += tall + 0.003
        half *= 0.85
        deep *= 0.88
    return item


def bag(rng, style: Style) -> Item:
    """A shopping bag with a handle."""
    item = Item('bag', 'bag')
    cloth = paint(hsv(rng, rng.random(), 0.6, 0.5))
    item.padding((-0.2, 0.06, 0), (0.2, 0.24, 0.36), cloth)
    for x in (-0.1, 0.1):
        item.rod((x, 0.15, 0.3), (x * 0.8, 0.15, 0.5), 0.012, cloth)
    item.rod((-0.08, 0.15, 0.5), (0.08, 0.15, 0.5), 0.012, cloth)
    return item
