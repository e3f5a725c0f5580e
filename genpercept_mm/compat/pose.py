"""Let pycocotools take the place of xtcocotools, which mmpose imports."""
import contextlib
import importlib
import importlib.abc
import importlib.util
import os.path as osp

XTCOCOTOOLS = 'xtcocotools'
XTCOCOTOOLS_MASK = 'xtcocotools._mask'


def stand_in_spec():
    """Return a spec that loads our ``xtcocotools`` under that name."""
    folder = osp.join(osp.dirname(__file__), XTCOCOTOOLS)
    return importlib.util.spec_from_file_location(
        XTCOCOTOOLS,
        osp.join(folder, '__init__.py'),
        submodule_search_locations=[folder])


class MaskLoader(importlib.abc.Loader):
    """Load xtcocotools' compiled part if it works, otherwise pycocotools'.

    xtcocotools' wheels are built for NumPy 1 and do not load with NumPy 2:
    "numpy.dtype size changed" (ValueError).
    """

    def __init__(self, spec):
        self.real = spec

    def create_module(self, spec):
        if self.real is None:
            return None
        try:
            module = self.real.loader.create_module(self.real)
        except (ImportError, ValueError):
            self.real = None
            return None
        spec.origin, spec.has_location = self.real.origin, True
        return module

    def exec_module(self, module):
        if self.real is not None:
            with contextlib.suppress(ImportError, ValueError):
                self.real.loader.exec_module(module)
                return
        compiled = importlib.import_module('pycocotools._mask')
        for name in ('iou', 'merge', 'frPyObjects', 'encode', 'decode',
                     'area', 'toBbox'):
            setattr(module, name, getattr(compiled, name))
