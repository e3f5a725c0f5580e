"""Registries of scope ``genpercept_mm``, children of mmengine's roots.

mmengine imports this module by itself when a config names a type such as
``genpercept_mm.SDUNet``, so an installed package needs no
``custom_imports``.
"""
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry, build_from_cfg

from genpercept_mm.utils.argument_types import check_types


class _CheckedRegistry(Registry):
    """A registry whose classes check the types of their arguments."""

    def _register_module(self, module, *args, **kwargs):
        if isinstance(module, type):
            check_types(module)
        super()._register_module(module, *args, **kwargs)


def _child(name, parent, *locations):
    return _CheckedRegistry(
        name,
        parent=parent,
        scope='genpercept_mm',
        locations=[f'genpercept_mm.{location}' for location in locations])


def _build_codec(cfg, registry):
    """Build in this scope, as hosts have no codecs, and keep the config,
    which checkpoints record."""
    codec = build_from_cfg(dict(cfg, _scope_='genpercept_mm'), registry)
    codec.cfg = dict(cfg)
    return codec


# A dense task: raw label -> network target -> quantity -> picture
CODECS = _CheckedRegistry(
    'codec',
    build_func=_build_codec,
    scope='genpercept_mm',
    locations=['genpercept_mm.codecs'])
# Backbones, heads, data preprocessors, losses, estimators
MODELS = _child('model', MMENGINE_MODELS, 'models')
# Data sets and their transforms
DATASETS = _child('dataset', MMENGINE_DATASETS, 'datasets')
TRANSFORMS = _child('transform', MMENGINE_TRANSFORMS, 'datasets.transforms')
DATA_SAMPLERS = _child('data sampler', MMENGINE_DATA_SAMPLERS,
                       'datasets.samplers')
# Evaluation
METRICS = _child('metric', MMENGINE_METRICS, 'evaluation')
# Pictures of predictions beside labels
VISUALIZERS = _child('visualizer', MMENGINE_VISUALIZERS, 'visualization')
# What happens around the training loop
HOOKS = _child('hook', MMENGINE_HOOKS, 'engine')
# What counts as an iteration
LOOPS = _child('loop', MMENGINE_LOOPS, 'engine')
# Learning rates of single parameters
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    'engine')
