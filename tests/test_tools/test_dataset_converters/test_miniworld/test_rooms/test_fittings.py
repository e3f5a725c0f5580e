import numpy as np
import pytest
from miniworld.rooms import fittings
from miniworld.rooms.materials import make_style
from miniworld.rooms.primitives import (
    NYU40_IDS,
    RUG_THICKNESS,
    WALL_THICKNESS,
)


@pytest.fixture(params=range(6))
def rng(request):
    return np.random.default_rng(request.param)


@pytest.mark.parametrize('name, label', [
    ('picture', 'picture'), ('whiteboard', 'whiteboard'), ('door', 'door')])
def test_fittings_are_flat_on_the_wall(rng, name, label):
    item = getattr(fittings, name)(rng, make_style(rng, False))
    low, high = item.bounds()
    assert 0 <= low[1] < high[1] < 0.1
    assert 0 <= low[2] < high[2] < 2.5
    assert (low[2] == 0) == (name == 'door')
    assert {p.semantic for p in item.primitives} == {NYU40_IDS[label]}


@pytest.mark.parametrize('glazed', [False, True])
def test_window_fills_its_opening_and_shows_the_outside(rng, glazed):
    item = fittings.window(rng, 0.9, 0.8, 2.1, glazed, 2.0, False)
    *solid, view = item.primitives
    assert {p.semantic for p in solid} == {NYU40_IDS['window']}
    assert view.semantic == (NYU40_IDS['window'] if glazed else -1)
    assert view.material.emission == (2.0, 2.0, 2.0)
    low, high = view.bounds()
    # seen from aside, an open window shows more than its opening
    assert (low[1] < -WALL_THICKNESS) == (not glazed)
    assert (high[0] > 0.9) == (not glazed)
    assert all(p.material.emission is None for p in solid)


def test_curtains_and_blinds_leave_part_of_the_window_free(rng):
    style = make_style(rng, False)
    left, right, rod = fittings.curtains(rng, style, 0.9, 0.8,
                                         2.1).primitives
    assert left.bounds()[1][0] < -0.7 and right.bounds()[0][0] > 0.7
    assert len({p.instance for p in (left, right, rod)}) == 3
    low, high = fittings.blinds(rng, 0.9, 0.8, 2.1).bounds()
    assert 0.8 < low[2] < 1.8 and high[2] > 2.1
    assert low[1] > 0, 'in front of the wall'


def test_rugs_are_as_thin_as_furniture_on_them_expects(rng):
    low, high = fittings.rug(rng, 2.0, 1.3).bounds()
    assert np.allclose(low, (-1, 0, 0))
    assert np.allclose(high[:2], (1, 1.3)) and high[2] < RUG_THICKNESS


@pytest.mark.parametrize('pendant', [False, True])
def test_ceiling_lights_hang_and_shine_down(rng, pendant):
    item = fittings.ceiling_light(rng, 2.6, 2.0, pendant)
    low, high = item.bounds()
    assert np.isclose(high[2], 2.6)
    assert low[2] == 1.6 if pendant else 2.3 < low[2] < 2.6
    glowing = [p for p in item.primitives if p.material.emission]
    assert len(glowing) == (2 if pendant else 1)
    for part in glowing:
        if part.shape == 'rectangle':
            assert np.array_equal(part.to_world[:3, 2], (0, 0, -1))
