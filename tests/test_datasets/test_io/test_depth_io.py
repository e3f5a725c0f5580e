import json
import math

import cv2
import h5py
import numpy as np
import pytest

from genpercept_mm.datasets.io.depth_io import (
    hypersim_rays,
    read_cityscapes_depth,
    read_entity_mask,
    read_eth3d_depth,
    read_float_depth,
    read_hypersim_depth,
    read_png_depth,
)

TILTED = [[0.6, 0.02, 0.01], [-0.01, 0.41, 0.1], [0.03, -0.05, -1.1]]


def write_hdf5(path, array):
    with h5py.File(path, 'w') as file:
        file['dataset'] = array
    return str(path)


def test_png_is_scaled_without_loss(tmp_path):
    path = str(tmp_path / 'a.png')
    raw = np.array([[0, 1, 256], [5000, 65535, 20480]], np.uint16)
    cv2.imwrite(path, raw)
    depth = read_png_depth(dict(depth_path=path, depth_scale=1 / 256))
    assert depth.dtype == np.float32
    assert depth.tolist() == [[0, 1 / 256, 1], [19.53125, 65535 / 256, 80]]
    centimetres = read_png_depth(dict(depth_path=path, depth_scale=1 / 100))
    assert centimetres[1, 0] == 50 and centimetres[1, 1] == np.float32(655.35)


def test_png_of_8_bits_or_colours_is_refused(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.ones((4, 5), np.uint8))
    with pytest.raises(ValueError, match=f'{path} holds uint8; depth images '
                       'have 16 bits'):
        read_png_depth(dict(depth_path=path, depth_scale=1))
    cv2.imwrite(path, np.arange(60, dtype=np.uint16).reshape(4, 5, 3))
    with pytest.raises(ValueError, match=f'{path} has shape'):
        read_png_depth(dict(depth_path=path, depth_scale=1))


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (1, 4, 5)])
def test_npy_of_any_rank(tmp_path, shape):
    path = str(tmp_path / 'a.npy')
    np.save(path, np.arange(20.).reshape(shape))
    depth = read_float_depth(dict(depth_path=path))
    np.testing.assert_array_equal(depth, np.arange(20).reshape(4, 5))
    assert depth.dtype == np.float32
    half = read_float_depth(dict(depth_path=path, depth_scale=0.5))
    np.testing.assert_array_equal(half, np.arange(20).reshape(4, 5) / 2)


def test_npy_of_text_is_refused(tmp_path):
    path = str(tmp_path / 'a.npy')
    np.save(path, np.array([['far']]))
    with pytest.raises(ValueError, match=f'{path} holds <U3'):
        read_float_depth(dict(depth_path=path))


def test_standard_camera_in_closed_form(tmp_path):
    """distance * f / |(x, y, f)| with f = W / 2 * cot(30 degrees)."""
    distance = np.random.default_rng(0).uniform(1, 9, (48, 64))
    depth = read_hypersim_depth(
        dict(depth_path=write_hdf5(tmp_path / 'd.hdf5', distance)))
    x, y = np.arange(64) - 31.5, np.arange(48)[:, None] - 23.5
    focal = 32 * 3**.5
    np.testing.assert_allclose(
        depth, distance * focal / np.sqrt(x**2 + y**2 + focal**2), rtol=1e-6)


def test_official_corner_value():
    """886.81 / sqrt(886.81^2 + 511.5^2 + 383.5^2)."""
    rays = hypersim_rays((768, 1024))
    assert -rays[0, 0, 2] == pytest.approx(0.811189, abs=1e-6)
    # the top left pixel is up and to the left
    assert rays[0, 0, 0] < 0 < rays[0, 0, 1]


def test_tilted_camera_pixel_by_pixel(tmp_path):
    height, width = 6, 8
    distance = np.random.default_rng(0).uniform(1, 9, (height, width))
    depth = read_hypersim_depth(dict(
        depth_path=write_hdf5(tmp_path / 'd.hdf5', distance),
        camera_from_uv=TILTED))
    for i in range(height):
        for j in range(width):
            u, v = (j + 0.5) / width * 2 - 1, 1 - (i + 0.5) / height * 2
            x, y, z = (row[0] * u + row[1] * v + row[2] for row in TILTED)
            expected = distance[i, j] * -z / math.sqrt(x * x + y * y + z * z)
            assert depth[i, j] == pytest.approx(expected, rel=1e-6)


def test_pixels_without_entity_have_no_depth(tmp_path):
    distance = np.full((4, 5), 3.)
    distance[3] = np.nan
    entity = np.ones((4, 5), np.int32)
    entity[0, :2] = -1
    results = dict(
        depth_path=write_hdf5(tmp_path / 'd.hdf5', distance),
        entity_path=write_hdf5(tmp_path / 'e.hdf5', entity))
    depth = read_hypersim_depth(results)
    assert (depth[0, :2] == 0).all() and (depth[1:3] > 0).all()
    assert np.isnan(depth[3]).all()
    with pytest.raises(ValueError, match=r'e\.hdf5 is \(4, 5\)'):
        read_entity_mask(results, (5, 4))


def test_eth3d_binary(tmp_path):
    path = str(tmp_path / 'a.JPG')
    values = np.array([1.5, np.inf, 2, 3, 4, 5], '<f4')
    values.tofile(path)
    results = dict(depth_path=path, depth_shape=(4032, 6048),
                   ori_shape=(2, 3), img_path='rgb.JPG')
    depth = read_eth3d_depth(results)
    assert depth.tolist() == [[1.5, 0, 2], [3, 4, 5]]
    depth[0, 0] = 1  # not a view of the file's bytes
    del results['ori_shape']
    with pytest.raises(ValueError, match=f'{path} has 24 bytes; depth of an '
                       r'image of 4032 x 6048 pixels \(rgb.JPG\) has '
                       '97542144'):
        read_eth3d_depth(results)


def test_cityscapes_disparity(tmp_path):
    path, camera = str(tmp_path / 'd.png'), tmp_path / 'c.json'
    cv2.imwrite(path, np.array([[0, 1, 257, 5121]], np.uint16))
    camera.write_text(json.dumps(dict(
        extrinsic=dict(baseline=0.2), intrinsic=dict(fx=2000.))))
    results = dict(depth_path=path, camera_path=str(camera))
    # disparities: none, 0 (infinitely far), 1 and 20 pixels
    assert read_cityscapes_depth(results).tolist() == [[0, 0, 400, 20]]
    camera.write_text('{"extrinsic": {}}')
    with pytest.raises(ValueError, match=f'{camera} is not a Cityscapes '
                       'camera file'):
        read_cityscapes_depth(results)
