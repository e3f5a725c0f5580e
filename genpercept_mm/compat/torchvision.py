"""Whether torchvision works, and what takes its place in mmpose."""
import importlib.abc
from functools import lru_cache

from .probing import import_problem

SIMCC_VIS = 'mmpose.visualization.simcc_vis'


@lru_cache
def torchvision_problem():
    """Try torchvision, including its compiled part.

    A wheel for another torch fails with "operator torchvision::nms does not
    exist" (RuntimeError) or with an undefined symbol (OSError).

    Returns:
        str | None: None if it works, otherwise the reason why it does not.
    """
    return import_problem('torchvision.ops')


class SimCCLoader(importlib.abc.Loader):
    """Provide a `SimCCVisualizer` that only explains what it needs."""

    def create_module(self, spec):
        return None

    def exec_module(self, module):

        class SimCCVisualizer:
            """Drawing SimCC vectors needs torchvision, which is missing."""

            def __init__(self, *args, **kwargs):
                raise ImportError(
                    'SimCCVisualizer needs torchvision '
                    f'({torchvision_problem()}); install the torchvision '
                    'that belongs to your torch.')

        module.SimCCVisualizer = SimCCVisualizer
