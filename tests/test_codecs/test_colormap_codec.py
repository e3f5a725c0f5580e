import numpy as np
import pytest
import torch

from genpercept_mm.codecs import ColormapCodec

WALL, FLOOR = np.array([174, 199, 232]), np.array([152, 223, 138])


def decode(codec, target):
    return codec.decode(torch.from_numpy(target).permute(2, 0, 1)[None])[0, 0]


def test_all_classes_survive_encoding_and_noise():
    codec = ColormapCodec()
    ids = np.arange(40).reshape(5, 8)
    target, mask = codec.encode(ids)
    assert mask.all()
    np.testing.assert_allclose(target[0, 0], WALL / 127.5 - 1, atol=1e-6)
    # half the smallest distance between two colours of the palette
    colors = codec.palette.astype(float) / 127.5 - 1
    distances = np.linalg.norm(colors[:, None] - colors, axis=2)
    radius = distances[distances > 0].min() / 2
    noise = np.random.default_rng(0).normal(size=target.shape)
    noise *= .99 * radius / np.linalg.norm(noise, axis=2, keepdims=True)
    assert (decode(codec, (target + noise).astype('f')).numpy() == ids).all()


def test_decoding_is_the_nearest_colour():
    """Against scipy's nearest-neighbour search."""
    from scipy.spatial import KDTree
    codec = ColormapCodec()
    output = torch.rand(2, 3, 150, 7) * 2 - 1
    expected = KDTree(codec.palette / 127.5 - 1).query(
        output.permute(0, 2, 3, 1).reshape(-1, 3))[1]
    assert codec.decode(output).flatten().tolist() == expected.tolist()


def test_colours_of_the_official_encoding():
    """The image shows only wall and floor: 138 and 232 become the ends."""
    target, mask = ColormapCodec(stretch=True).encode(np.array([[0, 1]]))
    np.testing.assert_allclose(
        target[0], [(WALL - 138) / 94 * 2 - 1, (FLOOR - 138) / 94 * 2 - 1],
        atol=1e-6)
    assert target[0, 0, 0] == pytest.approx(-.23404, abs=1e-5)
    unlabelled, mask = ColormapCodec(stretch=True).encode(
        np.array([[0, 255]]))
    assert mask.all() and (unlabelled[0, 1] == -1).all()


def test_unlabelled_pixels_do_not_count():
    _, mask = ColormapCodec().encode(np.array([[0, 255, 39]]))
    assert mask.tolist() == [[True, False, True]]


def test_pictures_and_fields():
    codec = ColormapCodec()
    assert codec.colorize(np.array([[0, 1, 255]]))[0].tolist() == [
        WALL.tolist(), FLOOR.tolist(), [0, 0, 0]]
    assert (codec.gt_field, codec.pred_field, codec.label_key) == (
        'gt_sem_seg', 'pred_sem_seg', 'gt_seg_map')


@pytest.mark.parametrize('palette', [
    'ade20k', [[0, 0, 0], [0, 0, 0]], [[.1, .2, .3], [.4, .5, .6]],
    [[0, 0, 256]], [[1, 2]]])
def test_bad_palettes(palette):
    with pytest.raises((TypeError, ValueError), match='ColormapCodec'):
        ColormapCodec(palette)


def test_more_classes_than_a_byte_counts():
    palette = [[i // 16, i % 16 * 16, 0] for i in range(300)]
    codec = ColormapCodec(palette, ignore_index=-1)
    ids = np.arange(300).reshape(15, 20)
    assert (decode(codec, codec.encode(ids)[0]).numpy() == ids).all()
    assert codec.colorize(np.array([[255, -1]]))[0].tolist() == [
        palette[255], [0, 0, 0]]


@pytest.mark.parametrize('label', [
    np.array([[40]]), np.array([[-1]]), np.array([[.5]]), np.zeros((2, 2, 3))])
def test_labels_that_are_no_class_ids(label):
    with pytest.raises(ValueError, match='ColormapCodec'):
        ColormapCodec().encode(label)


@pytest.mark.parametrize('kind', [np.uint8, np.int64])
def test_unlabelled_pixels_are_black_in_any_integer_type(kind):
    """NumPy 2 wraps -1 around in an array of bytes."""
    target, valid = ColormapCodec().encode(np.array([[0, 255]], kind))
    np.testing.assert_array_equal(valid, [[True, False]])
    np.testing.assert_allclose(target[0, 0], WALL / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(target[0, 1], -1)


def test_a_traced_graph_has_no_strips(monkeypatch):
    """Their number would be that of the example's height."""
    codec = ColormapCodec()
    output = torch.rand(
        2, 3, 300, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = codec.decode(output)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    strip, = [strip for strip, _ in codec._scores(output)]
    assert strip.shape == output.shape
    assert torch.equal(codec.decode(output), expected)
