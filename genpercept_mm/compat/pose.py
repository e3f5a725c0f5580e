"""Let pycocotools take the place of xtcocotools, which mmpose imports."""
import importlib
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


def fill_mask(module, problem):
    """Fill xtcocotools' compiled part with that of pycocotools.

    xtcocotools' wheels are built for NumPy 1 and do not load with NumPy 2:
    "numpy.dtype size changed" (ValueError).
    """
    compiled = importlib.import_module('pycocotools._mask')
    for name in ('iou', 'merge', 'frPyObjects', 'encode', 'decode', 'area',
                 'toBbox'):
        setattr(module, name, getattr(compiled, name))
