import inspect

import numpy as np
import pytest
from miniworld.rooms import furniture
from miniworld.rooms.materials import make_style
from miniworld.rooms.primitives import NYU40_IDS

BUILDERS = [function for name, function in vars(furniture).items()
            if inspect.isfunction(function) and not name.startswith('_')
            and function.__module__ == furniture.__name__]
HANGING = ('wall_shelves', 'wall_mirror')


def _build(build, seed):
    rng = np.random.default_rng(seed)
    return build(rng, make_style(rng, evening=seed % 2 == 0))


@pytest.fixture(params=BUILDERS, ids=lambda build: build.__name__)
def build(request):
    return request.param


def test_pieces_stand_at_the_wall_and_fit_into_a_room(build):
    for seed in range(8):
        low, high = _build(build, seed).bounds()
        name = build.__name__
        if name == 'dining_set':
            assert np.allclose(low[:2], -high[:2], atol=0.2), 'centred'
        else:
            assert -1e-6 <= low[1] < 0.2, 'the back is at the wall'
        if name in HANGING:
            assert 0.9 < low[2] < 1.5
        else:
            assert 0 <= low[2] < 0.02
        assert (high - low < (3.0, 3.0, 2.4)).all()
        assert (high - low > 0.02).all()


def test_pieces_have_one_label_per_object(build):
    for seed in range(8):
        item = _build(build, seed)
        labels = {}
        for part in item.primitives:
            assert part.semantic in NYU40_IDS.values()
            labels.setdefault(part.instance, set()).add(part.semantic)
        assert all(len(found) == 1 for found in labels.values())


def test_equal_seeds_give_equal_pieces(build):
    one, two = _build(build, 3).primitives, _build(build, 3).primitives
    assert np.array_equal([p.to_world for p in one],
                          [p.to_world for p in two])
    assert [p.material.color for p in one] == [p.material.color for p in two]


def test_armchairs_have_one_seat():
    widths = [np.ptp(_build(furniture.armchair, seed).bounds(), axis=0)[0]
              for seed in range(4)]
    assert np.allclose(widths, 0.96)
    assert np.ptp(_build(furniture.sofa, 0).bounds(), axis=0)[0] > 1.5


def test_screens_face_into_the_room():
    for build in (furniture.television, furniture.desk):
        panels = [p for p in _build(build, 0).primitives
                  if p.shape == 'rectangle']
        assert [p.to_world[:3, 2].tolist() for p in panels] == [[0, 1, 0]]
