"""What mmpose needs: xtcocotools by way of pycocotools, scalar radii, arrays
of tensors in half precision."""
import importlib
import importlib.util
import os.path as osp
from functools import wraps

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
    """Fill xtcocotools' compiled part with that of pycocotools. Its wheels are
    built for NumPy 1 and do not load with NumPy 2: "numpy.dtype size changed"
    (ValueError)."""
    compiled = importlib.import_module('pycocotools._mask')
    for name in ('iou', 'merge', 'frPyObjects', 'encode', 'decode', 'area',
                 'toBbox'):
        setattr(module, name, getattr(compiled, name))


def take_scalar_radii(module):
    """Let mmpose's visualizer pass OpenCV a radius as a number. Its array of
    one value fails with NumPy 2.4: "only 0-dimensional arrays can be converted
    to Python scalars"."""
    visualizer = module.OpencvBackendVisualizer
    stock = visualizer.draw_circles

    @wraps(stock)
    def draw_circles(self, center, radius, *args, **kwargs):
        if self.backend == 'opencv' and getattr(radius, 'size', None) == 1:
            radius = radius.item()
        return stock(self, center, radius, *args, **kwargs)

    visualizer.draw_circles = draw_circles


def widen_half_precision(module):
    """Let mmpose's ``to_numpy`` give float32 for tensors in bf16, which fail
    ("Got unsupported ScalarType BFloat16"), and in fp16."""
    stock = module.to_numpy

    @wraps(stock)
    def to_numpy(x, *args, **kwargs):
        return stock(_widened(x), *args, **kwargs)

    module.to_numpy = to_numpy


def _widened(x):
    if isinstance(x, (list, tuple)):
        return type(x)(map(_widened, x))
    half = str(getattr(x, 'dtype', '')) in ('torch.bfloat16', 'torch.float16')
    return x.float() if half else x
