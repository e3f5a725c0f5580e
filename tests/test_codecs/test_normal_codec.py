import numpy as np
import pytest
import torch

from genpercept_mm.codecs import NormalCodec


def test_target_has_unit_length_and_zero_vectors_are_invalid():
    normals = np.array([[[0, 0, 2.], [3, 0, 4.], [0, 0, 0],
                         [np.nan, 0, 1]]], np.float32)
    target, mask = NormalCodec().encode(normals)
    assert mask.tolist() == [[True, True, False, False]]
    np.testing.assert_allclose(
        target[0], [[0, 0, 1], [.6, 0, .8], [0, 0, 0], [0, 0, 0]], atol=1e-7)


def test_decoding_restores_unit_length_after_clipping():
    output = torch.tensor([[0., 0., .5], [3., 0., 0.], [2., 0., 1.]])
    normals = NormalCodec().decode(output.T.reshape(1, 3, 1, 3))
    assert normals[0, :, 0].T.tolist() == [
        [0, 0, 1], [1, 0, 0], pytest.approx([2**-.5, 0, 2**-.5])]
    official = NormalCodec(normalize=False).decode(
        output.T.reshape(1, 3, 1, 3))
    assert official[0, :, 0].T.tolist() == [[0, 0, .5], [1, 0, 0], [1, 0, 1]]
    assert torch.isfinite(NormalCodec().decode(torch.zeros(1, 3, 2, 2))).all()


def test_mirror_is_that_of_the_scene():
    """Normals of z = a x + b y, and of its mirror image z = -a x + b y."""

    def normal(a, b):
        vector = np.array([-a, -b, 1.])
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    scene, mirrored = normal(.5, .2), normal(-.5, .2)
    np.testing.assert_allclose(
        NormalCodec().mirror(scene[None, None], channel_axis=-1)[0, 0],
        mirrored)
    tensor = torch.from_numpy(scene).view(1, 3, 1, 1)
    np.testing.assert_allclose(
        NormalCodec().mirror(tensor, channel_axis=1).flatten(), mirrored)


def test_usual_colours():
    """Facing wall light blue, floor green, left wall red."""
    normals = np.eye(3)[None, ::-1]
    red, green, blue = NormalCodec().colorize(normals)[0, ::-1]
    assert red.tolist() == [255, 127, 127]
    assert green.tolist() == [127, 255, 127]
    assert blue.tolist() == [127, 127, 255]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r'\(H, W, 3\)'):
        NormalCodec().encode(np.ones((4, 5)))
