import math

import numpy as np
import pytest
import torch

from genpercept_mm.models.losses import VirtualNormalLoss

SIZE = (20, 24)


def camera(focal=30., centre=(11.5, 9.5)):
    return np.array([[focal, 0, centre[0]], [0, focal, centre[1]],
                     [0, 0, 1]])


def plane_depth(normal, distance, matrix):
    """Planar depth of the plane normal * point = distance."""
    depth = np.empty((1, 1, *SIZE))
    for y, x in np.ndindex(SIZE):
        ray = np.array([(x - matrix[0, 2]) / matrix[0, 0],
                        (y - matrix[1, 2]) / matrix[0, 0], 1])
        depth[0, 0, y, x] = distance / (normal @ ray)
    assert depth.min() > 0
    return torch.from_numpy(depth)


def normal_of(tilt, axis):
    normal = np.zeros(3)
    normal[axis], normal[2] = math.sin(tilt), math.cos(tilt)
    return normal


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('tilt', [0.2, 0.5])
def test_planes_have_one_normal_whatever_is_sampled(axis, tilt):
    matrix = camera()
    target_normal = normal_of(-0.3, 1 - axis)
    pred_normal = normal_of(tilt, axis)
    target = plane_depth(target_normal, 2., matrix)
    pred = plane_depth(pred_normal, 1.3, matrix)
    expected = np.abs(pred_normal - target_normal).sum()
    intrinsic = torch.from_numpy(matrix)[None]
    for offset in (0., 2.):
        loss = VirtualNormalLoss(offset=offset)
        for seed in range(3):
            torch.manual_seed(seed)
            value = loss(pred - offset, target - offset, intrinsic=intrinsic)
            assert value.item() == pytest.approx(expected, abs=1e-6)
    # a parallel plane has the same normals
    assert loss(plane_depth(target_normal, 5., matrix) - 2, target - 2,
                intrinsic=intrinsic) < 1e-6


def test_relative_focal_length_is_in_widths():
    matrix = camera(focal=1.25 * SIZE[1])
    target = plane_depth(normal_of(0.3, 0), 2., matrix) - 2
    pred = plane_depth(normal_of(0.1, 1), 2., matrix) - 2
    values = []
    for kwargs in (dict(), dict(intrinsic=torch.from_numpy(matrix)[None])):
        torch.manual_seed(0)
        values.append(VirtualNormalLoss(1.25)(pred, target, **kwargs).item())
    assert values[0] == pytest.approx(values[1])
    torch.manual_seed(0)
    assert abs(VirtualNormalLoss(0.5)(pred, target).item() - values[0]) > 0.01


def test_equals_loops_over_the_triples():
    rng = np.random.default_rng(0)
    # flat: some triples are close together along each axis
    target = 0.01 * rng.normal(size=(2, 1, *SIZE))
    target[0, 0, :4] = -2.1  # behind the camera
    pred = target + 0.1 * rng.normal(size=target.shape)
    mask = rng.random(target.shape) < 0.6
    mask[1, 0, 3:] = False  # fewer pixels than triples
    matrices = np.stack([camera(400.), camera(900., (3., 15.))])
    number = int(0.4 * SIZE[0] * SIZE[1])
    torch.manual_seed(5)
    triples = [VirtualNormalLoss.sample_triples(
        torch.from_numpy(part.ravel()), number).numpy() for part in mask]
    assert len(triples[0]) == number > len(triples[1]) == mask[1].sum()

    def point(depth, matrix, index):
        y, x = divmod(int(index), SIZE[1])
        z = depth[0, y, x] + 2
        return np.array([(x - matrix[0, 2]) * z / matrix[0, 0],
                         (y - matrix[1, 2]) * z / matrix[0, 0], z])

    errors, dropped = [], dict(behind=0, near=0, straight=0)
    for image, rows in enumerate(triples):
        for indices in rows:
            p, g = ([point(depth[image], matrices[image], index)
                     for index in indices] for depth in (pred, target))
            sides = [g[1] - g[0], g[2] - g[0], g[2] - g[1]]
            cosines = [
                (a @ b) / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-6)
                for a in sides for b in sides]
            if min(vector[2] for vector in g) <= 1e-5:
                dropped['behind'] += 1
            elif sum(abs(cosine) > 0.867 for cosine in cosines) > 3:
                dropped['straight'] += 1
            elif all(min(abs(side[axis]) for side in sides) < 0.005
                     for axis in range(3)):
                dropped['near'] += 1
            else:
                normals = [np.cross(b - a, c - a) for a, b, c in (p, g)]
                unit = [n / np.linalg.norm(n) for n in normals]
                errors.append(np.abs(unit[0] - unit[1]).sum())
    assert min(dropped.values()) > 0 and len(errors) > 30
    expected = np.mean(sorted(errors)[int(0.25 * len(errors)):])
    torch.manual_seed(5)
    value = VirtualNormalLoss(sample_ratio=0.4)(
        *map(torch.from_numpy, (pred, target, mask)),
        intrinsic=torch.from_numpy(matrices))
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_triples_are_valid_pixels_and_spread():
    valid = torch.zeros(1000, dtype=bool)
    valid[100:700] = True
    torch.manual_seed(0)
    triples = VirtualNormalLoss.sample_triples(valid, 300)
    assert triples.shape == (300, 3) and valid[triples].all()
    for column in triples.T:
        assert len(column.unique()) == 300
        assert abs(column.float().mean() - 399.5) < 30
    assert (triples[:, 0] != triples[:, 1]).sum() > 290
    assert VirtualNormalLoss.sample_triples(valid, 999).shape == (600, 3)
    assert VirtualNormalLoss.sample_triples(~valid[100:700], 9).shape == (
        0, 3)


@pytest.mark.parametrize('points, expected', [
    ([(0, 0, 1), (1, .1, 1.2), (.1, 1, 1.4)], True),
    ([(0, 0, 0), (1, .1, .2), (.1, 1, .4)], False),  # at the camera
    ([(0, 0, 1), (1, .1, 1.2), (2, .2, 1.5)], False),  # in line
    # two points close along x, two along y, two along z
    ([(0, 0, 1), (1, .004, 1.2), (.004, 1, 1.2)], False),
    ([(0, 0, 1), (1, .004, 1.2), (.004, 1, 1.4)], True),
    ([(0, 0, 1), (0, 0, 1), (0, 0, 1)], False)])
def test_well_spread_triples(points, expected):
    points = torch.tensor([points], dtype=torch.float64)
    assert VirtualNormalLoss.is_well_spread(points).tolist() == [expected]


def test_a_camera_is_needed():
    depth = torch.rand(2, 1, *SIZE)
    with pytest.raises(ValueError,
                       match='VirtualNormalLoss: .*relative_focal_length'):
        VirtualNormalLoss()(depth, depth)
    with pytest.raises(ValueError, match=r'\(2, 3, 3\), got \(1, 3, 3\)'):
        VirtualNormalLoss()(depth, depth, intrinsic=torch.eye(3)[None])


def test_collapsed_predictions_have_a_finite_gradient():
    target = torch.rand(1, 1, *SIZE)
    pred = torch.full_like(target, -2., requires_grad=True)
    value = VirtualNormalLoss(1.)(pred, target)
    value.backward()
    # no normal at all: the sum of the components of the true ones
    assert 1 <= value <= math.sqrt(3)
    assert torch.isfinite(pred.grad).all()


@pytest.mark.parametrize('kwargs', [
    dict(relative_focal_length=0.), dict(sample_ratio=0.)])
def test_options_are_checked(kwargs):
    with pytest.raises(ValueError, match=f'{list(kwargs)[0]} must be posit'):
        VirtualNormalLoss(**kwargs)


def test_triples_follow_the_generator_of_the_image():
    valid = torch.arange(60) % 3 > 0
    one, again, other = (VirtualNormalLoss.sample_triples(
        valid, 10, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert one.shape == (10, 3) and valid[one].all()
    assert all(len(column.unique()) == 10 for column in one.T)
