import os

import numpy as np
import pytest
from mmengine.visualization import LocalVisBackend
from PIL import Image


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)


@pytest.mark.parametrize('name, expected', [
    ('a', 'a_7.png'), ('my/set_b/a', 'my/set_b/a_7.png'),
    ('a.jpg', 'a.jpg_7.png'), ('ä b', 'ä b_7.png'),
    (os.fsdecode(b'caf\xe9'), os.fsdecode(b'caf\xe9_7.png'))])
def test_pictures_have_the_pixels_and_folders_of_their_names(
        tmp_path, image, name, expected):
    LocalVisBackend(str(tmp_path)).add_image(name, image, step=7)
    path = tmp_path / 'vis_image' / expected
    with open(path, 'rb') as file:
        np.testing.assert_array_equal(np.asarray(Image.open(file)), image)
    assert os.listdir(path.parent) == [path.name]


def test_grey_pictures(tmp_path, image):
    LocalVisBackend(str(tmp_path)).add_image('a', image[..., 0])
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / 'vis_image/a_0.png')), image[..., 0])


def test_what_cannot_be_written_is_named(tmp_path, image):
    """The stock method goes on without a picture."""
    backend = LocalVisBackend(str(tmp_path))
    backend.add_image('a', image)
    (tmp_path / 'vis_image/set').write_text('no folder')
    with pytest.raises(OSError, match='cannot write .*/vis_image/set/b_0.png'):
        backend.add_image('set/b', image)
    with pytest.raises(ValueError, match='must stay in'):
        backend.add_image('../b', image)
    assert sorted(os.listdir(tmp_path / 'vis_image')) == ['a_0.png', 'set']


@pytest.mark.parametrize('kind', [np.float32, np.int64, bool])
def test_other_types_are_refused_as_by_the_stock_method(
        tmp_path, image, kind):
    with pytest.raises(ValueError, match=f'picture of {np.dtype(kind)}'):
        LocalVisBackend(str(tmp_path)).add_image('a', image.astype(kind))


def test_a_failed_picture_leaves_the_older_one(tmp_path, image, monkeypatch):
    backend = LocalVisBackend(str(tmp_path))
    backend.add_image('a', image)
    replace = os.replace

    def full(source, target):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(OSError, match='a_0.png .No space left on device'):
        backend.add_image('a', 255 - image)
    monkeypatch.setattr(os, 'replace', replace)
    assert os.listdir(tmp_path / 'vis_image') == ['a_0.png']
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / 'vis_image/a_0.png')), image)
