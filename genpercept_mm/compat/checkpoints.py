"""Load checkpoints without running code from the file."""
import contextlib
import os
import pickle
import re
import struct
from collections import OrderedDict
from functools import wraps

from genpercept_mm.utils.files import write_whole
from genpercept_mm.utils.plain import to_storable
from genpercept_mm.utils.weight_files import (
    SAFETENSORS,
    ZIP,
    kind_of,
    local_file,
)

# Not empty where files may be mapped, see `mapped_loading`
_MAPPING = []


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


@contextlib.contextmanager
def mapped_loading():
    """Let mmengine map the checkpoints that are loaded inside into memory.

    It is for those who copy the tensors, as a runner does. A process that
    writes to a file in place while it uses tensors of it is ended.
    """
    _MAPPING.append(True)
    try:
        yield
    finally:
        _MAPPING.pop()


@contextlib.contextmanager
def _mapped(path):
    """Let `torch.load` map a file instead of reading it, if that is wanted."""
    from torch.utils import serialization
    # torch 2.5 has no such default
    options = getattr(getattr(serialization, 'config', None), 'load', None)
    if not _MAPPING or options is None or path is None or (
            kind_of(path) != ZIP):
        yield
        return
    before = options.mmap
    options.mmap = True
    try:
        yield
    finally:
        options.mmap = before


def map_and_save_whole(module):
    """Let the `Runner` of mmengine's module map checkpoints while it loads
    them, and resume from the CPU; for the rest, see `save_whole`."""
    runner = module.Runner
    runner.load_checkpoint = mapped_loading()(runner.load_checkpoint)
    resume_from_cpu(runner)
    save_whole(module)


def resume_from_cpu(runner):
    """Let a class of runners load what it resumes to the CPU first.

    mmengine loads to the GPU, where it is a second copy of model and
    optimizer. Adam's step counts would also stay there, and each step of each
    parameter would wait for one.
    """
    stock = runner.resume

    @wraps(stock)
    def resume(self, filename, resume_optimizer=True,
               resume_param_scheduler=True, map_location='default'):
        return stock(self, filename, resume_optimizer, resume_param_scheduler,
                     'cpu' if map_location == 'default' else map_location)

    runner.resume = resume


def save_whole(module):
    """Let mmengine's module stream checkpoints to local files, whole or not at
    all; it would hold them in memory two more times, and write in place."""
    stock = module.save_checkpoint
    if hasattr(stock, '__wrapped__'):
        return

    @wraps(stock)
    def save_checkpoint(checkpoint, filename, file_client_args=None,
                        backend_args=None):
        from mmengine.fileio import LocalBackend, get_file_backend
        if file_client_args is not None or filename.startswith(
                'pavi://') or type(get_file_backend(
                    filename, backend_args=backend_args)) is not LocalBackend:
            return stock(checkpoint, filename, file_client_args, backend_args)

        if 'meta' in checkpoint:
            # of a data set, for example, which may hold anything
            checkpoint = dict(checkpoint, meta=to_storable(
                checkpoint['meta'], _tell_of_text))

        def write(part):
            import torch
            torch.save(checkpoint, part)
            with open(part, 'rb+') as file:
                os.fsync(file.fileno())

        try:
            write_whole(filename, write)
        except OSError as error:
            raise OSError(
                error.errno, f'{error.strerror}; checkpoints beside it are '
                f'intact. Free {_size(checkpoint) / 2**20:.0f} MiB and '
                'continue with --resume') from error

    module.save_checkpoint = save_checkpoint


def _tell_of_text(value):
    """Say what a checkpoint holds as text, as it would not load."""
    from mmengine.logging import print_log
    print_log(f'checkpoint: a {type(value).__name__} of meta is stored as '
              f'text: {value}', 'current')


def _size(value):
    """Add up the bytes of all tensors in nested containers."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_size, value))
    return getattr(value, 'nbytes', 0)


def _load_opened(path):
    import torch
    with open(path, 'rb') as file:
        return torch.load(file, 'cpu', mmap=False)


def load_weights_only(module):
    """Make the `CheckpointLoader` of mmengine's module load weights only."""
    loader = module.CheckpointLoader
    stock = loader.load_checkpoint.__func__

    @wraps(stock)
    def load_checkpoint(cls, filename, *args, **kwargs):
        path = local_file(filename)
        # an OSError that says what the file is, if it is not weights
        kind = None if path is None else kind_of(path)
        if kind == SAFETENSORS:
            from mmengine.logging import print_log

            from genpercept_mm.utils.safetensors_checkpoint import (
                load_from_safetensors,
            )
            print_log(
                'Loads checkpoint by safetensors backend from path: '
                f'{filename}', args[1] if len(args) > 1 else kwargs.get(
                    'logger', 'current'))
            return load_from_safetensors(path)
        try:
            with weights_only(), _mapped(path):
                if kind is not None and path.endswith('.safetensors'):
                    # by its name, it would be taken for the other format
                    checkpoint = _load_opened(path)
                else:
                    checkpoint = stock(cls, filename, *args, **kwargs)
            return _revive(checkpoint)
        except pickle.UnpicklingError as error:
            raise pickle.UnpicklingError(
                f'{filename} is not loaded: it holds objects that would run '
                'code from the file, or it is not a checkpoint. If you trust '
                'its source, load it once with torch.load(path, '
                'weights_only=False) and save dict(state_dict=...) of it; '
                f'the saved file loads here. torch says: {error}') from error
        # what torch's readers of damaged files raise
        except (EOFError, IndexError, KeyError, RuntimeError, UnicodeError,
                struct.error) as error:
            if path is None and not isinstance(
                    error, (EOFError, RuntimeError)) or (
                        type(error) is RuntimeError and not re.search(
                            'PytorchStreamReader|central directory|unexpected '
                            'EOF', str(error))):
                raise
            raise RuntimeError(
                f'{filename} cannot be read ({error}); it is probably '
                'truncated. Use an older checkpoint, or copy it again.'
            ) from error

    loader.load_checkpoint = classmethod(load_checkpoint)
    if hasattr(module, 'load_checkpoint'):  # into a model
        module.load_checkpoint = mapped_loading()(module.load_checkpoint)
    save_whole(module)
    if hasattr(module, 'get_torch_safe_globals'):
        # OneDL's mmengine would allow what has a stand-in, getattr included.
        module.get_torch_safe_globals = list
