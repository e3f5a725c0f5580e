"""Step in when a host imports a module that needs a replacement."""
import importlib.abc
import importlib.machinery
import sys

from .checkpoints import load_weights_only
from .mmcv_ext import MMCV_EXT, ExtLoader
from .pose import XTCOCOTOOLS, XTCOCOTOOLS_MASK, MaskLoader, stand_in_spec
from .state import store_no_functions
from .torchvision import SIMCC_VIS, SimCCLoader, torchvision_problem

# Modules that are loaded as they are and then changed.
PATCHES = {
    'mmengine.runner.checkpoint': load_weights_only,
    'mmengine.optim.scheduler.param_scheduler': store_no_functions,
}


class Finder(importlib.abc.MetaPathFinder):
    """Find the modules that `genpercept_mm.compat` lists."""

    def find_spec(self, name, path=None, target=None):
        """Return the spec of a module to replace, otherwise None."""
        if name == MMCV_EXT:
            return importlib.machinery.ModuleSpec(
                name, ExtLoader(_find_beneath(name, path)))
        if name == SIMCC_VIS and torchvision_problem():
            return importlib.machinery.ModuleSpec(name, SimCCLoader())
        if name == XTCOCOTOOLS:
            return _find_beneath(name, path) or stand_in_spec()
        if name == XTCOCOTOOLS_MASK:
            return importlib.machinery.ModuleSpec(
                name, MaskLoader(_find_beneath(name, path)))
        if name in PATCHES:
            spec = _find_beneath(name, path)
            if spec is not None:
                spec.loader = _PatchingLoader(spec.loader, PATCHES[name])
            return spec
        return None


def _find_beneath(name, path):
    """Find what would be imported without `Finder`."""
    for finder in sys.meta_path:
        if isinstance(finder, Finder):
            continue
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


class _PatchingLoader(importlib.abc.Loader):
    """Run a module as usual, then change it."""

    def __init__(self, loader, patch):
        self.loader, self.patch = loader, patch

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        self.patch(module)
