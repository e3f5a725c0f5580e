import numpy as np
from matplotlib import colormaps

from genpercept_mm.visualization.error_colors import colorize_error


def test_colours_are_matplotlibs():
    error = np.array([[0., .1, .25, 9., np.nan]])
    shown = colorize_error(error, .25)
    viridis = np.round(np.array(colormaps['viridis'].colors) * 255)
    assert shown.dtype == np.uint8
    # a table of 256 colours: 0.4 falls in entry 102
    for column, entry in enumerate((0, 102, 255, 255)):
        np.testing.assert_allclose(shown[0, column], viridis[entry], atol=1)
    np.testing.assert_array_equal(shown[0, 4], 0)
