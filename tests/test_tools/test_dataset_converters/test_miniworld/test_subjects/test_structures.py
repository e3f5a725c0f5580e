import numpy as np
import pytest
from miniworld.subjects.structures import STRUCTURES


@pytest.fixture(params=STRUCTURES, ids=lambda build: build.__name__)
def build(request):
    return request.param


def test_structures_stand_centred_on_the_floor_and_fit_a_room(build):
    for seed in range(4):
        for detail in (1, 2, 3, 4):
            low, high = build(np.random.default_rng(seed), detail).bounds()
            assert -0.02 < low[2] < 0.02
            assert 0.6 < high[2] < 2.6
            # a tree grows as it likes
            slack = 0.7 if build.__name__ == 'tree' else 0.2
            assert np.abs(low + high)[:2].max() < slack
            assert (high - low)[:2].max() < 2.2


def _parts(item):
    """Count what a part list would: boxes, and connected pieces of meshes.

    Union-find over vertices that share a triangle.
    """
    total = 0
    for part in item.primitives:
        if part.shape != 'mesh':
            total += 1
            continue
        parent = np.arange(len(part.mesh.vertices))
        changed = True
        while changed:
            low = parent[part.mesh.faces].min(axis=1)
            new = parent.copy()
            for corner in range(3):
                np.minimum.at(new, part.mesh.faces[:, corner], low)
            new = new[new]
            changed = not np.array_equal(new, parent)
            parent = new
        total += len(np.unique(parent))
    return total


def test_more_detail_means_more_parts(build):
    counts = [np.mean([_parts(build(np.random.default_rng(seed), detail))
                       for seed in range(3)]) for detail in (1, 2, 3, 4)]
    assert counts == sorted(counts)
    assert counts[3] > 1.4 * counts[0]


def test_equal_seeds_give_equal_structures(build):
    one, two, other = (build(np.random.default_rng(seed), 2)
                       for seed in (5, 5, 6))
    assert np.array_equal([p.to_world for p in one.primitives],
                          [p.to_world for p in two.primitives])
    for a, b in zip(one.primitives, two.primitives):
        assert a.material.color == b.material.color
        assert a.mesh is b.mesh or np.array_equal(a.mesh.vertices,
                                                  b.mesh.vertices)
    assert not np.allclose(one.bounds(), other.bounds())
