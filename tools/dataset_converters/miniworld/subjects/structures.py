"""Subjects with thin parts for dichotomous segmentation.

Every public builder takes a ``np.random.Generator`` and a level of detail
from 1 to 4, which sets the number of bars, rungs, spokes or branches. It
returns an item in metres that stands on the floor, centred at the origin.
Wires are thicker than real ones, so that small pictures show them.
"""
import numpy as np

from .parts import (
    add_mesh,
    add_ring,
    add_rods,
    blade_mesh,
    circle,
    tube_mesh,
)
from ..rooms.materials import grain, hsv, paint
from ..rooms.meshes import cylinder_profile, unit
from ..rooms.primitives import Item, Material


def _wood(rng):
    tone = [hsv(rng, 0.09, 0.5, 0.75), hsv(rng, 0.06, 0.6, 0.4),
            hsv(rng, 0.1, 0.1, 0.9)][rng.integers(3)]
    return Material('glossy', texture=grain(rng, tone), roughness=0.35)


def _lacquer(rng):
    """A saturated, black or white coat of paint."""
    choice = rng.random()
    if choice < 0.6:
        color = hsv(rng, rng.random(), 0.8, 0.7)
    else:
        color = np.full(3, 0.06 if choice < 0.82 else 0.9)
    return paint(color, kind='glossy')


def _arc(start, end, height, steps=9):
    """Bend a line between two points upwards; (steps, 3)."""
    share = np.linspace(0, 1, steps)[:, None]
    line = np.asarray(start) * (1 - share) + np.asarray(end) * share
    line[:, 2] += height * 4 * share[:, 0] * (1 - share[:, 0])
    return line


def chair(rng, detail):
    """A chair with a slatted back and, with much detail, a slatted seat.

    Its front is +y.
    """
    item = Item('chair', 'chair')
    wood = _wood(rng) if rng.random() < 0.6 else _lacquer(rng)
    half, seat, top = 0.22, 0.45, rng.uniform(0.9, 1.1)
    thick = rng.uniform(0.025, 0.035)
    for x in (-half, half - thick):
        item.box((x, half - thick, 0), (x + thick, half, seat), wood)
        item.box((x, -half, 0), (x + thick, -half + thick, top), wood)
        for z in np.linspace(0.12, 0.3, 1 + detail // 2):
            item.box((x + 0.006, -half, z), (x + thick - 0.006, half,
                                             z + 0.018), wood)
    if detail < 3:
        item.box((-half, -half, seat), (half, half, seat + 0.025), wood)
    else:
        for x in np.linspace(-half, half - 0.025, 2 * detail + 1):
            item.box((x, -half, seat), (x + 0.025, half, seat + 0.02), wood)
    item.box((-half, -half, top - 0.06), (half, -half + 0.022, top), wood)
    item.box((-half, -half, seat + 0.1), (half, -half + 0.022, seat + 0.13),
             wood)
    count = 2 * detail + 1
    for x in np.linspace(-half, half, count + 2)[1:-1]:
        item.box((x - 0.008, -half + 0.004, seat + 0.13),
                 (x + 0.008, -half + 0.018, top - 0.06), wood)
    if rng.random() < 0.4:
        for x in (-half, half - thick):
            item.box((x, half - 0.05, seat), (x + thick, half - 0.02,
                                              seat + 0.2), wood)
            item.box((x, -half, seat + 0.2), (x + thick, half, seat + 0.225),
                     wood)
    return item


def ladder(rng, detail):
    """A step ladder with stays.

    Its rungs run along x.
    """
    item = Item('ladder', 'otherprop')
    coat = _wood(rng) if rng.random() < 0.5 else _lacquer(rng)
    top, wide = rng.uniform(1.1, 1.6), rng.uniform(0.2, 0.26)
    deep, rungs = rng.uniform(0.3, 0.42), 2 + 2 * detail
    for front in (1, -1):
        rails = [[(side * wide, front * deep, 0),
                  (side * wide * 0.65, 0.0, top)] for side in (-1, 1)]
        add_rods(item, rails, 0.017, coat, 6)
        share = np.linspace(0, 1, rungs + 2)[1:-1]
        if front < 0 and detail < 3:
            share = share[[0, -1]]
        lines = [[np.array(a) + s * (np.array(b) - a) for a, b in rails]
                 for s in share]
        add_rods(item, lines, 0.013, coat, 6)
    stays = [[(side * wide * 0.85, deep * 0.55, top * 0.45),
              (side * wide * 0.85, -deep * 0.55, top * 0.45)]
             for side in (-1, 1)]
    add_rods(item, stays, 0.0096, paint((0.3, 0.3, 0.32)))
    item.box((-wide * 0.75, -0.06, top - 0.02), (wide * 0.75, 0.06, top),
             coat)
    return item


def fence(rng, detail):
    """A garden fence: pickets, or a lattice in a frame.

    It runs along x.
    """
    item = Item('fence', 'otherprop')
    coat = _wood(rng) if rng.random() < 0.6 else _lacquer(rng)
    half, top = rng.uniform(0.5, 0.75), rng.uniform(0.8, 1.15)
    for x in (-half, half):
        item.box((x - 0.03, -0.03, 0), (x + 0.03, 0.03, top), coat)
        item.box((x - 0.03, -0.22, 0), (x + 0.03, 0.22, 0.03), coat)
    for z in (0.16, top - 0.16):
        item.box((-half, -0.015, z), (half, 0.015, z + 0.05), coat)
    if rng.random() < 0.5:
        count = 4 + 3 * detail
        thick = 0.2 * half / count
        for x in np.linspace(-half, half, count + 2)[1:-1]:
            item.box((x - thick, 0.015, 0.06), (x + thick, 0.03, top), coat)
        return item
    low, high = 0.2, top - 0.15
    for sign in (-1, 1):
        lines = []
        for start in np.linspace(-half - (high - low), half,
                                 4 + 3 * detail)[1:-1]:
            # diagonals, cut at the posts
            share = (np.clip([start, start + high - low], -half, half)
                     - start)
            lines.append([(sign * (start + s), 0.006 * sign, low + s)
                          for s in share])
        add_rods(item, lines, 0.0144, coat, 4)
    return item


def shelf(rng, detail):
    """A shelf of wires.

    Its back is -y.
    """
    item = Item('shelf', 'shelves')
    coat = _lacquer(rng)
    half, deep = rng.uniform(0.32, 0.45), rng.uniform(0.16, 0.22)
    top, levels = rng.uniform(1.0, 1.5), 2 + (detail + 1) // 2
    posts = [[(x, y, 0), (x, y, top)] for x in (-half, half)
             for y in (-deep, deep)]
    add_rods(item, posts, 0.013, coat)
    for z in np.linspace(0.12, top - 0.04, levels):
        edges = [[(-half, y, z), (half, y, z)] for y in (-deep, deep)]
        edges += [[(x, -deep, z), (x, deep, z)] for x in (-half, half)]
        add_rods(item, edges, 0.0144, coat)
        wires = [[(x, -deep, z), (x, deep, z)] for x in np.linspace(
            -half, half, 5 * detail)[1:-1]]
        add_rods(item, wires, 0.0064, coat, 5)
        for _ in range(int(rng.integers(0, 3))):
            x, wide = rng.uniform(-half + 0.1, half - 0.1), 0.06
            color = paint(hsv(rng, rng.random(), 0.6, 0.6))
            item.turned((x, 0, z + 0.009), [
                (1e-4, 0), (wide, 0), (wide * 1.1, rng.uniform(0.08, 0.2)),
                (1e-4, 0.08)], color)
    cross = [[(-half, -deep, 0.12), (half, -deep, top - 0.04)],
             [(half, -deep, 0.12), (-half, -deep, top - 0.04)]]
    add_rods(item, cross, 0.0096, coat)
    return item


def bicycle(rng, detail):
    """A bicycle, with much detail also mudguards and a basket.

    It runs along x.
    """
    item = Item('bicycle', 'otherprop')
    coat = _lacquer(rng)
    dark = paint((0.06, 0.06, 0.06))
    steel = Material('metal', (0.6, 0.6, 0.6), roughness=0.3)
    radius, base = rng.uniform(0.28, 0.35), rng.uniform(0.46, 0.56)
    back, front = np.array([-base, 0, radius]), np.array([base, 0, radius])
    for hub in (back, front):
        add_ring(item, hub, radius - 0.015, 0.017, dark, (0, 1, 0))
        add_ring(item, hub, radius - 0.04, 0.0112, steel, (0, 1, 0))
        count = 4 + 5 * detail
        rim = circle(hub, radius - 0.04, (0, 1, 0), count + 1)[:-1]
        start = np.where(np.arange(count)[:, None] % 2, -0.03, 0.03) * (
            0, 1, 0) + hub
        add_rods(item, np.stack([start, rim], 1), 0.0045, steel, 4)
        add_rods(item, [[hub - (0, 0.05, 0), hub + (0, 0.05, 0)]], 0.018,
                 steel)
        if detail >= 3:
            arch = circle(hub, radius + 0.025, (0, 1, 0), 41)
            arch = arch[arch[:, 2] > radius * 1.25]
            arch = arch[np.argsort(arch[:, 0])]
            add_mesh(item, blade_mesh(arch[None], np.array([[0, 1, 0]]),
                                      0.05), coat)
    crank, saddle = np.array([-0.06, 0, 0.3]), np.array([-0.2, 0, 0.82])
    head, neck = np.array([0.34, 0, 0.78]), np.array([0.37, 0, 0.66])
    add_rods(item, [[crank, saddle], [crank, neck], [saddle * 0.9 + (
        0, 0, 0.07), head]], 0.017, coat)
    add_rods(item, [[p + (0, y, 0), back + (0, 2 * y, 0)] for p in (
        crank, saddle * 0.93 + (0, 0, 0.04)) for y in (-0.02, 0.02)], 0.016,
        coat)
    add_rods(item, [[neck + (0, y, 0), front + (0, y, 0)] for y in (
        -0.035, 0.035)], 0.012, coat)
    bar = head + (0.03, 0, 0.14)
    add_rods(item, [[neck, bar]], 0.015, coat)
    add_rods(item, [[saddle, saddle + (-0.02, 0, 0.08)]], 0.013, steel)
    sweep = np.array([(-0.16, -0.27, 0.04), (-0.02, -0.16, 0.05), (0, 0, 0),
                      (-0.02, 0.16, 0.05), (-0.16, 0.27, 0.04)])
    add_mesh(item, tube_mesh((bar + sweep)[None], 0.0176, 8), dark)
    item.padding(saddle + (-0.13, -0.07, 0.07), saddle + (0.13, 0.07, 0.13),
                 dark, soft=True)
    add_ring(item, crank + (0, 0.04, 0), 0.085, 0.0096, steel, (0, 1, 0))
    turn = rng.uniform(0, np.pi)
    arm = 0.16 * np.array([np.cos(turn), 0, np.sin(turn)])
    for sign in (-1, 1):
        end = crank + sign * arm + (0, 0.06 * sign, 0)
        add_rods(item, [[crank + (0, 0.06 * sign, 0), end]], 0.0144, steel)
        item.box(end - (0.04, 0.03 * (sign < 0) * 3, 0.01),
                 end + (0.04, 0.03 * (sign > 0) * 3, 0.01), dark)
    if detail >= 3:
        corner = bar + (0.03, 0, -0.2)
        levels = np.linspace(0, 0.2, detail)
        for z in levels:
            out = 0.1 + 0.2 * z
            loop = corner + np.array([
                (0, -out, z), (0.2, -out, z), (0.2, out, z), (0, out, z),
                (0, -out, z)])
            add_rods(item, np.stack([loop[:-1], loop[1:]], 1), 0.008, steel)
        stakes = [[corner + (x, s * 0.1, 0), corner + (x, s * 0.14, 0.2)]
                  for x in np.linspace(0, 0.2, 2 * detail) for s in (-1, 1)]
        add_rods(item, stakes, 0.0064, steel, 4)
    return item


def lamp(rng, detail):
    """A floor lamp on a tripod with a cage of wires for a shade.

    It is round.
    """
    item = Item('lamp', 'lamp')
    coat = _lacquer(rng)
    top, out = rng.uniform(1.0, 1.4), rng.uniform(0.22, 0.3)
    knee = top * rng.uniform(0.5, 0.9)
    angle = np.arange(3) * 2 * np.pi / 3 + rng.uniform(0, 2)
    feet = np.stack([out * np.cos(angle), out * np.sin(angle),
                     np.zeros(3)], -1)
    add_rods(item, [[foot, (0, 0, knee)] for foot in feet], 0.0176, coat)
    add_rods(item, [[(0, 0, knee - 0.05), (0, 0, top)]], 0.0176, coat)
    low, wide = top - 0.02, rng.uniform(0.17, 0.24)
    tall = rng.uniform(0.26, 0.36)
    bulge = rng.uniform(0.3, 0.9)
    share = np.linspace(0, 1, 13)
    profile = wide * (bulge * np.sin(np.pi * (0.1 + 0.8 * share))
                      + (1 - bulge) * (1 - 0.5 * share))
    count = 5 + 4 * detail
    turn = np.arange(count) * 2 * np.pi / count
    wires = np.stack([profile * np.cos(turn)[:, None],
                      profile * np.sin(turn)[:, None],
                      np.broadcast_to(low + tall * share, (count, 13))], -1)
    add_mesh(item, tube_mesh(wires, 0.0072, 5), coat)
    for step in np.linspace(0, 12, 2 + detail).astype(int):
        add_ring(item, (0, 0, low + tall * share[step]), profile[step],
                 0.008, coat)
    add_rods(item, [[(0, 0, low + tall), wire[-1]] for wire in wires], 0.0064,
             coat, 4)
    glow = None
    if rng.random() < 0.5:
        glow = (6.0, 5.0, 3.5)
    item.ball((0, 0, top + 0.07), 0.05,
              Material(color=(0.85, 0.83, 0.75), emission=glow))
    return item


def tree(rng, detail):
    """A bare tree in a pot; with much detail the twigs have leaves.

    Its trunk is upright.
    """
    item = Item('tree', 'otherprop')
    item.turned((0, 0, 0), [(1e-4, 0), (0.12, 0), (0.17, 0.26), (0.15, 0.26),
                            (0.14, 0.23), (1e-4, 0.23)], _lacquer(rng))
    bark = paint(hsv(rng, 0.07, 0.45, 0.35))
    starts = np.array([[0, 0, 0.22]])
    ways = np.array([[0, 0, 1.0]])
    length, radius = rng.uniform(0.38, 0.5), 0.022
    for level in range(2 + detail):
        ends = starts + length * ways * rng.uniform(0.8, 1.15,
                                                    (len(ways), 1))
        bend = (starts + ends) / 2 + 0.06 * length * rng.standard_normal(
            starts.shape)
        add_mesh(item, tube_mesh(np.stack([starts, bend, ends], 1),
                                 radius * np.array([1, 0.85, 0.7]), 6), bark)
        fork = 3 if level < 2 else 2
        starts = np.repeat(ends, fork, axis=0)
        ways = unit(np.repeat(ways, fork, axis=0) + (0, 0, 0.12)
                    + 0.55 * rng.standard_normal((len(starts), 3)))
        length *= 0.68
        radius *= 0.66
    if detail >= 3 and rng.random() < 0.6:
        leaf = paint(hsv(rng, rng.choice([0.3, 0.22, 0.08]), 0.65, 0.5))
        share = np.linspace(0, 1, 4)[:, None]
        lines = starts[:, None] + 0.05 * share * ways[:, None]
        face = unit(np.cross(ways, rng.standard_normal(ways.shape)))
        add_mesh(item, blade_mesh(lines, face, 0.03 * np.sin(
            np.pi * np.linspace(0.1, 1, 4))), leaf)
    return item


def cage(rng, detail):
    """A bird cage on a stand.

    It is round.
    """
    item = Item('cage', 'otherprop')
    coat = _lacquer(rng)
    wide, low = rng.uniform(0.2, 0.27), rng.uniform(0.3, 0.6)
    wall, dome = rng.uniform(0.25, 0.4), rng.uniform(0.15, 0.25)
    count = 5 + 5 * detail
    turn = np.arange(count) * 2 * np.pi / count
    bow = np.linspace(0, np.pi / 2, 9)
    out = np.concatenate([[wide], wide * np.cos(bow)])
    high = np.concatenate([[low], low + wall + dome * np.sin(bow)])
    wires = np.stack([out * np.cos(turn)[:, None],
                      out * np.sin(turn)[:, None],
                      np.broadcast_to(high, (count, 10))], -1)
    add_mesh(item, tube_mesh(wires, 0.0072, 5), coat)
    for z in np.linspace(low, low + wall, 2 + detail // 2):
        add_ring(item, (0, 0, z), wide, 0.0096, coat)
    item.turned((0, 0, low - 0.03), cylinder_profile(wide, 0, 0.03), coat)
    add_ring(item, (0, 0, low + wall + dome + 0.03), 0.03, 0.008, coat,
             (0, 1, 0))
    add_rods(item, [[(0, 0, 0), (0, 0, low)]], 0.014, coat)
    item.turned((0, 0, 0), cylinder_profile(0.17, 0, 0.02), coat)
    perch = low + 0.4 * wall
    add_rods(item, [[(-wide, 0, perch), (wide, 0, perch)]], 0.007,
             _wood(rng))
    if rng.random() < 0.6:
        bird = paint(hsv(rng, rng.random(), 0.8, 0.8))
        item.ball((0.05, 0, perch + 0.05), 0.04, bird)
        item.ball((0.085, 0, perch + 0.1), 0.025, bird)
    return item


def rack(rng, detail):
    """A drying rack, with cloths on some of its rods.

    Its rods run along x.
    """
    item = Item('rack', 'otherprop')
    coat = _wood(rng) if rng.random() < 0.4 else _lacquer(rng)
    half, top = rng.uniform(0.35, 0.5), rng.uniform(0.75, 1.0)
    deep = rng.uniform(0.25, 0.32)
    for x in (-half, half):
        add_rods(item, [[(x, -deep, 0), (x, deep, top)],
                        [(x, deep, 0), (x, -deep, top)]], 0.013, coat)
    rods = 2 + detail
    for slope in (-1, 1):
        for z in np.linspace(0.15, top, rods):
            y = slope * deep * (2 * z / top - 1)
            add_rods(item, [[(-half, y, z), (half, y, z)]], 0.0112, coat)
            if rng.random() < 0.25 and z > 0.4:
                left = rng.uniform(-half, 0)
                cloth = paint(hsv(rng, rng.random(), 0.5, 0.7))
                item.box((left, y - 0.012, z - rng.uniform(0.12, 0.3)),
                         (left + rng.uniform(0.15, half), y + 0.012,
                          z + 0.009), cloth)
    lines = [[(-half, y, top), (half, y, top)] for y in np.linspace(
        -deep, deep, 2 * detail + 2)[1:-1]]
    add_rods(item, lines, 0.0096, coat)
    return item


def fan(rng, detail):
    """A fan on a stand behind a round grille.

    It blows towards +y.
    """
    item = Item('fan', 'otherprop')
    coat, other = _lacquer(rng), _lacquer(rng)
    high, radius = rng.uniform(0.75, 1.05), rng.uniform(0.22, 0.28)
    item.turned((0, -0.02, 0), [(1e-4, 0), (0.2, 0), (0.18, 0.03),
                                (0.02, 0.06), (1e-4, 0.06)], coat)
    add_rods(item, [[(0, -0.02, 0.03), (0, -0.02, high)]], 0.014, coat)
    hub = np.array([0, 0.04, high])
    add_rods(item, [[hub - (0, 0.16, 0), hub - (0, 0.03, 0)]], 0.055, coat)
    for blade in range(int(rng.integers(3, 6))):
        angle = blade * 2 * np.pi / 4 + rng.uniform(0, 0.3)
        turn = np.array([np.cos(angle), 0, np.sin(angle)])
        aside = np.array([-turn[2], 0.35, turn[0]])
        line = hub + np.linspace(0.03, radius * 0.85, 6)[:, None] * turn
        add_mesh(item, blade_mesh(line[None], aside[None], radius
                                  * np.linspace(0.2, 0.45, 6)), other)
    count = 8 + 7 * detail
    turn = np.arange(count) * 2 * np.pi / count
    share = np.linspace(0.12, 1, 7)
    for sign in (-1, 1):
        wires = hub + np.stack([
            radius * share * np.cos(turn)[:, None],
            np.broadcast_to(sign * 0.05 * (1 - share**3), (count, 7)),
            radius * share * np.sin(turn)[:, None]], -1)
        add_mesh(item, tube_mesh(wires, 0.0048, 4), coat)
    for ring in np.linspace(0.3, 1, 1 + detail):
        add_ring(item, hub + (0, 0.05 * (1 - ring**3), 0), radius * ring,
                 0.0064 if ring < 1 else 0.0144, coat, (0, 1, 0))
    item.ball(hub + (0, 0.045, 0), 0.035, coat)
    return item


def wagon(rng, detail):
    """A tea trolley of tubes and slats on spoked wheels.

    It runs along x.
    """
    item = Item('wagon', 'otherprop')
    coat, wood = _lacquer(rng), _wood(rng)
    half, deep, top = rng.uniform(0.3, 0.4), 0.2, rng.uniform(0.6, 0.75)
    for y in (-deep, deep):
        for x in (-half, half):
            add_rods(item, [[(x, y, 0.1), (x, y, top)]], 0.0176, coat)
            hub = np.array([x, y, 0.09])
            add_ring(item, hub, 0.08, 0.0144, paint((0.07,) * 3), (0, 1, 0))
            rim = circle(hub, 0.08, (0, 1, 0), 4 + 2 * detail)[:-1]
            add_rods(item, [[hub, point] for point in rim], 0.0064, coat, 4)
        add_mesh(item, tube_mesh(np.stack([_arc(
            (-half, y, top), (half, y, top), 0.12)]), 0.0176, 8), coat)
    for z in np.linspace(0.22, top, 1 + (detail + 1) // 2):
        for y in np.linspace(-deep, deep - 0.03, 2 + detail):
            item.box((-half, y, z - 0.012), (half, y + 0.03, z), wood)
        add_rods(item, [[(x, -deep, z), (x, deep, z)] for x in (
            -half, half)], 0.0128, coat)
    return item


#: The builders, in the order of their numbers in file names, from 1.
STRUCTURES = (chair, ladder, fence, shelf, bicycle, lamp, tree, cage, rack,
              fan, wagon)
