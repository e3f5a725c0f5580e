import numpy as np
import pytest

from genpercept_mm.utils.normal_axes import AXES, convert_axes
from genpercept_mm.utils.normal_check import (
    normals_disagree_with_depth,
    normals_from_depth,
)

SIZE = (48, 64)
INTRINSICS = (50., 60., 30., 20.)


def rays(size, intrinsics):
    """Points at depth 1, x right, y up, z backwards."""
    fx, fy, cx, cy = intrinsics
    y, x = np.mgrid[:size[0], :size[1]]
    return np.stack([(x - cx) / fx, -(y - cy) / fy, -np.ones(size)], -1)


def room(size=SIZE):
    """A box seen from inside: depth and normals, worked out from planes."""
    focal = size[1] / 2 / np.tan(np.pi / 6)
    directions = rays(size, (focal, focal, (size[1] - 1) / 2,
                             (size[0] - 1) / 2))
    # inward normal and distance of each plane
    planes = [((1, 0, 0), 1.), ((-1, 0, 0), 1.2), ((0, 1, 0), .8),
              ((0, -1, 0), .9), ((0, 0, 1), 3.)]
    depths = []
    for normal, distance in planes:
        towards = -directions @ normal
        depths.append(np.where(towards > 1e-9,
                               distance / np.maximum(towards, 1e-9), np.inf))
    nearest = np.argmin(depths, axis=0)
    normals = np.array([p[0] for p in planes], float)[nearest]
    return np.min(depths, axis=0), normals


@pytest.mark.parametrize('normal', [(0, 0, 1), (0.6, 0, 0.8), (0, 0.8, 0.6),
                                    (-0.48, -0.36, 0.8)])
def test_normals_of_a_plane(normal):
    depth = -3 / (rays(SIZE, INTRINSICS) @ normal)
    assert (depth > 0).all()
    normals, valid = normals_from_depth(depth, INTRINSICS)
    inner = np.zeros(SIZE, bool)
    inner[1:-1, 1:-1] = True
    assert (valid <= inner).all() and valid.sum() > 1000
    np.testing.assert_allclose(normals[valid], np.tile(
        normal, (valid.sum(), 1)), atol=1e-6)
    assert (normals[~valid] == 0).all()


def test_edges_and_holes_have_no_normal():
    depth = np.full(SIZE, 2.)
    depth[:, 32:] = 4
    depth[10, 10] = 0
    depth[30, 10] = np.nan
    _, valid = normals_from_depth(depth, INTRINSICS)
    assert not valid[:, 31:33].any()
    for row in (10, 30):
        for i, j in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)):
            assert not valid[row + i, 10 + j]
    assert valid[20, 10] and valid[20, 40]


@pytest.mark.parametrize('stated', AXES)
@pytest.mark.parametrize('actual', AXES)
def test_finds_the_frame_that_the_files_have(stated, actual):
    depth, normals = room()
    in_file = convert_axes(normals, 'genpercept', actual)
    fit = normals_disagree_with_depth(
        depth, convert_axes(in_file, stated, 'genpercept'))
    signs = [a * b for a, b in zip(AXES[stated], AXES[actual])]
    assert fit.signs == tuple(signs)
    assert fit.angle < 5  # pixels at the room's edges
    assert fit.disagrees == (stated != actual)


def test_other_signs_are_found_too():
    depth, normals = room()
    fit = normals_disagree_with_depth(depth, normals * (1, 1, -1))
    assert fit.disagrees and fit.signs == (1, 1, -1)


def test_large_maps_and_their_intrinsics_are_thinned_out():
    depth, normals = room((768, 1024))
    focal = 512 / np.tan(np.pi / 6)
    fit = normals_disagree_with_depth(
        depth, -normals, intrinsics=(focal, focal, 511.5, 383.5))
    assert fit.signs == (-1, -1, -1) and fit.angle < 3


def test_a_wall_from_the_front_says_nothing_of_left_and_right():
    normals = np.zeros((*SIZE, 3))
    normals[..., 2] = 1
    fit = normals_disagree_with_depth(np.full(SIZE, 2.), normals)
    assert fit.signs == (1, 1, 1) and not fit.disagrees


def test_small_differences_do_not_choose_signs():
    """A wall turned by half a degree, with normals turned the other way."""
    tilt = np.array([np.sin(np.radians(0.5)), 0, np.cos(np.radians(0.5))])
    depth = -3 / (rays(SIZE, INTRINSICS) @ tilt)
    normals = np.tile(tilt * (-1, 1, 1), (*SIZE, 1))
    fit = normals_disagree_with_depth(depth, normals, intrinsics=INTRINSICS)
    assert fit.signs == (1, 1, 1) and not fit.disagrees
    assert fit.angle == pytest.approx(1, abs=1e-3)


def test_too_few_pixels_tell_nothing():
    depth, normals = room()
    mask = np.zeros(SIZE, bool)
    mask[20, 20:40] = True
    assert normals_disagree_with_depth(depth, -normals, mask) is None
    assert normals_disagree_with_depth(depth * 0, -normals) is None
