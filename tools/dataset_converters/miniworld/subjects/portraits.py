"""Subjects with soft outlines: hair, fur, leaves, feathers, sheer cloth.

Every public builder takes a ``np.random.Generator`` and returns a
:class:`.parts.Subject` in metres. The picture is to frame the head-sized part
around the origin; stems and bodies continue below it.
"""
import numpy as np

from .parts import (
    Sheer,
    Subject,
    add_mesh,
    add_rods,
    blade_mesh,
    sheet_mesh,
    tube_mesh,
)
from ..rooms.materials import hsv, linear, paint, stripes, weave
from ..rooms.meshes import BALL, unit
from ..rooms.primitives import (
    Item,
    Material,
    pitch,
    placement,
    scaled,
)

#: Head of a person: half its width, depth and height.
_HEAD = np.array([0.078, 0.095, 0.115])


def _oval(item, center, size, material):
    """Add an ellipsoid with semi-axes ``size``."""
    item.add('mesh', scaled(size, center), material, BALL)


def _directions(rng, count):
    """Draw (count, 3) unit vectors, uniform on the sphere."""
    return unit(rng.standard_normal((count, 3)))


def _strands(rng, roots, outward, length, gravity, curl=0.0, stray=0.1,
             wind=(0, 0, 0), steps=7):
    """Grow curves that leave a surface and bend down.

    Args:
        rng (np.random.Generator): Source of the variation.
        roots (np.ndarray): (N, 3).
        outward (np.ndarray): (N, 3) unit directions at the roots.
        length (float): Mean length.
        gravity (float): Weight of falling relative to growing outward.
        curl (float): Radius of curls. Defaults to 0.0.
        stray (float): Spread of the directions. Defaults to 0.1.
        wind (Sequence[float]): (3,) added to gravity. Defaults to (0, 0, 0).
        steps (int): Points per curve. Defaults to 7.

    Returns:
        np.ndarray: (N, steps, 3).
    """
    count = len(roots)
    length = length * rng.uniform(0.75, 1.2, (count, 1, 1))
    share = np.linspace(0, 1, steps)[:, None]
    pull = np.array([0, 0, -gravity]) + wind
    heading = unit(outward + stray * rng.standard_normal((count, 3)))
    way = unit(heading[:, None] * (1 - share)**2 + pull * share + 1e-9)
    way[:, 0] = 0
    points = roots[:, None] + length / (steps - 1) * np.cumsum(way, axis=1)
    if curl:
        phase = (rng.uniform(0, 2 * np.pi, (count, 1))
                 + rng.uniform(6, 11, (count, 1)) * share[:, 0])
        wave = np.stack([np.cos(phase), np.sin(phase),
                         np.cos(phase + 1)], -1)
        points += curl * share * (wave - wave[:, :1])
    return points


def _outside(points, center, size):
    """Push (..., 3) points out of an ellipsoid."""
    away = (points - center) / size
    norm = np.linalg.norm(away, axis=-1, keepdims=True)
    return center + away / np.minimum(np.maximum(norm, 1e-6), 1) * size


def _taper(steps, radius, end=0.35):
    return radius * np.linspace(1, end, steps)


def _hair_color(rng):
    return [hsv(rng, 0.07, 0.5, 0.14), hsv(rng, 0.06, 0.6, 0.3),
            hsv(rng, 0.1, 0.5, 0.75), hsv(rng, 0.04, 0.75, 0.5),
            hsv(rng, 0.1, 0.05, 0.7), hsv(rng, rng.random(), 0.6, 0.6)][
                rng.choice(6, p=(0.3, 0.25, 0.2, 0.1, 0.08, 0.07))]


def _add_face(item, rng, skin):
    """Put eyes, nose, mouth and ears onto a head at the origin."""
    white, dark = paint((0.92, 0.92, 0.9)), paint((0.08, 0.06, 0.05))
    iris = paint(hsv(rng, rng.choice([0.07, 0.58, 0.3]), 0.6, 0.35))
    flesh = paint(skin)
    for side in (-1, 1):
        x = side * 0.032
        _oval(item, (x, 0.078, 0.018), (0.015, 0.012, 0.0095), white)
        _oval(item, (x, 0.088, 0.018), (0.007, 0.004, 0.0075), iris)
        brow = np.linspace((x - 0.018, 0.083, 0.042),
                           (x + 0.018, 0.083, 0.042), 5)
        brow[1:4, 2] += 0.004
        add_mesh(item, tube_mesh(brow[None], 0.0028, 5), dark)
        _oval(item, (side * 0.078, -0.005, 0.0), (0.01, 0.02, 0.03), flesh)
    _oval(item, (0, 0.097, -0.012), (0.012, 0.016, 0.022), flesh)
    lips = paint(np.clip(skin * (0.95, 0.6, 0.6), 0, 1))
    _oval(item, (0, 0.078, -0.052), (0.028, 0.014, 0.009), lips)


def _add_clothes(item, rng):
    """Dress a body below a head at the origin."""
    color = hsv(rng, rng.random(), rng.uniform(0.1, 0.75),
                rng.uniform(0.2, 0.85))
    if rng.random() < 0.35:
        cloth = Material(texture=stripes(color, color * 0.5 + 0.4))
    else:
        cloth = Material(texture=weave(rng, color))
    wide = rng.uniform(0.19, 0.24)
    item.padding((-wide, -0.12, -1.3), (wide, 0.1, -0.18), cloth, soft=True)
    for side in (-1, 1):
        _oval(item, (side * (wide - 0.04), -0.01, -0.27),
              (0.075, 0.08, 0.09), cloth)
        _oval(item, (side * (wide + 0.02), -0.01, -0.55),
              (0.06, 0.07, 0.32), cloth)


def _add_hair(item, rng, style):
    """Cover a head at the origin with hair; ``style`` names the cut."""
    color = _hair_color(rng)
    hair = paint(color)
    count = 750
    outward = _directions(rng, 3 * count)
    # hair grows above the brow and behind the ears, not in the face
    grows = (((outward[:, 2] > 0.45) & (outward[:, 1] < 0.4))
             | (outward[:, 1] < np.minimum(0.1, 0.4 * outward[:, 2] + 0.1)))
    outward = outward[grows & (outward[:, 2] > -0.45)][:count]
    roots = outward * _HEAD * 1.02
    side = rng.choice([-1, 1])
    settings = dict(
        long=dict(length=rng.uniform(0.26, 0.42), gravity=1.6, curl=0.006),
        curly=dict(length=rng.uniform(0.18, 0.3), gravity=1.2, curl=0.02,
                   stray=0.3),
        fluffy=dict(length=rng.uniform(0.07, 0.13), gravity=0.1, curl=0.014,
                    stray=0.45),
        short=dict(length=rng.uniform(0.04, 0.07), gravity=0.5, stray=0.4),
        windy=dict(length=rng.uniform(0.2, 0.32), gravity=0.4, curl=0.008,
                   stray=0.25, wind=(side * rng.uniform(0.7, 1.4), -0.3, 0)),
        tail=dict(length=0.12, gravity=0.2, stray=0.1))[style]
    points = _strands(rng, roots, outward, **settings)
    if style == 'tail':
        # to a knot at the back of the head, then hanging to the side
        knot = np.array([side * 0.03, -0.12, 0.06])
        share = np.linspace(0, 1, points.shape[1])[:, None]
        points = roots[:, None] * (1 - share) + knot * share
        bunch = knot + 0.02 * rng.standard_normal((260, 3))
        outward = unit(np.array([side * 1.0, -0.5, 0.5])
                       + 0.3 * rng.standard_normal((260, 3)))
        tail = _strands(rng, bunch, outward, rng.uniform(0.25, 0.4), 1.2,
                        curl=0.012)
        add_mesh(item, tube_mesh(tail, _taper(7, 0.0016)), hair)
    points = _outside(points, np.zeros(3), _HEAD * 1.03)
    # a parting keeps the face free
    x, y, z = np.moveaxis(points, -1, 0)
    free = (y > 0.02) & (z < 0.05) & (np.abs(x) < 0.07)
    points[..., 0] = np.where(free, np.where(x < 0, -0.07, 0.07), x)
    # hair that falls lies on the shoulders
    points = _outside(points, np.array([0, -0.01, -0.32]),
                      np.array([0.25, 0.12, 0.15]))
    add_mesh(item, tube_mesh(points, _taper(points.shape[1], 0.0016)), hair)
    _oval(item, (0, -0.016, 0.022), _HEAD * (1.0, 0.93, 0.93), hair)


def _add_hat(item, rng):
    """Put a hat with a brim onto a head at the origin."""
    cloth = paint(hsv(rng, rng.random(), 0.5, 0.5))
    brim = rng.uniform(0.11, 0.2)
    item.turned((0, -0.01, 0.07), [
        (brim, 0.0), (0.088, 0.012), (0.085, 0.05), (0.07, 0.085),
        (1e-4, 0.095)], cloth)


def _add_veil(item, rng):
    """Hang sheer cloth over a head at the origin, open at the face."""
    color = linear(hsv(rng, rng.random(), rng.uniform(0.0, 0.45), 0.9))
    opening = rng.uniform(0.5, 0.9)
    around = np.linspace(opening, 2 * np.pi - opening, 33)
    down = np.linspace(0.0, 1, 17)
    drop = rng.uniform(0.25, 0.45)
    angle, share = np.meshgrid(around, down)
    polar = np.minimum(share * 2, 1) * np.pi / 2
    spread = np.sin(polar) * (1.25 + 0.9 * np.maximum(share - 0.5, 0))
    fold = 1 + 0.07 * np.maximum(share - 0.3, 0) * np.sin(
        angle * int(rng.integers(9, 15)))
    points = np.stack([
        0.105 * spread * fold * np.sin(angle),
        0.12 * spread * fold * np.cos(angle),
        0.135 * np.cos(polar) - drop * 2 * np.maximum(share - 0.5, 0)], -1)
    add_mesh(item, sheet_mesh(points),
             Sheer(color=color, opacity=rng.uniform(0.25, 0.65)))


def person(rng):
    """A person from the chest up, with hair, perhaps a hat or a veil.

    The head is at the origin.
    """
    item = Item('person', 'otherprop')
    skin = [hsv(rng, 0.06, 0.35, 0.9), hsv(rng, 0.06, 0.45, 0.75),
            hsv(rng, 0.06, 0.55, 0.5), hsv(rng, 0.055, 0.55, 0.34)][
                rng.integers(4)]
    _oval(item, (0, 0, 0), _HEAD, paint(skin))
    _oval(item, (0, 0.02, -0.06), (0.058, 0.066, 0.07), paint(skin))
    item.rod((0, -0.02, -0.25), (0, -0.01, -0.06), 0.048, paint(skin))
    _add_face(item, rng, skin)
    _add_clothes(item, rng)
    cover = rng.random()
    style = rng.choice(['long', 'curly', 'fluffy', 'short', 'windy', 'tail'])
    if cover < 0.15 and style == 'fluffy':
        style = 'long'
    _add_hair(item, rng, style)
    if cover < 0.15:
        _add_hat(item, rng)
    elif cover > 0.72:
        _add_veil(item, rng)
    wide = 0.2 if style in ('long', 'short', 'tail') else 0.23
    return Subject(item, np.array([-wide, -0.12, -rng.uniform(0.24, 0.36)]),
                   np.array([wide, 0.12, 0.17]))


def _add_fur(item, rng, center, size, material, count, length, low=-1.0):
    """Grow fur on an ellipsoid where the z of the normal exceeds ``low``."""
    outward = _directions(rng, count)
    outward = outward[outward[:, 2] > low]
    roots = np.asarray(center) + outward * size * 0.99
    normal = unit(outward / size)
    points = _strands(rng, roots, normal, length, 0.45, stray=0.35, steps=4)
    add_mesh(item, tube_mesh(points, _taper(4, 0.0016, 0.2)), material)


def toy(rng):
    """A furry animal with ears, eyes and a snout.

    The head is at the origin.
    """
    item = Item('toy', 'otherprop')
    tone = [hsv(rng, 0.08, 0.55, 0.5), hsv(rng, 0.1, 0.1, 0.85),
            hsv(rng, 0.07, 0.1, 0.3), hsv(rng, rng.random(), 0.6, 0.7)][
                rng.integers(4)]
    coat, pale = paint(tone), paint(tone * 0.5 + 0.42)
    dark = paint((0.04, 0.04, 0.04), kind='glossy')
    length = rng.uniform(0.02, 0.05)
    head = np.array([0.11, 0.1, 0.1]) * rng.uniform(0.9, 1.1, 3)
    body = np.array([rng.uniform(0.13, 0.18), 0.12, 0.42])
    for center, size, count, low in ((np.zeros(3), head, 1000, -1.0),
                                     ((0, -0.02, -0.5), body, 1000, 0.2)):
        _oval(item, center, size, coat)
        _add_fur(item, rng, center, size, coat, count, length, low)
    tall = rng.choice([0.045, 0.12])
    ear = np.array([0.04, 0.015, tall])
    for side in (-1, 1):
        center = np.array([side * head[0] * 0.65, -0.01, head[2] * 0.8
                           + 0.6 * tall])
        _oval(item, center, ear, coat)
        _oval(item, center + (0, 0.01, 0), ear * (0.65, 0.6, 0.7), pale)
        _add_fur(item, rng, center, ear, coat, 260, 0.6 * length)
        _oval(item, (side * 0.04, head[1] * 0.88, 0.03),
              (0.014, 0.014, 0.016), dark)
    _oval(item, (0, head[1], -0.025), (0.042, 0.035, 0.032), pale)
    _oval(item, (0, head[1] + 0.033, -0.012), (0.014, 0.01, 0.01), dark)
    top = head[2] * 0.8 + 1.6 * tall + 0.02
    return Subject(item, np.array([-0.17, -0.12, -rng.uniform(0.2, 0.3)]),
                   np.array([0.17, 0.12, top]))


def _pot(item, rng, z):
    """Put a pot below its rim at height ``z``."""
    color = paint(hsv(rng, rng.choice([0.05, 0.6, 0.1]), 0.4, 0.6))
    item.turned((0, 0, z), [(1e-4, -0.24), (0.08, -0.24), (0.11, 0),
                            (0.095, 0), (0.09, -0.02), (1e-4, -0.02)], color)


def foliage(rng):
    """A potted plant: arching fronds with narrow leaves, or grass.

    The leaves are around the origin.
    """
    item = Item('foliage', 'otherprop')
    base = np.array([0, 0, -0.22])
    _pot(item, rng, base[2])
    green = hsv(rng, rng.choice([0.3, 0.25, 0.36]), 0.6, 0.45)
    leaf = paint(green)
    grass = rng.random() < 0.4
    count = 130 if grass else 15
    yaw = rng.uniform(0, 2 * np.pi, count)
    lean = rng.uniform(0.15, 0.8, count)
    heading = np.stack([np.cos(yaw) * lean, np.sin(yaw) * lean,
                        np.ones(count)], -1)
    roots = base + (0.05, 0.05, 0.0) * rng.uniform(-1, 1, (count, 3))
    stems = _strands(rng, roots, unit(heading), rng.uniform(0.42, 0.55),
                     rng.uniform(0.15, 0.6), stray=0.05, steps=10)
    across = unit(np.cross(heading, (0, 0, 1)) + 1e-9)
    shape = np.sin(np.pi * np.linspace(0.12, 1, 10)) + 0.05
    if grass:
        add_mesh(item, blade_mesh(stems, across, 0.008 * shape), leaf)
    else:
        add_mesh(item, tube_mesh(stems, _taper(10, 0.0035), 5),
                 paint(green * (0.8, 0.7, 0.6)))
        # leaves in pairs along each frond
        wide, long = rng.uniform(0.012, 0.03), rng.uniform(0.06, 0.11)
        at = np.repeat(stems[:, 2:], 2, axis=1)
        along = np.repeat(unit(np.gradient(stems, axis=1))[:, 2:], 2, axis=1)
        sign = np.tile([-1, 1], at.shape[1] // 2)[:, None]
        away = unit(across[:, None] * sign + 0.5 * along
                    + 0.15 * rng.standard_normal(at.shape))
        at, away = at.reshape(-1, 1, 3), away.reshape(-1, 1, 3)
        share = np.linspace(0, 1, 6)[:, None]
        lines = at + long * (share * away - (0, 0, 0.35) * share**2)
        face = unit(np.cross(away[:, 0], (0, 0, 1)))
        add_mesh(item, blade_mesh(lines, face, wide * np.sin(
            np.pi * np.linspace(0.05, 1, 6))), leaf)
    if rng.random() < 0.45:
        bloom = paint(hsv(rng, rng.choice([0.0, 0.13, 0.8, 0.95]), 0.7, 0.8))
        for tip in stems[rng.permutation(count)[:7], -3]:
            _oval(item, tip, (0.016, 0.016, 0.012), bloom)
    # long leaves may extend beyond the picture
    reach = np.clip(np.quantile(np.abs(stems[..., 0]), 0.9), 0.13, 0.26)
    return Subject(item, np.array([-reach, -reach, -0.26]),
                   np.array([reach, reach, stems[..., 2].max() + 0.03]))


def dandelion(rng):
    """One to three seed heads of thin rays on stalks.

    The seed heads are around the origin.
    """
    item = Item('dandelion', 'otherprop')
    stalk = paint(hsv(rng, 0.28, 0.5, 0.5))
    pale = paint(hsv(rng, rng.choice([0.12, 0.55, 0.9]), 0.08, 0.88))
    heads = int(rng.integers(1, 4))
    places = np.stack([
        (np.arange(heads) - (heads - 1) / 2) * 0.2,
        rng.uniform(-0.06, 0.06, heads), rng.uniform(-0.04, 0.08, heads)],
        -1)
    for center in places:
        foot = center * (0.4, 0.4, 0) + (0, 0, -1.2)
        share = np.linspace(0, 1, 12)[:, None]
        line = center * (1 - share**2) + foot * share**2
        line[:, 2] = center[2] + (foot[2] - center[2]) * share[:, 0]
        add_mesh(item, tube_mesh(line[None], 0.006, 8), stalk)
        _oval(item, center, (0.016,) * 3, paint((0.3, 0.24, 0.12)))
        size = rng.uniform(0.1, 0.13)
        out = _directions(rng, 150)
        add_mesh(item, tube_mesh(
            np.stack([center + 0.014 * out, center + 0.75 * size * out], 1),
            0.0008), pale)
        tips = np.repeat(center + 0.75 * size * out, 8, axis=0)
        fan = unit(np.repeat(out, 8, axis=0)
                   + 0.75 * rng.standard_normal((1200, 3)))
        add_mesh(item, tube_mesh(np.stack([tips, tips + 0.3 * size * fan],
                                          1), 0.0008), pale)
    low, high = places.min(0) - 0.14, places.max(0) + 0.14
    return Subject(item, low - (0, 0, rng.uniform(0, 0.1)), high)


def duster(rng):
    """A bunch of feathers on a handle.

    The feathers are around the origin.
    """
    item = Item('duster', 'otherprop')
    add_rods(item, [[(0, 0, -1.3), (0, 0, -0.12)]], 0.014,
             paint(hsv(rng, 0.08, 0.5, 0.5)))
    hue = rng.random()
    for turn in (0.0, 0.08):
        plume = paint(hsv(rng, hue + turn, rng.uniform(0.2, 0.75),
                          rng.uniform(0.4, 0.85)))
        count = 13
        heading = unit(_directions(rng, count) * (1, 1, 0.5) + (0, 0, 0.75))
        roots = np.zeros((count, 3)) + (0, 0, -0.12)
        quills = _strands(rng, roots, heading, 0.3, 0.45, steps=16)
        add_mesh(item, tube_mesh(quills, 0.0018, 4), plume)
        # barbs leave the quill on both sides
        along = unit(np.gradient(quills, axis=1))[:, 3:]
        at = np.repeat(quills[:, 3:], 5, axis=1)
        shift = np.repeat(along, 5, axis=1) * 0.02
        at = at + shift * np.tile(np.arange(5) / 5, 13)[:, None]
        across = unit(np.cross(along, heading[:, None] + 0.3))
        across = np.repeat(across, 5, axis=1)
        for side in (-1, 1):
            way = unit(side * across + 0.7 * shift / 0.02
                       + 0.25 * rng.standard_normal(at.shape))
            barbs = np.stack([at, at + 0.028 * way, at + 0.05 * way
                              - (0, 0, 0.012)], 2).reshape(-1, 3, 3)
            add_mesh(item, tube_mesh(barbs, (0.0011, 0.0011, 0.0006)), plume)
    return Subject(item, np.array([-0.2, -0.2, -0.22]),
                   np.array([0.2, 0.2, 0.2]))


def balloons(rng):
    """Sheer balloons on strings.

    The balloons are around the origin.
    """
    item = Item('balloons', 'otherprop')
    count = int(rng.integers(1, 5))
    places = np.stack([
        (np.arange(count) - (count - 1) / 2) * 0.13,
        rng.uniform(-0.08, 0.08, count), rng.uniform(-0.1, 0.1, count)], -1)
    string = paint((0.75, 0.72, 0.65))
    for center in places:
        color = linear(hsv(rng, rng.random(), 0.75, 0.8))
        skin = Sheer(color=color, opacity=rng.uniform(0.25, 0.7))
        size = rng.uniform(0.085, 0.12)
        _oval(item, center, (size, size, 1.2 * size), skin)
        tail = center - (0, 0, 1.2 * size)
        item.turned(tail, [(0.012, -0.015), (1e-4, 0.005)],
                    paint(hsv(rng, 0.0, 0.3, 0.5)))
        foot = np.array([0, 0, -1.2])
        share = np.linspace(0, 1, 14)[:, None]
        line = tail * (1 - share) + foot * share
        line[:, 0] += 0.012 * np.sin(9 * share[:, 0])
        add_mesh(item, tube_mesh(line[None], 0.0016, 4), string)
    low, high = places.min(0) - 0.13, places.max(0) + 0.14
    return Subject(item, low - (0, 0, rng.uniform(0.05, 0.15)), high)


def umbrella(rng):
    """An open umbrella of sheer cloth, with ribs and a shaft.

    The canopy is around the origin.
    """
    item = Item('umbrella', 'otherprop')
    upright = Item('umbrella', 'otherprop')
    ribs, reach = 8, rng.uniform(0.24, 0.3)
    steel = Material('metal', (0.55, 0.55, 0.55), roughness=0.3)
    around = np.linspace(0, 2 * np.pi, 8 * ribs + 1)
    share = np.linspace(0.02, 1, 12)
    angle, out = np.meshgrid(around, share)
    # the cloth sags between the ribs
    sag = 1 - 0.1 * out * (1 - np.cos(ribs * angle)) / 2
    canopy = np.stack([reach * out * sag * np.cos(angle),
                       reach * out * sag * np.sin(angle),
                       0.1 - 0.19 * out**2 / sag], -1)
    color = linear(hsv(rng, rng.random(), rng.uniform(0.1, 0.7), 0.85))
    add_mesh(upright, sheet_mesh(canopy),
             Sheer(color=color, opacity=rng.uniform(0.35, 0.8)))
    lines = canopy[:, :-1:8].transpose(1, 0, 2)
    add_mesh(upright, tube_mesh(lines, 0.0022, 5), steel)
    hub = np.array([0, 0, -0.05])
    add_rods(upright, [[hub, line[6]] for line in lines], 0.0018, steel, 5)
    add_rods(upright, [[(0, 0, -1.0), (0, 0, 0.14)]], 0.007,
             paint(hsv(rng, 0.08, 0.4, 0.3)))
    tilt = np.eye(4)
    tilt[:3, :3] = pitch(rng.uniform(-35, 20))
    item.merge(upright, placement((0, 0, 0), rng.uniform(0, 45)) @ tilt)
    return Subject(item, np.array([-reach, -reach, -0.28]),
                   np.array([reach, reach, 0.18]))


#: The builders and the probability of each.
PORTRAITS = ((person, 0.54), (toy, 0.12), (foliage, 0.1), (dandelion, 0.06),
             (duster, 0.06), (balloons, 0.06), (umbrella, 0.06))
