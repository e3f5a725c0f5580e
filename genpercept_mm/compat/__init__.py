"""What OpenMMLab needs to run with newer torch, NumPy and fewer wheels.

OpenMMLab's last releases predate torch 2.6 and NumPy 2 and offer compiled
wheels for few versions of torch and Python. `apply` changes exactly this, and
each only where it is needed:

``mmcv._ext``
    Where no compiled module loads, a stand-in takes its place: the ops of
    `genpercept_mm.compat.ops` in plain torch, and for every other op an error
    that names it. A compiled mmcv that works is left alone.
``mmpose.visualization.simcc_vis``
    Where torchvision does not load, a stand-in takes the place of this one
    module, which imports it. A torchvision that works is left alone.
``xtcocotools``
    Where it is not installed, `genpercept_mm.compat.xtcocotools` takes its
    place, which computes the same numbers with pycocotools. Where only its
    compiled part fails to load, that of pycocotools is used. An xtcocotools
    that works is left alone.
``to_numpy`` (mmpose)
    Takes tensors in bf16, which NumPy does not have, and fp16, which OpenCV
    does not blur, as float32.
``OpencvBackendVisualizer.draw_circles`` (mmpose)
    Takes a radius in an array, which NumPy 2.4 does not convert.
``CheckpointLoader.load_checkpoint`` (mmengine)
    Loads with ``weights_only``, so no code in a downloaded file runs,
    whatever torch's environment variables say. The training history and the
    NumPy arrays of numbers that mmengine's files hold are read as well.
``Runner.resume`` (mmengine)
    Loads to the CPU first, not to the GPU beside the model, where Adam's step
    counts would stay and each step would wait for them.
``MessageHub.state_dict`` and ``load_state_dict`` (mmengine)
    Store that history as plain lists, and NumPy or torch scalars as numbers,
    so that ``torch.load(path, weights_only=True)`` reads our checkpoints
    without this package. mmengine alone resumes from them without the
    history of logged values.
``BaseAveragedModel.update_parameters`` (mmengine)
    Takes buffers that got another shape after the model was copied, as an
    embedded prompt of other length does.
``AmpOptimWrapper.load_state_dict`` (mmengine)
    Goes on in fp16 from a run in bf16, which has no loss scale.
``_ParamScheduler.state_dict`` (mmengine)
    Leaves out functions, which OneCycleLR would store.
``LocalBackend`` and ``LocalVisBackend.add_image`` (mmengine)
    Write whole files or raise an error that names them; pictures got lost.
``imfrombytes`` and ``LoadImageFromFile`` (mmcv)
    Treat all formats alike, refuse floats that are not in [0, 1], and name the
    file in errors.
``cross_entropy`` (mmseg)
    Takes class weights where labels have ignored pixels.
``MMSegInferencer`` and ``show_result_pyplot`` (mmseg)
    Take ``cfg.test_pipeline`` where the test data set's pipeline does not
    serve them, and return and draw quantities other than classes.

Apart from mmengine's logging, no module of the hosts is imported before they
import it themselves.
"""
import sys

from .checkpoints import weights_only
from .finder import PATCHES, Finder
from .mmcv_ext import FULL_MMCV, MMCV_EXT, MissingOps
from .probing import find_without_import
from .state import store_plain_history
from .torchvision import torchvision_problem


def apply():
    """Install the replacements listed in the module docstring, once."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, Finder())
    for name, patch in PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])
    if find_without_import('mmengine'):
        store_plain_history()


__all__ = [
    'FULL_MMCV', 'MMCV_EXT', 'MissingOps', 'apply', 'find_without_import',
    'torchvision_problem', 'weights_only'
]
