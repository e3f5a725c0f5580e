"""Maps of a clip keep one scale and shift."""
import numpy as np
import pytest

from genpercept_mm.apis.clip_alignment import ClipAlignment


def clip(count=6, size=(70, 90)):
    """A scene that moves slowly, and random scales and shifts of it."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size[0], :size[1]] / 50.
    for number in range(count):
        scene = .5 + .2 * np.sin(rows + .01 * number) * np.cos(columns)
        scale, shift = rng.uniform(.5, 1.5), rng.uniform(-.2, .2)
        yield scene, (scene - shift) / scale


def test_still_frames_come_back_exactly():
    align, (scene, _) = ClipAlignment(), next(clip())
    np.testing.assert_array_equal(align(scene), scene.astype(np.float32))
    for scale, shift in ((2, .3), (.7, -.1)):
        np.testing.assert_allclose(
            align((scene - shift) / scale), scene, rtol=1e-5)
        assert align.scale == pytest.approx(scale, rel=1e-5)
        assert align.shift == pytest.approx(shift, abs=1e-5)


def test_flicker_goes_away():
    align, raw, aligned = ClipAlignment(), [], []
    for scene, values in clip():
        raw.append(values)
        aligned.append(align(values))

    def jumps(maps):
        return np.abs(np.diff(maps, axis=0)).mean()

    assert jumps(aligned) < .1 * jumps(raw)


def test_the_filter_is_exponential():
    scene = next(clip())[0]
    align = ClipAlignment(.75)
    align(scene)
    align(scene / 2)  # the fit is a scale of 2
    assert align.scale == pytest.approx(.75 * 1 + .25 * 2, rel=1e-6)


def test_cuts_and_other_sizes_keep_scale_and_shift():
    align, scene = ClipAlignment(), next(clip())[0]
    align(scene)
    align(scene / 2)
    align(-scene)
    assert align.scale == pytest.approx(2, rel=1e-5)
    align(scene[:9, :9])
    assert align.scale == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize('value', [-.1, 1, 2])
def test_filters_outside_the_range_are_refused(value):
    with pytest.raises(ValueError, match=r'filter must be in \[0, 1\)'):
        ClipAlignment(value)


def test_noise_does_not_fade_the_map_out():
    """A fit by least squares would lose three quarters of the scale."""
    rng = np.random.default_rng(1)
    scene = np.tile(np.linspace(.1, .9, 60), (40, 1))
    align = ClipAlignment()
    for _ in range(300):
        shown = align(scene + rng.normal(0, .02, scene.shape))
    assert align.scale == pytest.approx(1, abs=.05)
    assert np.abs(shown - scene).mean() < .05
