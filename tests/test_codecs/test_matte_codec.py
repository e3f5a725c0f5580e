import numpy as np
import pytest
import torch

from genpercept_mm.codecs import MatteCodec


def test_opacity_is_scaled_to_both_sides_of_zero():
    alpha = np.array([[0., .25, .5, 1.]], np.float32)
    target, mask = MatteCodec().encode(alpha)
    assert target[..., 0].tolist() == [[-1, -.5, 0, 1]]
    assert mask.all()
    decoded = MatteCodec().decode(torch.from_numpy(target).permute(2, 0, 1))
    np.testing.assert_array_equal(decoded[0], alpha)


def test_a_full_mask_is_foreground_unless_stretched():
    """The official stretch makes every constant mask background."""
    full = np.ones((3, 4), np.float32)
    assert (MatteCodec().encode(full)[0] == 1).all()
    assert (MatteCodec(stretch=True).encode(full)[0] == -1).all()
    alpha = np.array([[.2, .4, .6]], np.float32)
    assert MatteCodec(stretch=True).encode(alpha)[0].flatten() == (
        pytest.approx([-1, 0, 1], abs=1e-6))


def test_invalid_pixels_leave_the_target_finite():
    target, mask = MatteCodec().encode(np.array([[np.nan, 1., np.inf]]))
    assert mask.tolist() == [[False, True, False]]
    assert np.isfinite(target).all()


def test_pictures_are_grey():
    assert MatteCodec().colorize(np.array([[0., .5, 1.]]))[0].tolist() == [
        [0] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize('alpha, message', [
    (np.full((2, 2), 255.), 'another task'),
    (np.full((2, 2), -1.), 'another task'),
    (np.ones((2, 2, 3)), r'\(H, W\)')])
def test_labels_of_another_task_are_refused(alpha, message):
    with pytest.raises(ValueError, match=message):
        MatteCodec().encode(alpha)
