"""Against Pillow, and against mmcv's own function beneath ours."""
import io
import os

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image, ImageOps

from genpercept_mm.compat.images import turned

STOCK = mmcv.imfrombytes.__wrapped__
# how far two decoders of a format may differ
FORMATS = dict(JPEG=3, PNG=0, WEBP=0, TIFF=0)


def scene(height=24, width=40):
    """Blocks of colour, which JPEG keeps well."""
    blocks = np.random.default_rng(0).integers(
        0, 256, (height // 8, width // 8, 3))
    return np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)


def encoded(image, kind, turn=None, **kwargs):
    content, tags = io.BytesIO(), Image.Exif()
    if turn is not None:
        tags[0x0112] = turn
        kwargs['exif'] = tags
    if kind == 'JPEG':
        kwargs['quality'], kwargs['subsampling'] = 100, 0
    if kind == 'WEBP':
        kwargs['lossless'] = True
    Image.fromarray(image).save(content, kind, **kwargs)
    return content.getvalue()


def by_pillow(content, mode='RGB', transpose=True):
    image = Image.open(io.BytesIO(content))
    if transpose:
        image = ImageOps.exif_transpose(image)
    return np.asarray(image.convert(mode)).astype(int)


def floats(array):
    """A TIFF that keeps the values; OpenCV's default compression does not."""
    if array.ndim == 3:
        array = array[..., [2, 1, 0, 3][:array.shape[2]]]
    return cv2.imencode(
        '.tif', array, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()


def colour(content, **kwargs):
    return mmcv.imfrombytes(content, channel_order='rgb', **kwargs)


@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('kind', FORMATS)
def test_every_orientation_in_every_format(kind, turn):
    content = encoded(scene(), kind, turn)
    for mode, flag in (('RGB', 'color'), ('L', 'grayscale')):
        for ignored in (False, True):
            found = mmcv.imfrombytes(
                content, flag + '_ignore_orientation' * ignored,
                channel_order='rgb')
            expected = by_pillow(content, mode, not ignored)
            assert found.shape == expected.shape
            np.testing.assert_allclose(
                found.astype(int), expected,
                atol=FORMATS[kind] + (mode == 'L'))


def test_the_stock_function_does_not_turn_webp():
    content = encoded(scene(), 'WEBP', 6)
    assert STOCK(content).shape == (24, 40, 3)
    assert mmcv.imfrombytes(content).shape == (40, 24, 3)


@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('channels', [(), (3, )])
def test_turned_is_what_pillow_does(turn, channels):
    image = np.random.default_rng(0).integers(
        0, 256, (3, 5, *channels)).astype(np.uint8)
    tags = Image.Exif()
    tags[0x0112] = turn
    picture = Image.open(io.BytesIO(encoded(image, 'PNG', turn)))
    found = turned(image, turn)
    np.testing.assert_array_equal(found, ImageOps.exif_transpose(picture))
    assert found.flags.c_contiguous


@pytest.mark.parametrize('flag', [
    'color', 'grayscale', 'unchanged', 'color_ignore_orientation',
    'grayscale_ignore_orientation', cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE])
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'BMP', 'PPM', 'TIFF'])
def test_what_mmcv_does_right_stays_as_it_is(flag, kind):
    content = encoded(scene(), kind)
    for order in ('bgr', 'rgb'):
        if order == 'rgb' and 'ignore' in str(flag):
            continue  # the stock function leaves these BGR
        for backend in (None, 'cv2', 'pillow'):
            if backend == 'pillow' and not isinstance(flag, str):
                continue
            np.testing.assert_array_equal(
                mmcv.imfrombytes(content, flag, order, backend),
                STOCK(content, flag, order, backend))


def test_16_bits_become_8_as_before():
    wide = scene().astype(np.uint16) * 257
    content = cv2.imencode('.png', wide[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(colour(content), scene())


@pytest.mark.parametrize('kind', [np.float32, np.float64])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_floats_up_to_one_are_the_picture_of_8_bits(kind, channels):
    image = np.dstack([scene(), scene()[..., :1]])[..., :channels].squeeze()
    content = floats((image / 255).astype(kind))
    rgb = image[..., :3] if channels > 1 else np.dstack([image] * 3)
    np.testing.assert_array_equal(colour(content), rgb)
    grey = np.asarray(Image.fromarray(rgb).convert('L')).astype(int)
    np.testing.assert_allclose(
        mmcv.imfrombytes(content, 'grayscale').astype(int), grey, atol=1)
    # raw values stay available
    assert mmcv.imfrombytes(content, 'unchanged').dtype == kind


def test_the_stock_function_makes_another_picture_of_floats():
    content = cv2.imencode('.tif', np.float32(scene() / 255)[..., ::-1])[
        1].tobytes()
    found = STOCK(content, channel_order='rgb').astype(int)
    assert np.abs(found - scene()).mean() > 9


@pytest.mark.parametrize('values', [
    scene().astype(np.float32), scene() / 255 - .5,
    np.float32(scene() / 200), np.where(scene() > 99, np.nan, .5),
    np.where(scene() > 99, np.inf, .5), scene().astype(np.int32),
    scene().astype(np.int16)])
def test_other_numbers_are_refused_with_their_file(tmp_path, values):
    path = tmp_path / 'a.tif'
    text = f'{values.dtype} from {values.min():g} to {values.max():g}; images'
    path.write_bytes(floats(values))
    with pytest.raises(ValueError, match=f'the image holds {text}') as error:
        mmcv.imfrombytes(path.read_bytes())
    assert '[0, 1]. Convert it' in str(error.value)
    with pytest.raises(OSError, match=f'{path} cannot be read as an image .*'
                       f'the image holds {text}'):
        LoadImageFromFile()(dict(img_path=str(path)))


@pytest.mark.parametrize('mode', ['F', 'I', 'I;16'])
def test_modes_that_pillow_would_cut_off_are_refused(monkeypatch, mode):
    """OpenCV lacks these formats, and Pillow clips their values to 0..255."""
    content = io.BytesIO()
    Image.new('F', (4, 4)).save(content, 'SPIDER')
    stock_open = Image.open

    def opened(file):
        picture = stock_open(file)
        picture._mode = mode
        return picture

    monkeypatch.setattr(Image, 'open', opened)
    with pytest.raises(ValueError, match=f'the image has the mode {mode}; im'):
        mmcv.imfrombytes(content.getvalue())


@pytest.mark.parametrize('kind, suffix', [
    ('GIF', 'gif'), ('JPEG', 'jfif'), ('JPEG', 'JPE'), ('WEBP', 'webp'),
    ('JPEG2000', 'jp2'), ('TGA', 'tga'), ('PNG', 'jpg'), ('GIF', 'png')])
def test_files_are_read_by_their_content(tmp_path, kind, suffix):
    path = tmp_path / f'a.{suffix}'
    path.write_bytes(encoded(scene() // 64 * 64, kind))
    expected = by_pillow(path.read_bytes())
    atol = 3 if kind in ('JPEG', 'JPEG2000') else 0
    for found in (LoadImageFromFile()(dict(img_path=str(path)))[
            'img'][..., ::-1], mmcv.imread(str(path), channel_order='rgb')):
        np.testing.assert_allclose(found.astype(int), expected, atol=atol)
    np.testing.assert_allclose(
        mmcv.imread(str(path), 'grayscale').astype(int),
        by_pillow(path.read_bytes(), 'L'), atol=atol + 1)


def test_the_first_picture_of_a_moving_gif_counts():
    first, second = scene() // 64 * 64, 255 - scene() // 64 * 64
    content = encoded(first, 'GIF', save_all=True,
                      append_images=[Image.fromarray(second)])
    np.testing.assert_array_equal(colour(content), first)


def test_pictures_too_large_for_pillow_are_read(monkeypatch):
    """Which only looks for tags; OpenCV allows more pixels."""
    content = encoded(scene(), 'WEBP')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    np.testing.assert_array_equal(colour(content), scene())


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'GIF', 'TIFF'])
@pytest.mark.parametrize('length', [0, 3, 30, 60])
def test_torn_files_are_named(tmp_path, kind, length):
    path = tmp_path / 'a.img'
    path.write_bytes(encoded(scene(), kind)[:length])
    with pytest.raises(OSError, match=f'{path} cannot be read as an image'):
        LoadImageFromFile()(dict(img_path=str(path)))
    if not length:
        assert LoadImageFromFile(ignore_empty=True)(
            dict(img_path=str(path))) is None


@pytest.mark.parametrize('content', [b'<html></html>', b'P6\n', b'\x00' * 99])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    with pytest.raises(OSError, match=f'{path} cannot be read as an image'):
        LoadImageFromFile()(dict(img_path=str(path)))


def test_missing_files_are_named_once(tmp_path):
    path = str(tmp_path / 'no.jpg')
    with pytest.raises(FileNotFoundError) as error:
        LoadImageFromFile()(dict(img_path=path))
    assert str(error.value).count(path) == 1


@pytest.mark.parametrize('flag', ['color', 'grayscale'])
def test_a_data_set_may_ask_for_images_as_they_are_stored(tmp_path, flag):
    path = str(tmp_path / 'a.webp')
    with open(path, 'wb') as file:
        file.write(encoded(scene(), 'WEBP', 6))
    load = LoadImageFromFile(color_type=flag)
    shapes = [load(dict(img_path=path, **more))['img'].shape[:2]
              for more in (dict(ignore_orientation=True), {},
                           dict(ignore_orientation=False))]
    assert shapes == [(24, 40), (40, 24), (40, 24)]
    os.remove(path)
    with pytest.raises(FileNotFoundError):
        load(dict(img_path=path, ignore_orientation=True))
    assert load.color_type == flag
