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
    Loads with ``weights_only``, so no code in a downloaded file runs,
    whatever torch's environment variables say. Training history and NumPy
    arrays of numbers, which mmengine's files hold, are read too.
``MessageHub.state_dict`` and ``load_state_dict`` (mmengine)
    Store that history as plain lists, and NumPy or torch scalars as numbers,
    so that ``torch.load(path, weights_only=True)`` reads our checkpoints
    without this package. mmengine alone resumes from them without the
    history of logged values.
``_ParamScheduler.state_dict`` (mmengine)
    Leaves functions out, which OneCycleLR would store.

Nothing of the hosts but mmengine's logging is imported for it before they
import it themselves.
"""
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import re
import sys
import types
from collections import OrderedDict
from functools import lru_cache, wraps

FULL_MMCV = ('pip install "setuptools<81" wheel ninja && '
             'pip install --no-build-isolation mmcv==2.1.0')
MMCV_EXT = 'mmcv._ext'
SIMCC_VIS = 'mmpose.visualization.simcc_vis'
CHECKPOINT = 'mmengine.runner.checkpoint'
SCHEDULERS = 'mmengine.optim.scheduler.param_scheduler'


def apply():
    """Install the replacements named in the module docstring, once."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    for name, patch in _PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])
    if find_without_import('mmengine'):
        _store_plain_state()


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
        if name in _PATCHES:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is not None:
                spec.loader = _PatchingLoader(spec.loader, _PATCHES[name])
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


class _Inert:
    """Stand in for a class that a checkpoint names.

    It runs nothing: arguments and state are kept until `_revive` has checked
    them.
    """

    def __init__(self, *args):
        self.args, self.state = args, None

    def __setstate__(self, state):
        self.state = state


def _inert(module, name):
    """Make a stand-in that torch's unpickler finds under a name."""
    return type(name, (_Inert, ), dict(__module__=module, __qualname__=name))


def _encode_latin1(text, encoding):
    """Stand in for ``_codecs.encode``, by which NumPy's bytes are pickled."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'encoding {encoding!r} is not allowed')
    return text.encode('latin1')


def _named(function, module, name):
    # Old torch looks allowed globals up by these attributes.
    function.__module__, function.__name__ = module, name
    function.__qualname__ = name
    return function


_ARRAY = _inert('numpy', 'ndarray')
_DTYPE = _inert('numpy', 'dtype')
_HISTORY = _inert('mmengine.logging.history_buffer', 'HistoryBuffer')
_SCALARS = []
_STAND_INS = [
    _ARRAY, _DTYPE, _HISTORY,
    # mmengine's history names its own methods by getattr
    _named(lambda *args: None, 'builtins', 'getattr'),
    _named(_encode_latin1, '_codecs', 'encode'),
    # how no bytes at all are pickled
    _named(lambda: b'', 'builtins', 'bytes')
]
for _package in ('numpy.core.multiarray', 'numpy._core.multiarray'):
    _SCALARS.append(_inert(_package, 'scalar'))
    _STAND_INS += [
        _SCALARS[-1],
        # the array is whole once its state is set
        _named(lambda *args: _ARRAY(), _package, '_reconstruct')
    ]


def _plain_dtype(inert):
    import numpy as np
    if type(inert) is not _DTYPE or not re.fullmatch(
            r'[biuf]\d{1,2}', str(inert.args[0])):
        raise pickle.UnpicklingError('only arrays of numbers are allowed, '
                                     f'got {getattr(inert, "args", inert)}')
    order = inert.state[1] if inert.state else '='
    return np.dtype(inert.args[0]).newbyteorder(
        order if order in ('<', '>') else '=')


def _revive(value):
    """Replace stand-ins in what was loaded by what they stand for."""
    import numpy as np
    kind = type(value)
    if kind in (dict, OrderedDict):
        for key in value:
            value[key] = _revive(value[key])
        return value
    if kind in (list, tuple):
        return kind(_revive(item) for item in value)
    if kind in _SCALARS:
        dtype, content = value.args
        return np.frombuffer(content, _plain_dtype(dtype))[0]
    if kind is _ARRAY:
        _, shape, dtype, fortran, content = value.state
        array = np.frombuffer(content, _plain_dtype(dtype))
        return array.reshape(shape, order='F' if fortran else 'C').copy()
    if kind is _HISTORY:
        from mmengine.logging import HistoryBuffer
        return HistoryBuffer(
            _revive(value.state['_log_history']).tolist(),
            _revive(value.state['_count_history']).tolist(),
            int(value.state['max_length']))
    if isinstance(value, _Inert):
        raise pickle.UnpicklingError(f'{kind.__name__} is not allowed here')
    return value


def _full_name(entry):
    if isinstance(entry, tuple):  # (object, name)
        return entry[1]
    return f'{entry.__module__}.{entry.__qualname__}'


@contextlib.contextmanager
def weights_only():
    """Make every `torch.load` inside refuse to run code from the file.

    What an OpenMMLab checkpoint holds besides tensors, mmengine's history
    and NumPy's arrays of numbers, comes as stand-ins meanwhile.
    """
    from torch import serialization
    force, forbid = ('TORCH_FORCE_WEIGHTS_ONLY_LOAD',
                     'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD')
    environment = {name: os.environ.pop(name, None)
                   for name in (force, forbid)}
    allowed = list(serialization.get_safe_globals())
    os.environ[force] = '1'
    # What the user allowed stays allowed, but for what has a stand-in
    stood_for = {_full_name(stand_in) for stand_in in _STAND_INS}
    serialization.clear_safe_globals()
    serialization.add_safe_globals(
        [entry for entry in allowed if _full_name(entry) not in stood_for]
        + _STAND_INS)
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(allowed)
        del os.environ[force]
        os.environ.update(
            {k: v for k, v in environment.items() if v is not None})


def _load_weights_only(module):
    loader = module.CheckpointLoader
    stock = loader.load_checkpoint.__func__

    @wraps(stock)
    def load_checkpoint(cls, filename, *args, **kwargs):
        try:
            with weights_only():
                checkpoint = stock(cls, filename, *args, **kwargs)
            return _revive(checkpoint)
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


def _store_plain_state():
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


def _store_no_functions(module):
    scheduler = module._ParamScheduler
    stock = scheduler.state_dict

    @wraps(stock)
    def state_dict(self):
        # the constructor sets them again
        return {key: value for key, value in stock(self).items()
                if not callable(value)}

    scheduler.state_dict = state_dict


_PATCHES = {CHECKPOINT: _load_weights_only, SCHEDULERS: _store_no_functions}
