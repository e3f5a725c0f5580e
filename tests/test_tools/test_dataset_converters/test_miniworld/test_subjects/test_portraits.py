import numpy as np
import pytest
from miniworld.subjects.parts import Sheer
from miniworld.subjects.portraits import PORTRAITS, person

BUILDERS = [builder for builder, _ in PORTRAITS]


@pytest.fixture(params=BUILDERS, ids=lambda build: build.__name__)
def build(request):
    return request.param


def _points(subject):
    """Return all vertices of a subject's meshes."""
    return np.concatenate([
        p.mesh.vertices @ p.to_world[:3, :3].T + p.to_world[:3, 3]
        for p in subject.item.primitives if p.mesh is not None])


def test_weights_are_shares():
    assert np.isclose(sum(weight for _, weight in PORTRAITS), 1)


def test_framed_part_is_filled_and_goes_on_below(build):
    for seed in range(4):
        subject = build(np.random.default_rng(seed))
        points = _points(subject)
        assert np.isfinite(points).all()
        size = subject.high - subject.low
        assert (size > 0.2).all() and (size < 0.8).all()
        inside = ((points > subject.low) & (points < subject.high)).all(1)
        assert inside.mean() > 0.3
        # its middle, not one corner: the picture is aimed at it
        middle = points[inside].mean(axis=0)
        share = (middle - subject.low) / size
        assert (share > 0.2).all() and (share < 0.85).all()
        if build.__name__ != 'foliage':
            assert points[:, 2].min() < subject.low[2] - 0.3


def test_subjects_have_parts_thinner_than_a_pixel(build):
    """Some triangle edges are below 3 mm, half a pixel at arm's length."""
    subject = build(np.random.default_rng(1))
    shortest = min(
        np.linalg.norm(np.diff(p.mesh.vertices[p.mesh.faces[:, :2]],
                               axis=1)[:, 0], axis=1).min()
        for p in subject.item.primitives if p.mesh is not None)
    assert shortest < 0.003


def test_equal_seeds_give_equal_subjects_and_others_differ(build):
    one, two, other = (_points(build(np.random.default_rng(seed)))
                       for seed in (3, 3, 4))
    assert np.array_equal(one, two)
    assert one.shape != other.shape or not np.allclose(one, other)


def test_sheer_subjects_let_some_light_through():
    found = {}
    for build in BUILDERS:
        for seed in range(16):
            subject = build(np.random.default_rng(seed))
            for part in subject.item.primitives:
                if isinstance(part.material, Sheer):
                    assert 0.2 < part.material.opacity < 0.85
                    found[build.__name__] = found.get(build.__name__, 0) + 1
    assert set(found) == {'balloons', 'umbrella', 'person'}
    # veils are the exception
    assert 1 <= found['person'] < 12


def test_hair_stays_out_of_the_head_and_the_face():
    for seed in range(8):
        subject = person(np.random.default_rng(seed))
        strands = max(subject.item.primitives, key=lambda p: len(
            p.mesh.vertices)).mesh.vertices
        half = np.array([0.078, 0.095, 0.115])
        assert (np.linalg.norm(strands / half, axis=1) > 0.94).all()
        face = ((np.abs(strands[:, 0]) < 0.06) & (strands[:, 1] > 0.05)
                & (strands[:, 2] < 0.03) & (strands[:, 2] > -0.1))
        assert face.mean() < 0.01
