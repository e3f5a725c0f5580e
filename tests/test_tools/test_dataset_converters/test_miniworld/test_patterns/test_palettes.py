import numpy as np
import pytest
from miniworld.patterns import palettes


@pytest.mark.parametrize('palette', palettes.PALETTES)
def test_colours_are_in_range(palette):
    colors = palette(np.random.default_rng(0), 50)
    assert colors.shape == (50, 3)
    assert colors.min() >= 0 and colors.max() <= 1
    assert len(np.unique(colors, axis=0)) > 10


def test_kinds_differ_in_saturation():
    def saturation(kind):
        colors = kind(np.random.default_rng(0), 400)
        return np.median(np.ptp(colors, -1) / colors.max(-1).clip(1e-3))

    assert saturation(palettes.grey) == 0
    assert saturation(palettes.muted) < .4 < .6 < saturation(palettes.vivid)
