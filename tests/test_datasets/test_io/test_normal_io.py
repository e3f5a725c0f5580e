import cv2
import h5py
import numpy as np
import pytest

from genpercept_mm.datasets.io.normal_io import (
    face_hypersim_camera,
    read_float_normals,
    read_hypersim_normals,
    read_normals_from_depth,
    read_png_normals,
)


def test_png_formula_and_pixels_without_normal(tmp_path):
    path = str(tmp_path / 'n.png')
    rgb = np.array([[[255, 0, 128], [0, 0, 0], [127, 128, 127]],
                    [[0, 0, 1], [51, 204, 255], [128, 128, 255]]], np.uint8)
    cv2.imwrite(path, rgb[..., ::-1])
    normals = read_png_normals(dict(normal_path=path))
    assert normals.dtype == np.float32
    np.testing.assert_allclose(normals[0, 0], [1, -1, 1 / 255], atol=1e-6)
    np.testing.assert_allclose(normals[1, 1], [-0.6, 0.6, 1], atol=1e-6)
    # black and middle grey; (0, 0, 1) is neither
    assert (normals[0, 1:] == 0).all()
    assert normals[1, 0].any()


def test_png_of_16_bits(tmp_path):
    path = str(tmp_path / 'n.png')
    cv2.imwrite(path, np.full((2, 2, 3), (65535, 13107, 0), np.uint16))
    np.testing.assert_allclose(
        read_png_normals(dict(normal_path=path))[0, 0], [-1, -0.6, 1],
        atol=1e-6)


def test_grey_png_is_refused(tmp_path):
    path = str(tmp_path / 'n.png')
    cv2.imwrite(path, np.ones((2, 2), np.uint8))
    with pytest.raises(ValueError, match=f'{path} is uint8 of shape'):
        read_png_normals(dict(normal_path=path))


def test_npy_with_channels_first_or_last(tmp_path):
    path = str(tmp_path / 'n.npy')
    normals = np.random.default_rng(0).normal(size=(4, 5, 3))
    for array in (normals, normals.transpose(2, 0, 1)):
        np.save(path, array)
        np.testing.assert_array_equal(
            read_float_normals(dict(normal_path=path)),
            normals.astype(np.float32))
    np.save(path, np.ones((4, 5, 3), int))
    with pytest.raises(ValueError, match=f'{path} is int64'):
        read_float_normals(dict(normal_path=path))


def test_exr_channels_are_x_y_z(tmp_path, monkeypatch):
    monkeypatch.setenv('OPENCV_IO_ENABLE_OPENEXR', '1')
    path = str(tmp_path / 'n.exr')
    cv2.imwrite(path, np.full((2, 2, 3), (3, 2, 1), np.float32))  # B, G, R
    assert read_float_normals(
        dict(normal_path=path))[0, 0].tolist() == [1, 2, 3]


def test_hypersim_array_and_entities(tmp_path):
    path, entity_path = str(tmp_path / 'n.hdf5'), str(tmp_path / 'e.hdf5')
    with h5py.File(path, 'w') as file:
        file['dataset'] = np.ones((4, 5, 3), np.float16)
    with h5py.File(entity_path, 'w') as file:
        file['dataset'] = np.tile([-1, 0, 1, 2, 3], (4, 1))
    normals = read_hypersim_normals(
        dict(normal_path=path, entity_path=entity_path))
    assert (normals[:, 0] == 0).all() and (normals[:, 1:] == 1).all()
    with pytest.raises(ValueError, match=rf'{entity_path} has shape \(4, 5'):
        read_hypersim_normals(dict(normal_path=entity_path))


def test_normals_that_look_away_are_turned():
    """At the left margin a normal along +x faces the camera even with a
    small backward tilt, at the right margin it does not."""
    tilt = np.array([1., 0, -0.1]) / np.hypot(1, 0.1)
    normals = np.tile(tilt, (48, 64, 1))
    turned = face_hypersim_camera(normals)
    np.testing.assert_array_equal(turned[24, 0], tilt)
    np.testing.assert_array_equal(turned[24, 63], -tilt)
    np.testing.assert_array_equal(face_hypersim_camera(turned), turned)
    facing = np.tile([0., 0, 1], (48, 64, 1))
    np.testing.assert_array_equal(face_hypersim_camera(facing), facing)
    np.testing.assert_array_equal(face_hypersim_camera(-facing), facing)


def test_road_from_depth(tmp_path):
    """A level road 1.5 m below the camera: the normal is up; sky and what
    is too far have none."""
    path = str(tmp_path / 'd.png')
    fy, cy = 700., 40.
    rows = np.arange(120)[:, None] * np.ones((1, 160))
    with np.errstate(divide='ignore'):
        depth = np.where(rows > cy, 1.5 * fy / (rows - cy), np.inf)
    cv2.imwrite(path, np.minimum(depth * 1000, 65535).astype(np.uint16))
    normals = read_normals_from_depth(dict(
        normal_path=path, depth_scale=1 / 1000, depth_range=(1e-5, 60.),
        intrinsics=(700., fy, 79.5, cy)))
    known = normals.any(axis=2)
    assert not known[:58].any()  # 1050 / 18 is 58.3 m
    assert known[70:119, 1:-1].all()
    assert normals[70:119, 1:-1, 1].min() > 0.99
