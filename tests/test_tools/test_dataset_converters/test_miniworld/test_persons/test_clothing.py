import colorsys

import numpy as np
from miniworld.persons.clothing import (
    HAIRCUTS,
    random_color,
    random_look,
)


def test_colors_are_within_their_limits():
    rng = np.random.default_rng(0)
    hues = []
    for _ in range(200):
        color = random_color(rng, (0.2, 0.4), (0.5, 0.6))
        hue, saturation, value = colorsys.rgb_to_hsv(*color / 255)
        assert 0.2 - 1e-9 <= saturation <= 0.4 + 1e-9
        assert 0.5 - 1e-9 <= value <= 0.6 + 1e-9
        hues.append(hue)
    assert min(np.histogram(hues, 4, (0, 1))[0]) > 25


def test_people_look_different_but_possible():
    looks = [random_look(np.random.default_rng(seed)) for seed in range(150)]
    assert {look.hair for look in looks} == set(HAIRCUTS)
    for look in looks:
        for color in (look.skin, look.top, look.bottom, look.shoe):
            assert color.shape == (3,)
            assert color.min() > -30 and color.max() < 285
        # skin is warm
        assert look.skin[0] > look.skin[2]
        assert 0 < look.sleeve <= 1 and 0 < look.leg <= 1
        # legs are seen below a skirt
        assert not look.skirt or look.leg < 0.5
    assert 0.05 < np.mean([look.skirt for look in looks]) < 0.3
    assert 0.2 < np.mean([look.stripe is not None for look in looks]) < 0.4


def test_some_poses_have_no_skirts():
    assert not any(random_look(np.random.default_rng(seed), False).skirt
                   for seed in range(60))


def test_equal_seeds_give_equal_looks():
    one, two = (random_look(np.random.default_rng(8)) for _ in range(2))
    assert np.array_equal(one.top, two.top) and one.hair == two.hair
