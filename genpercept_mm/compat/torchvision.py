"""Whether torchvision works, and what takes its place in mmpose."""
from functools import lru_cache

from .probing import import_problem

SIMCC_VIS = 'mmpose.visualization.simcc_vis'


@lru_cache
def torchvision_problem():
    """Try torchvision, including its compiled part.

    A wheel for another torch fails with "operator torchvision::nms does not
    exist" (RuntimeError) or with an undefined symbol (OSError). Returns None
    if it works, otherwise the reason why it does not.
    """
    return import_problem('torchvision.ops')


def fill_simcc(module, problem):
    """Provide a `SimCCVisualizer` that only explains what it needs."""

    class SimCCVisualizer:
        """Drawing SimCC vectors needs torchvision, which is missing."""

        def __init__(self, *args, **kwargs):
            raise ImportError(
                f'SimCCVisualizer needs torchvision ({torchvision_problem()});'
                ' install the torchvision that belongs to your torch.')

    module.SimCCVisualizer = SimCCVisualizer
