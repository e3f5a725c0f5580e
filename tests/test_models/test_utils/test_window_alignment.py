import numpy as np
import pytest
import torch

from genpercept_mm.models.utils.window_alignment import (
    align_windows,
    blend_weights,
)

BOXES = [(0, 12, 0, 12), (0, 12, 8, 20), (6, 18, 0, 12), (6, 18, 8, 20)]


def windows_of(image, affine):
    return [(image[None, top:bottom, left:right] - shift) / scale
            for (top, bottom, left, right), (scale, shift) in zip(
                BOXES, affine)]


def test_affine_copies_of_one_map_are_put_together_again():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.normal(size=(18, 20)))
    affine = [(2., .3), (.5, -1.), (3., 0.), (1., 2.)]
    windows = windows_of(image, affine)
    found = align_windows(windows, BOXES)
    merged = torch.full((18, 20), torch.nan, dtype=torch.float64)
    for window, (scale, shift), (top, bottom, left, right) in zip(
            windows, found, BOXES):
        merged[top:bottom, left:right] = window[0] * scale + shift
    # up to one affine map for the whole image
    slope, offset = np.polyfit(merged.flatten(), image.flatten(), 1)
    np.testing.assert_allclose(merged * slope + offset, image, atol=1e-9)
    assert slope > 0


def test_two_windows_in_closed_form():
    """Equal means and standard deviations where they overlap."""
    rng = np.random.default_rng(1)
    first = torch.from_numpy(rng.normal(size=(1, 12, 12)) * 3)
    second = torch.from_numpy(rng.normal(size=(1, 12, 12)))
    second[..., :4] += first[..., 8:]
    anchor, (scale, shift) = align_windows([first, second], BOXES[:2])
    assert anchor.tolist() == [1, 0]
    ours, theirs = second[..., :4] * scale + shift, first[..., 8:]
    assert ours.mean().item() == pytest.approx(theirs.mean().item())
    assert ours.std().item() == pytest.approx(theirs.std().item())


def test_scales_do_not_shrink_from_window_to_window():
    """Sixteen noisy windows in a row keep their amplitude."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.sin(torch.linspace(0, 40, 544)).expand(1, 64, 544)
    boxes = [(0, 64, 32 * k, 32 * k + 64) for k in range(16)]
    windows = []
    for _, _, left, right in boxes:
        noise = torch.nn.functional.interpolate(
            torch.randn(1, 1, 8, 8, generator=generator), size=(64, 64),
            mode='bilinear')[0]
        gain = .7 + .6 * torch.rand(1, generator=generator)
        windows.append(gain * (scene[..., left:right] + .1 * noise))
    amplitudes = [
        (window * scale + shift).std() / scene[..., left:right].std()
        for window, (scale, shift), (_, _, left, right) in zip(
            windows, align_windows(windows, boxes), boxes)]
    assert min(amplitudes) / max(amplitudes) > .6


def test_flat_and_reversed_windows_are_shifted():
    """Beside a ramp, to its mean in the overlap."""
    ramp = torch.linspace(-1, 1, 64).expand(1, 64, 64)
    boxes = [(0, 64, 0, 64), (0, 64, 32, 96)]
    middle = ramp[0, 0, 32:].mean().item()
    flat = torch.full((1, 64, 64), -.2)
    assert align_windows([ramp, flat], boxes)[1] == pytest.approx(
        [1, middle + .2])
    scale, shift = align_windows([ramp, .9 * ramp.flip(-1)], boxes)[1]
    assert scale == 1
    assert shift == pytest.approx(
        middle - .9 * ramp.flip(-1)[0, 0, :32].mean().item())


def test_windows_without_information_stay():
    flat = [torch.zeros(1, 12, 12)] * 4
    assert np.isfinite(align_windows(flat, BOXES)).all()
    apart = align_windows([torch.rand(1, 4, 4)] * 2,
                          [(0, 4, 0, 4), (0, 4, 9, 13)])
    assert apart.tolist() == [[1, 0], [1, 0]]
    inverted = torch.rand(1, 12, 12)
    scales = align_windows([inverted, -inverted], [BOXES[0], BOXES[0]])[:, 0]
    assert (scales > 0).all()


def test_weights_fall_off_to_the_border():
    weights = blend_weights((3, 4))
    assert weights == pytest.approx(
        np.outer([.5, 1, .5], [.4, .8, .8, .4]))


@pytest.mark.parametrize('seed', range(8))
def test_a_plane_wall_in_the_overlap_says_nothing_about_scales(seed):
    """All that varies there is the error of the network, not the scene."""
    from scipy.ndimage import gaussian_filter
    rng = np.random.default_rng(seed)
    scene = np.interp(np.linspace(0, 1, 448), [0, .42, .58, 1],
                      [-.8, 0, 0, .8])[None].repeat(256, 0)
    boxes, windows = [(0, 256, 0, 256), (0, 256, 192, 448)], []
    for (_, _, left, right), size in zip(boxes, (.004, .012)):
        error = gaussian_filter(rng.normal(size=(256, 256)), 12)
        windows.append(torch.from_numpy(
            scene[:, left:right] + error * size / error.std())[None])
    found = align_windows(windows, boxes)
    assert found[:, 0] == pytest.approx([1, 1], rel=.05)
    assert found[:, 1] == pytest.approx([0, 0], abs=.02)
