"""Load checkpoints without running code from the file."""
import contextlib
import os
import pickle
import re
from collections import OrderedDict
from functools import wraps


class _Inert:
    """Stand in for a class that a checkpoint names, run nothing, and keep
    arguments and state until `_revive` has checked them."""

    def __init__(self, *args):
        self.args, self.state = args, None

    def __setstate__(self, state):
        self.state = state


def _inert(module, name):
    """Make a stand-in that torch's unpickler finds under this name."""
    return type(name, (_Inert, ), dict(__module__=module, __qualname__=name))


def _encode_latin1(text, encoding):
    """Stand in for ``_codecs.encode``, which NumPy's pickled bytes name."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'encoding {encoding!r} is not allowed')
    return text.encode('latin1')


def _named(function, module, name):
    # Older torch looks up allowed globals by these attributes.
    function.__module__, function.__name__ = module, name
    function.__qualname__ = name
    return function


_ARRAY = _inert('numpy', 'ndarray')
_DTYPE = _inert('numpy', 'dtype')
_HISTORY = _inert('mmengine.logging.history_buffer', 'HistoryBuffer')
_SCALARS = []
_STAND_INS = [
    _ARRAY, _DTYPE, _HISTORY,
    # mmengine's history refers to its methods by getattr
    _named(lambda *args: None, 'builtins', 'getattr'),
    _named(_encode_latin1, '_codecs', 'encode'),
    # how empty bytes are pickled
    _named(lambda: b'', 'builtins', 'bytes')
]
for _package in ('numpy.core.multiarray', 'numpy._core.multiarray'):
    _SCALARS.append(_inert(_package, 'scalar'))
    _STAND_INS += [
        _SCALARS[-1],
        # the array is complete once its state is set
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
    """Replace stand-ins in loaded content by what they stand for."""
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

    mmengine's history and NumPy's arrays of numbers, which an OpenMMLab
    checkpoint holds besides tensors, are loaded as stand-ins meanwhile.
    """
    from torch import serialization
    force, forbid = ('TORCH_FORCE_WEIGHTS_ONLY_LOAD',
                     'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD')
    environment = {name: os.environ.pop(name, None)
                   for name in (force, forbid)}
    allowed = list(serialization.get_safe_globals())
    os.environ[force] = '1'
    # What the user allowed stays allowed, except what has a stand-in.
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


def load_weights_only(module):
    """Make the `CheckpointLoader` of mmengine's module load weights only."""
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
                'code from the file, or it is not a checkpoint. If you trust '
                'its source, load it once with torch.load(path, '
                'weights_only=False) and save dict(state_dict=...) of it; '
                f'the saved file loads here. torch says: {error}') from error
        except (EOFError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not re.search(
                    'PytorchStreamReader|central directory', str(error)):
                raise
            raise RuntimeError(
                f'{filename} cannot be read ({error}); it is probably '
                'truncated. Use an older checkpoint, or copy it again.'
            ) from error

    loader.load_checkpoint = classmethod(load_checkpoint)
    if hasattr(module, 'get_torch_safe_globals'):
        # OneDL's mmengine would allow what has a stand-in, getattr included.
        module.get_torch_safe_globals = list
