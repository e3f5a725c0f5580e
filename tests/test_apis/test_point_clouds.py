"""Points of a pinhole camera, read back from the file by another reader."""
import struct

import numpy as np
import pytest

from genpercept_mm.apis.point_clouds import back_project, encode_ply


@pytest.mark.parametrize('center', [None, (3.5, 1.25)])
def test_points_project_back_onto_their_pixels(center):
    metres = np.random.default_rng(0).uniform(1, 9, (5, 8))
    points = back_project(metres, 12.5, center)
    u0, v0 = center or (3.5, 2.)
    for v in range(5):
        for u in range(8):
            x, y, z = points[v, u].astype(float)
            assert z == pytest.approx(metres[v, u], rel=1e-6)
            assert 12.5 * x / z + u0 == pytest.approx(u, abs=1e-5)
            assert 12.5 * y / z + v0 == pytest.approx(v, abs=1e-5)


def test_the_file_holds_the_finite_points():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(4, 3, 3)).astype(np.float32)
    points[1, 2, 0] = np.nan
    colors = rng.integers(0, 256, (4, 3, 3)).astype(np.uint8)
    header, body = encode_ply(points, colors).split(b'end_header\n')
    lines = header.decode().split('\n')
    assert lines[:3] == ['ply', 'format binary_little_endian 1.0',
                         'element vertex 11']
    read = list(struct.iter_unpack('<fffBBB', body))
    expected = [(*points[v, u].tolist(), *colors[v, u].tolist())
                for v in range(4) for u in range(3) if (v, u) != (1, 2)]
    assert read == expected
