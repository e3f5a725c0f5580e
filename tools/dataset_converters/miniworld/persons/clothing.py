"""Random looks of people: skin, hair and clothes."""
import colorsys
from collections import namedtuple

import numpy as np

_SKINS = ((246, 212, 188), (233, 190, 160), (214, 165, 130), (182, 130, 95),
          (141, 95, 66), (100, 66, 47))
_HAIRS = ((28, 24, 22), (58, 40, 28), (105, 70, 40), (190, 150, 85),
          (150, 70, 35), (165, 163, 160))

#: Colours are RGB in [0, 255]. ``sleeve`` and ``leg`` say how far cloth
#: reaches from shoulder to wrist and from hip to ankle, in [0, 1];
#: ``stripe`` is a second colour of the top, or None; ``hair`` is one of
#: ``HAIRCUTS``; ``skirt`` says whether the person wears a skirt.
Look = namedtuple('Look', 'skin hair_color hair top stripe sleeve bottom '
                  'skirt leg shoe')

HAIRCUTS = ('short', 'short', 'long', 'tail', 'bald', 'cap')


def random_color(rng, saturation=(0.1, 0.85), value=(0.2, 0.95)):
    """Draw a colour of any hue.

    Args:
        rng (np.random.Generator): Source of all choices.
        saturation (tuple[float]): Smallest and largest. Defaults to
            (0.1, 0.85).
        value (tuple[float]): Smallest and largest. Defaults to (0.2, 0.95).

    Returns:
        np.ndarray: (3,) RGB in [0, 255].
    """
    return 255 * np.array(colorsys.hsv_to_rgb(
        rng.random(), rng.uniform(*saturation), rng.uniform(*value)))


def random_look(rng, skirts=True):
    """Choose the appearance of a person at random.

    Args:
        rng (np.random.Generator): Source of all choices.
        skirts (bool): Whether the pose allows a skirt. Defaults to True.

    Returns:
        Look: Colours and cuts.
    """
    skin = np.array(_SKINS[rng.integers(len(_SKINS))]) + rng.normal(0, 6, 3)
    hair = np.array(_HAIRS[rng.integers(len(_HAIRS))]) + rng.normal(0, 6, 3)
    skirt = skirts and rng.random() < 0.15
    return Look(
        skin=skin, hair_color=hair,
        hair=HAIRCUTS[rng.integers(len(HAIRCUTS))],
        top=random_color(rng),
        stripe=random_color(rng) if rng.random() < 0.3 else None,
        sleeve=rng.choice([0.12, 0.4, 1.0], p=[0.15, 0.4, 0.45]),
        bottom=random_color(rng, (0.05, 0.6), (0.12, 0.75)),
        skirt=skirt,
        leg=0.45 if skirt else rng.choice([0.5, 1.0], p=[0.25, 0.75]),
        shoe=random_color(rng, (0, 0.5), (0.08, 0.95)))
