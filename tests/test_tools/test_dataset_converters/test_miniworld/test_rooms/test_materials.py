import numpy as np
import pytest
from miniworld.rooms import materials
from miniworld.rooms.materials import (
    hsv,
    linear,
    make_style,
    outside,
)

COLOR = np.array([0.7, 0.5, 0.3])


@pytest.mark.parametrize('make', [
    lambda rng: materials.grain(rng, COLOR),
    lambda rng: materials.planks(rng, COLOR),
    lambda rng: materials.tiles(rng, COLOR),
    lambda rng: materials.tiles(rng, COLOR, COLOR * 0.5),
    lambda rng: materials.stripes(COLOR, COLOR * 0.5),
    lambda rng: materials.check(COLOR, COLOR * 0.5),
    lambda rng: materials.weave(rng, COLOR),
    materials.painting, materials.rug_pattern, materials.screen])
def test_textures_are_reflectances_that_follow_the_seed(make):
    for seed in range(6):
        image = make(np.random.default_rng(seed)).image
        assert image.ndim == 3 and image.shape[2] == 3
        assert image.dtype == np.float32
        assert 0 < image.min() < image.max() < 1
        assert np.array_equal(image,
                              make(np.random.default_rng(seed)).image)


def test_colours_are_converted_to_linear_light():
    assert np.allclose(linear((0.5, 0.25, 0.9)),
                       (0.5**2.2, 0.25**2.2, 0.9**2.2))
    assert linear((0, 0, 0)) > (0, 0, 0), 'nothing is perfectly black'
    color = hsv(np.random.default_rng(0), 0.0, 0.9, 0.9)
    assert color.argmax() == 0 and color[1:].max() < 0.5, 'hue 0 is red'


def test_sky_is_above_the_lawn_and_dark_at_night():
    day = outside(np.random.default_rng(0), False).image
    assert day[0].mean() > 3 * day[-1].mean()
    assert day[-1, 0].argmax() == 1
    assert outside(np.random.default_rng(0), True).image.max() < 0.1


def test_lamps_shine_in_the_evening():
    shades = [make_style(np.random.default_rng(seed), True).lamp_shade(
        np.random.default_rng(0), 0.2) for seed in range(8)]
    assert all(min(shade.emission) > 0 for shade in shades)
    by_day = {make_style(np.random.default_rng(seed), False).lamp_on
              for seed in range(8)}
    assert by_day == {False, True}
