"""Files hold the values of a map."""
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from genpercept_mm.apis.outputs import (
    check_kinds,
    encode,
    write_result,
)

RNG = np.random.default_rng(0)


def decoded(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8),
                        cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize('shape', [(5, 7), (5, 7, 3)])
@pytest.mark.parametrize('kind', ['exr', 'tiff', 'npy'])
def test_floats_come_back(shape, kind):
    values = (RNG.standard_normal(shape) * 1e3).astype(np.float32)
    content = encode(kind, values, None, {})
    back = np.load(io.BytesIO(content)) if kind == 'npy' else (
        decoded(content))
    if kind != 'npy' and len(shape) == 3:
        back = back[..., ::-1]
    np.testing.assert_array_equal(back, values)


def test_16_bits_span_the_range():
    values = np.array([[-1, 0, .5, 1, 2]], np.float32)
    png = decoded(encode('png16', values, None, dict(range=(-1, 1))))
    assert png.dtype == np.uint16
    assert png.tolist() == [[0, 32768, 49151, 65535, 65535]]


@pytest.mark.parametrize('largest, dtype', [(255, np.uint8),
                                            (256, np.uint16)])
def test_class_ids_stay(largest, dtype):
    values = np.array([[0, largest]], np.int32)
    png = decoded(encode('png16', values, None, {}))
    assert png.dtype == dtype and png.tolist() == values.tolist()


def test_pictures_are_rgb():
    picture = RNG.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    content = encode('picture', None, picture, {})
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(content))), picture)


def test_names_below_the_folder(tmp_path):
    result = dict(name='sub/photo', quantity='depth',
                  depth=np.zeros((2, 3), np.float32), range=(0, 1))
    files = write_result(result, np.zeros((2, 3, 3), np.uint8), tmp_path,
                         ('picture', 'npy'))
    assert files == dict(picture=str(tmp_path / 'sub/photo_depth.png'),
                         npy=str(tmp_path / 'sub/photo_depth.npy'))
    with pytest.raises(ValueError, match='must stay in'):
        write_result(dict(result, name='../photo'), None, tmp_path, ('npy', ))


def test_kinds():
    assert check_kinds('npy') == ('npy', )
    assert check_kinds(['exr', 'npy']) == ('exr', 'npy')
    with pytest.raises(ValueError, match="save must be one of .*got 'jpg'"):
        check_kinds(['jpg'])
