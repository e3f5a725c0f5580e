"""Step in when a host imports a module that needs a replacement."""
import importlib
import importlib.abc
import sys
from importlib.machinery import ModuleSpec

from .checkpoints import load_weights_only, map_and_save_whole
from .local_files import write_files_whole
from .losses import weight_ignored_pixels
from .mmcv_ext import MMCV_EXT, fill_ext
from .pose import (
    XTCOCOTOOLS,
    XTCOCOTOOLS_MASK,
    fill_mask,
    stand_in_spec,
    take_scalar_radii,
    widen_half_precision,
)
from .state import (
    begin_with_new_scale,
    follow_shapes,
    store_no_functions,
)
from .torchvision import SIMCC_VIS, fill_simcc, torchvision_problem


def _late(name, function):
    """Import a patch that needs OpenCV only when it is wanted."""

    def patch(module):
        getattr(importlib.import_module(f'.{name}', __package__),
                function)(module)

    return patch


# Modules that are loaded as they are and then changed.
PATCHES = {
    'mmcv.image.io': _late('images', 'decode_all_formats'),
    'mmcv.transforms.loading': _late('images', 'name_images'),
    'mmengine.fileio.backends.local_backend': write_files_whole,
    'mmengine.model.averaged_model': follow_shapes,
    'mmengine.runner.checkpoint': load_weights_only,
    'mmengine.runner.runner': map_and_save_whole,
    'mmengine.visualization.vis_backend': _late(
        'vis_backend', 'write_pictures_whole'),
    'mmengine.optim.optimizer.amp_optimizer_wrapper': begin_with_new_scale,
    'mmengine.optim.scheduler.param_scheduler': store_no_functions,
    'mmpose.utils.tensor_utils': widen_half_precision,
    'mmpose.visualization.opencv_backend_visualizer': take_scalar_radii,
    'mmseg.apis.inference': _late('inferencers', 'draw_quantities'),
    'mmseg.apis.mmseg_inferencer': _late('inferencers', 'take_test_pipeline'),
    'mmseg.models.losses.cross_entropy_loss': weight_ignored_pixels,
}
# Compiled modules, and what fills an empty one where they do not load.
STAND_INS = {MMCV_EXT: fill_ext, XTCOCOTOOLS_MASK: fill_mask}


class Finder(importlib.abc.MetaPathFinder):
    """Find the modules that `genpercept_mm.compat` lists."""

    def find_spec(self, name, path=None, target=None):
        """Return the spec of a module to replace, otherwise None."""
        if name in STAND_INS:
            return ModuleSpec(name, _StandInLoader(
                _find_beneath(name, path), STAND_INS[name]))
        if name == SIMCC_VIS and torchvision_problem():
            return ModuleSpec(name, _StandInLoader(None, fill_simcc))
        if name == XTCOCOTOOLS:
            return _find_beneath(name, path) or stand_in_spec()
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


class _StandInLoader(importlib.abc.Loader):
    """Load a compiled module if it works, otherwise fill an empty one."""

    def __init__(self, spec, fill):
        self.real, self.fill, self.problem = spec, fill, None

    def create_module(self, spec):
        if self.real is None:
            return None
        try:
            # An extension needs torch's symbols, which mmcv loads first.
            module = self.real.loader.create_module(self.real)
        except (ImportError, ValueError) as error:
            self.real, self.problem = None, error
            return None
        spec.origin, spec.has_location = self.real.origin, True
        return module

    def exec_module(self, module):
        if self.real is not None:
            try:
                self.real.loader.exec_module(module)
                return
            except (ImportError, ValueError) as error:
                self.problem = error
        self.fill(module, self.problem)
