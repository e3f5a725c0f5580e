import os

import cv2
import numpy as np
import pytest
from PIL import Image

from genpercept_mm.datasets.io.raster_io import (
    EXR_SWITCH,
    check_size,
    read_alpha,
    read_array,
    read_bytes,
    read_npy,
    read_raster,
    single_channel,
)

RNG = np.random.default_rng(0)


def test_16_bit_png_as_pillow_reads_it(tmp_path):
    path = str(tmp_path / 'a.png')
    Image.fromarray(RNG.integers(0, 65536, (5, 7)).astype(np.uint16)).save(
        path)
    raster = read_raster(path)
    assert raster.dtype == np.uint16
    np.testing.assert_array_equal(raster, np.asarray(Image.open(path)))


@pytest.mark.parametrize('channels', [3, 4])
def test_colours_in_the_order_of_pillow(tmp_path, channels):
    path = str(tmp_path / 'ä ö.png')  # cv2.imread fails on such names
    Image.fromarray(RNG.integers(0, 256, (5, 7, channels), np.uint8)).save(
        path)
    np.testing.assert_array_equal(
        read_raster(path), np.asarray(Image.open(path)))


def test_exr(tmp_path, monkeypatch):
    monkeypatch.setenv(EXR_SWITCH, '1')
    path = str(tmp_path / 'a.exr')
    picture = RNG.random((4, 6, 3), np.float32)
    assert cv2.imwrite(path, picture[..., ::-1])
    np.testing.assert_array_equal(read_raster(path), picture)
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(OSError, match=f'{path}.*{EXR_SWITCH}=1'):
        read_raster(path)


def test_exr_needs_no_setting_but_respects_one(tmp_path, monkeypatch,
                                               run_python):
    """OpenCV decides once per process, hence fresh ones, which run the file
    alone to be quick."""
    monkeypatch.setenv(EXR_SWITCH, '1')
    path = str(tmp_path / 'a.exr')
    assert cv2.imwrite(path, np.ones((4, 5), np.float32))
    monkeypatch.delenv(EXR_SWITCH)
    script = ("import runpy, sys; read = runpy.run_path("
              "'genpercept_mm/datasets/io/raster_io.py')['read_raster'];"
              'print(read(sys.argv[1]).sum())')
    assert run_python('-c', script, path, fresh=True).stdout.split()[
        -1] == '20.0'
    done = run_python('-c', script, path, check=False, **{EXR_SWITCH: '0'})
    assert done.returncode and f'set {EXR_SWITCH}=1' in done.stderr


def test_missing_empty_and_truncated_files_are_named(tmp_path):
    missing = str(tmp_path / 'missing.png')
    for read in (read_bytes, read_raster, read_npy):
        with pytest.raises(FileNotFoundError, match=f'{missing} does not'):
            read(missing)
    empty = str(tmp_path / 'empty.png')
    open(empty, 'w').close()
    with pytest.raises(OSError, match=f'{empty} is empty'):
        read_raster(empty)
    cut = str(tmp_path / 'cut.png')
    cv2.imwrite(cut, RNG.integers(0, 65536, (99, 99)).astype(np.uint16))
    with open(cut, 'r+b') as file:
        file.truncate(os.path.getsize(cut) // 2)
    with pytest.raises(OSError, match=f'{cut} cannot be decoded.*truncated'):
        read_raster(cut)


def test_npy_truncated_or_pickled(tmp_path):
    path = str(tmp_path / 'a.npy')
    np.save(path, np.ones((9, 9)))
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) - 8)
    with pytest.raises(OSError, match=f'{path} cannot be read as .npy'):
        read_npy(path)
    np.save(path, np.array([dict(a=1)], object), allow_pickle=True)
    with pytest.raises(OSError, match=f'{path} cannot be read as .npy'):
        read_npy(path)


def test_equal_channels_become_one():
    plane = RNG.random((4, 5), np.float32)
    plane[0, 0] = np.nan
    for raster in (plane, plane[..., None], np.dstack([plane] * 3)):
        np.testing.assert_array_equal(single_channel(raster, 'x'), plane)
    other = np.dstack([plane, plane, plane + 1])
    with pytest.raises(ValueError, match=r'x has shape \(4, 5, 3\)'):
        single_channel(other, 'x')


@pytest.mark.parametrize('top, kind, opaque', [
    (1, np.uint8, 1), (2, np.uint8, 255), (254, np.uint8, 255),
    (1, np.uint16, 1), (254, np.uint16, 255), (255, np.uint16, 255),
    (256, np.uint16, 65535), (60000, np.uint16, 65535)])
def test_alpha_by_the_largest_value(tmp_path, top, kind, opaque):
    path, lines = str(tmp_path / 'a.png'), []
    values = np.array([[0, top // 2, top]]).astype(kind)
    cv2.imwrite(path, values)
    found = read_alpha(path, warn=lines.append)
    np.testing.assert_allclose(found, values / opaque, rtol=1e-6)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(read_alpha(path), found)
    assert bool(lines) == (opaque != np.iinfo(kind).max)


def test_sizes_must_agree_once_the_image_is_loaded():
    check_size({}, 'label.png', (3, 4))
    check_size(dict(ori_shape=[3, 4]), 'label.png', (3, 4))
    with pytest.raises(ValueError, match=r'image a\.jpg is \(3, 4\).*label '
                       r'label\.png is \(4, 3\)'):
        check_size(dict(ori_shape=(3, 4), img_path='a.jpg'), 'label.png',
                   (4, 3))


@pytest.mark.parametrize('suffix, kind', [
    ('jpg', 'JPEG'), ('JFIF', 'JPEG'), ('jpe', 'JPEG'), ('png', 'PNG'),
    ('webp', 'WEBP'), ('tiff', 'TIFF')])
@pytest.mark.parametrize('ignored', [True, False])
def test_turns_are_seen_in_every_format(tmp_path, suffix, kind, ignored):
    path = str(tmp_path / f'a.{suffix}')
    tags = Image.Exif()
    tags[0x0112] = 3
    Image.new('RGB', (4, 6)).save(path, format=kind, exif=tags)
    results = dict(ori_shape=(6, 4), img_path=path)
    if ignored:
        check_size(dict(results, ignore_orientation=True), 'a.png', (6, 4))
        return
    with pytest.raises(ValueError, match=rf'{path} asks to turn.*ignore_orien'
                       'tation=True'):
        check_size(results, 'a.png', (6, 4))


@pytest.mark.parametrize('turn,size,refused', [
    (1, (6, 4), False), (3, (6, 4), True), (2, (6, 4), True),
    (6, (4, 6), False), (6, (5, 5), True)])
def test_turns_that_sizes_do_not_prove_are_refused(tmp_path, turn, size,
                                                   refused):
    path = str(tmp_path / 'a.jpg')
    tags = Image.Exif()
    tags[0x0112] = turn
    stored = size if turn != 6 else size[::-1]
    Image.new('RGB', stored[::-1]).save(path, exif=tags)
    shape = cv2.imread(path).shape[:2]  # turned
    assert shape == size
    results = dict(ori_shape=shape, img_path=path)
    if not refused:
        check_size(results, 'label.png', size)
        return
    with pytest.raises(ValueError, match=rf'{path} asks to turn.*orientation '
                       rf'{turn}\).*label label.png'):
        check_size(results, 'label.png', size)


def test_arrays_are_read_by_their_suffix(tmp_path):
    values = RNG.integers(0, 256, (3, 4), np.uint8)
    np.save(tmp_path / 'a.NPY.npy', values)
    Image.fromarray(values).save(tmp_path / 'a.png')
    for name in ('a.NPY.npy', 'a.png'):
        np.testing.assert_array_equal(
            read_array(str(tmp_path / name)), values)
