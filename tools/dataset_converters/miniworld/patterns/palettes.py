"""Random sets of colours."""
import cv2
import numpy as np


def vivid(rng, count):
    """Saturated colours of all hues, as those of class maps and toys."""
    return _from_hsv(rng.uniform(0, 1, count), rng.uniform(.6, 1, count),
                     rng.uniform(.4, 1, count))


def muted(rng, count):
    """Colours around two hues, as those of photographs."""
    hues = rng.choice(rng.uniform(0, 1, 2), count) + rng.normal(0, .04, count)
    return _from_hsv(hues, rng.uniform(0, .5, count),
                     rng.uniform(.05, 1, count))


def grey(rng, count):
    """Grey levels, black and white among them, as those of masks."""
    levels = rng.uniform(0, 1, count)
    levels[:2] = 0, 1
    return np.repeat(rng.permutation(levels)[:, None], 3, 1)


def corners(rng, count):
    """Corners of the RGB cube, and colours between them."""
    return np.clip(rng.integers(0, 2, (count, 3))
                   + rng.normal(0, .15, (count, 3)), 0, 1)


PALETTES = (vivid, muted, muted, muted, grey, corners)


def random_palette(rng, count):
    """Draw colours of a random kind.

    Args:
        rng (np.random.Generator): Random numbers.
        count (int): How many, at least 2.

    Returns:
        np.ndarray: (count, 3) float64 RGB in [0, 1].
    """
    return PALETTES[rng.integers(len(PALETTES))](rng, count)


def _from_hsv(hue, saturation, value):
    hsv = np.stack([hue % 1 * 360, saturation, value], -1)
    return cv2.cvtColor(hsv[None].astype(np.float32),
                        cv2.COLOR_HSV2RGB)[0].astype(np.float64)
