"""What newer torch and a missing compiled mmcv need; applied on import.

OpenMMLab's last releases predate torch 2.6 and offer compiled wheels for few
torch versions. `apply` changes exactly this, each only where it is needed:

``mmcv._ext``
    Where no compiled module loads, a stand-in: the ops of
    `genpercept_mm.mmcv_ops` in torch, and for every other op an error that
    names it. A working compiled mmcv is left alone.
``mmpose.visualization.simcc_vis``
    Where torchvision does not load, a stand-in for this one module, which
    imports it. A working torchvision is left alone.
``CheckpointLoader.load_checkpoint`` (mmengine)
    Loads with ``weights_only``, so no code in a downloaded file runs. The
    training history that mmengine writes is allowed by name.
``MessageHub.state_dict`` and ``load_state_dict`` (mmengine)
    Store that history as plain lists, so that ``torch.load(path,
    weights_only=True)`` reads our checkpoints without this package.

Nothing is imported for the first three until the host imports the module in
question.
"""
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import sys
import types
from functools import lru_cache, wraps

FULL_MMCV = ('pip install "setuptools<81" wheel ninja && '
             'pip install --no-build-isolation mmcv==2.1.0')
MMCV_EXT = 'mmcv._ext'
SIMCC_VIS = 'mmpose.visualization.simcc_vis'
CHECKPOINT = 'mmengine.runner.checkpoint'


def apply():
    """Install the replacements named in the module docstring, once."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    if CHECKPOINT in sys.modules:
        _load_weights_only(sys.modules[CHECKPOINT])
    if find_without_import('mmengine'):
        _store_plain_history()


def find_without_import(name):
    """Tell whether a top-level package is installed.

    Args:
        name (str): Import name, without a dot.

    Returns:
        bool: True if it can be found.
    """
    return importlib.util.find_spec(name) is not None


@lru_cache
def torchvision_problem():
    """Try torchvision, compiled part included.

    Returns:
        str | None: None where it works, else the reason why not.
    """
    if not find_without_import('torchvision'):
        return 'not installed'
    try:
        importlib.import_module('torchvision.ops')
    except (ImportError, RuntimeError, OSError) as error:
        # A wheel for another torch fails with "operator torchvision::nms
        # does not exist" (RuntimeError) or an undefined symbol (OSError).
        return str(error).splitlines()[0]
    return None


class _Finder(importlib.abc.MetaPathFinder):
    """Step in when the host imports one of the three modules."""

    def find_spec(self, name, path=None, target=None):
        if name == MMCV_EXT:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            return importlib.machinery.ModuleSpec(name, _ExtLoader(spec))
        if name == SIMCC_VIS and torchvision_problem():
            return importlib.machinery.ModuleSpec(name, _SimCCLoader())
        if name == CHECKPOINT:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is not None:
                spec.loader = _PatchingLoader(spec.loader,
                                              _load_weights_only)
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


# -- mmcv._ext ----------------------------------------------------------------


class MissingOps(types.ModuleType):
    """Stand in for ``mmcv._ext``.

    Attributes:
        reason (str): Why the compiled module is not used.
    """

    def __init__(self, reason):
        super().__init__(MMCV_EXT, __doc__)
        from . import mmcv_ops
        self.reason = reason
        self.__dict__.update(mmcv_ops.OPS)

    def get_compiler_version(self):
        """Text for mmengine's environment report."""
        return 'n/a (genpercept_mm stand-in)'

    def get_compiling_cuda_version(self):
        """Text for mmengine's environment report."""
        return 'n/a (genpercept_mm stand-in)'

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args, **kwargs):
            raise NotImplementedError(
                f'mmcv op {name!r} needs compiled mmcv, and {self.reason}. '
                f'Install it with: {FULL_MMCV}')

        return missing_op


class _ExtLoader(importlib.abc.Loader):
    """Load the compiled module where it works, else the stand-in."""

    def __init__(self, spec):
        self.real = spec

    def create_module(self, spec):
        if self.real is None:
            return MissingOps('mmcv-lite has none')
        try:
            # The extension needs torch's symbols, which mmcv loads first.
            module = self.real.loader.create_module(self.real)
        except ImportError as error:
            self.real = None
            return MissingOps('the installed one does not load '
                              f'({str(error).splitlines()[0]})')
        spec.origin, spec.has_location = self.real.origin, True
        return module

    def exec_module(self, module):
        if self.real is not None:
            self.real.loader.exec_module(module)


# -- mmpose.visualization.simcc_vis -------------------------------------------


class _SimCCLoader(importlib.abc.Loader):
    """Provide `SimCCVisualizer` as a class that only explains itself."""

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


# -- checkpoints --------------------------------------------------------------


def _history_buffer_method(owner, name):
    """Stand in for the ``getattr`` that mmengine's files name.

    They only use it for the statistics of a `HistoryBuffer`; anything else
    is refused, as an unrestricted ``getattr`` reaches arbitrary code.
    """
    from mmengine.logging import HistoryBuffer
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'getattr on {owner!r} is not allowed')


def _named(function, module, name):
    # Old torch looks allowed globals up by these two attributes.
    function.__module__, function.__name__ = module, name
    function.__qualname__ = name
    return function


@lru_cache
def safe_globals():
    """List what an OpenMMLab checkpoint may contain besides tensors.

    Returns:
        list: For `torch.serialization.add_safe_globals`: mmengine's
        history, and NumPy arrays and scalars under the names of NumPy 1
        and NumPy 2. None of them can run code from the file.
    """
    import numpy as np
    from mmengine.logging import HistoryBuffer
    try:
        from numpy._core import multiarray
    except ImportError:
        from numpy.core import multiarray

    def alias(target, module, name):
        return _named(
            wraps(target, assigned=())(lambda *args: target(*args)), module,
            name)

    allowed = [HistoryBuffer, np.ndarray, np.dtype,
               _named(_history_buffer_method, 'builtins', 'getattr')]
    for package in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [alias(multiarray._reconstruct, package, '_reconstruct'),
                    alias(multiarray.scalar, package, 'scalar')]
    allowed += [type(np.dtype(code)) for code in '?bBhHiIlLqQefd']
    return allowed


@contextlib.contextmanager
def weights_only():
    """Make every `torch.load` inside refuse to run code from the file."""
    import torch.serialization
    variable = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
    before = os.environ.get(variable)
    os.environ[variable] = '1'
    torch.serialization.add_safe_globals(safe_globals())
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _load_weights_only(module):
    loader = module.CheckpointLoader
    stock = loader.load_checkpoint.__func__

    @wraps(stock)
    def load_checkpoint(cls, filename, *args, **kwargs):
        try:
            with weights_only():
                return stock(cls, filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise pickle.UnpicklingError(
                f'{filename} is not loaded: it holds objects that would run '
                'code from the file, or it is no checkpoint. If you trust '
                'its source, load it once with torch.load(path, '
                "weights_only=False) and save dict(state_dict=...) of it; "
                f'the saved file loads here. torch says: {error}') from error
        except (EOFError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and (
                    'PytorchStreamReader' not in str(error)
                    and 'central directory' not in str(error)):
                raise
            raise RuntimeError(
                f'{filename} cannot be read ({error}); it is probably '
                'truncated. Use an older checkpoint, or copy it again.'
            ) from error

    loader.load_checkpoint = classmethod(load_checkpoint)


def _store_plain_history():
    from mmengine.logging import HistoryBuffer, MessageHub
    stock_save, stock_load = MessageHub.state_dict, MessageHub.load_state_dict

    @wraps(stock_save)
    def state_dict(self):
        state = stock_save(self)
        plain = type(state['log_scalars'])()
        for key, buffer in state['log_scalars'].items():
            values, counts = buffer.data
            plain[key] = dict(
                log_history=values.tolist(),
                count_history=counts.tolist(),
                max_length=buffer.max_length)
        state['log_scalars'] = plain
        state['runtime_info'] = {
            key: value.item() if hasattr(value, 'dtype')
            and hasattr(value, 'item') and value.ndim == 0 else value
            for key, value in state['runtime_info'].items()}
        return state

    @wraps(stock_load)
    def load_state_dict(self, state):
        if isinstance(state, dict) and 'log_scalars' in state:
            scalars = {
                key: HistoryBuffer(**value) if isinstance(value, dict)
                else value for key, value in state['log_scalars'].items()}
            state = dict(state, log_scalars=scalars)
        return stock_load(self, state)

    MessageHub.state_dict = state_dict
    MessageHub.load_state_dict = load_state_dict
