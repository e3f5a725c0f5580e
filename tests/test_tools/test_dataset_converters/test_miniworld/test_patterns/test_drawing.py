import numpy as np
import pytest
from miniworld.patterns import drawing


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_seed_decides_the_picture():
    one, again, other = (drawing.draw_pattern(rng(seed), 48, 64)
                         for seed in (3, 3, 4))
    assert one.shape == (48, 64, 3) and one.dtype == np.uint8
    assert np.array_equal(one, again) and not np.array_equal(one, other)


@pytest.mark.parametrize('style', drawing.STYLES[2:])
def test_each_style_draws_something(style):
    pictures = [style(rng(seed), 48, 64) for seed in range(8)]
    assert all(np.isfinite(picture).all() for picture in pictures)
    assert np.mean([picture.std() for picture in pictures]) > .05


def test_many_small_shapes_and_few_large_ones():
    """The density falls with the cube: half the logarithm's slope of -2 of
    the share above a radius."""
    radii = drawing._radii(rng(), 20000, 100, .05, .6)
    assert radii.min() >= 5 and radii.max() <= 60
    for radius in (8, 16, 32):
        expected = (radius ** -2 - 60 ** -2) / (5 ** -2 - 60 ** -2)
        assert (radii > radius).mean() == pytest.approx(expected, abs=.01)


def test_noise_falls_with_the_power_of_the_frequency():
    spectrum = np.mean([np.abs(np.fft.fft2(drawing.clouds(
        rng(seed), 64, 64, 1.5))) for seed in range(40)], axis=0)
    slope = np.polyfit(np.log(np.arange(2, 20)),
                       np.log(spectrum[0, 2:20]), 1)[0]
    assert slope == pytest.approx(-1.5, abs=.1)


def test_a_ramp_is_linear_from_0_to_1():
    course = drawing.ramp(rng(2), 12, 20)
    assert course.min() == 0 and course.max() == 1
    np.testing.assert_allclose(np.diff(course, 2, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(course, 2, axis=1), 0, atol=1e-12)
