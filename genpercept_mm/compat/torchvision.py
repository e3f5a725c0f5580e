"""Whether torchvision works, and what takes its place in mmpose."""
import importlib
from functools import lru_cache

from .probing import find_without_import, first_line

SIMCC_VIS = 'mmpose.visualization.simcc_vis'


@lru_cache
def torchvision_problem():
    """Return why torchvision does not load, or None if it works.

    That is ``'not installed'`` or the first line of the error. A wheel for
    another torch fails with "operator torchvision::nms does not exist"
    (RuntimeError) or an undefined symbol (OSError).
    """
    if not find_without_import('torchvision'):
        return 'not installed'
    try:
        importlib.import_module('torchvision.ops')
    except (ImportError, RuntimeError, OSError) as error:
        return first_line(error)
    return None


def fill_simcc(module, problem):
    """Provide a `SimCCVisualizer` that only explains what it needs."""

    class SimCCVisualizer:
        """Drawing SimCC vectors needs torchvision, which is missing."""

        def __init__(self, *args, **kwargs):
            raise ImportError(
                f'SimCCVisualizer needs torchvision ({torchvision_problem()});'
                ' install the torchvision that belongs to your torch.')

    module.SimCCVisualizer = SimCCVisualizer
