import io
import os

import numpy as np
import pytest
from PIL import Image

from genpercept_mm.utils.pictures import (
    encode_picture,
    encode_png,
    write_png,
)


def decoded(content):
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize('shape, kind', [
    ((4, 5), np.uint8), ((4, 5, 3), np.uint8), ((4, 5), np.uint16)])
def test_pillow_reads_the_same_values(shape, kind):
    picture = np.random.default_rng(0).integers(
        0, np.iinfo(kind).max + 1, shape).astype(kind)
    image = decoded(encode_png(picture))
    assert image.format == 'PNG'
    np.testing.assert_array_equal(np.asarray(image), picture)


def test_colours_of_16_bits_are_rgb():
    """Pillow reads 8 bits of them only: the upper ones."""
    picture = np.random.default_rng(0).integers(
        0, 65536, (4, 5, 3)).astype(np.uint16)
    image = np.asarray(decoded(encode_png(picture)).convert('RGB'))
    np.testing.assert_array_equal(image, picture >> 8)


@pytest.mark.parametrize('suffix, kind', [
    ('.jpg', 'JPEG'), ('.JPEG', 'JPEG'), ('.webp', 'WEBP'), ('.bmp', 'BMP'),
    ('.tif', 'TIFF')])
def test_the_format_is_that_of_the_suffix(suffix, kind):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:] = 200, 100, 50
    image = decoded(encode_picture(picture, suffix))
    assert image.format == kind
    np.testing.assert_allclose(np.asarray(image), picture, atol=3)


@pytest.mark.parametrize('picture, suffix', [
    (np.full((3, 4), .5), '.png'),  # would become black
    (np.full((3, 4), 300), '.png'),
    (np.full((3, 4), True), '.png'),
    (np.full((3, 4), 999, np.uint16), '.jpg'),
    (np.zeros((3, 4), np.uint8), '.what'),
    (np.zeros((3, 4), np.uint8), ''),
    (np.zeros((0, 4), np.uint8), '.png'),
    (np.zeros((3, 4, 7), np.uint8), '.png'),
    # wider than libpng takes, which OpenCV reports by an empty result
    (np.zeros((1, 1000001), np.uint8), '.png'),
])
def test_what_cannot_be_encoded_is_refused(picture, suffix):
    with pytest.raises(ValueError, match=f'cannot be encoded as {suffix!r}'):
        encode_picture(picture, suffix)


def test_files_are_whole_or_not_there(tmp_path):
    picture = np.random.default_rng(0).integers(
        0, 256, (4, 5, 3)).astype(np.uint8)
    write_png(str(tmp_path / 'new' / 'a.png'), picture)
    assert os.listdir(tmp_path / 'new') == ['a.png']
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / 'new' / 'a.png')), picture)
    with pytest.raises(ValueError):
        write_png(str(tmp_path / 'new' / 'b.png'), picture / 255)
    assert os.listdir(tmp_path / 'new') == ['a.png']
