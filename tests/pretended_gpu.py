"""A GPU that is not there: tensors say that they lie on it.

Values stay on the CPU, so numbers are real, but each storage has a place.
What CUDA refuses raises an error (tensors of both places in one operation,
NumPy arrays of GPU tensors, a CPU generator for the GPU), and what makes the
CPU wait is counted by source line. CPU kernels compute, so what CUDA's kernels
alone refuse is not seen; data loaders must not have workers.

    with pretended_gpu() as gpu:
        model.to('cuda')
        ...
    gpu.waits, gpu.uploads      # Counters of 'operation file:line'
"""
import contextlib
import sys
from collections import Counter
from unittest import mock

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU, CPU = torch.device('cuda', 0), torch.device('cpu')
PACKAGES = ('genpercept_mm', 'mmseg', 'mmpose', 'mmdet', 'mmengine')
# What torch itself makes inside a call lies where the call needs it
ANYWHERE = 'anywhere'
ops = torch.ops.aten
ACROSS = {ops.copy_.default, ops._to_copy.default, ops.copy.default}
INDEXING = {ops.index.Tensor, ops.index_put.default, ops.index_put_.default,
            ops._index_put_impl_.default}
WAITING = {ops._local_scalar_dense.default, ops.nonzero.default,
           ops.masked_select.default, ops.equal.default,
           ops._unique2.default, ops.unique_dim.default,
           ops.repeat_interleave.Tensor, ops.bincount.default}


class WrongDevice(RuntimeError):
    """Tensors of two devices met in one operation."""


class Places:
    """Where storages lie; those that are not listed lie on the CPU."""

    def __init__(self):
        self._places = {}

    def of(self, tensor):
        """Return ``GPU``, ``CPU`` or ``ANYWHERE``."""
        key = _storage(tensor)
        return self._places[key][0] if key in self._places else CPU

    def put(self, tensor, place):
        """Note where a tensor's storage lies."""
        key = _storage(tensor)
        if key is None:
            return
        if place == CPU:
            self._places.pop(key, None)
        else:
            # the reference keeps the address from being given out again
            with torch._C.DisableTorchFunction():
                self._places[key] = place, StorageWeakRef(
                    tensor.untyped_storage())
        if len(self._places) > 100000:
            self._places = {key: entry for key, entry in self._places.items()
                            if not entry[1].expired()}


def _storage(tensor):
    with torch._C.DisableTorchFunction():
        try:
            return tensor.untyped_storage()._cdata
        except (NotImplementedError, RuntimeError):  # meta, sparse
            return None


def _tensors(*trees):
    return [leaf for leaf in tree_leaves(trees)
            if isinstance(leaf, torch.Tensor)]


def _line():
    """The innermost line of the project or a host."""
    frame = sys._getframe(1)
    while frame is not None:
        parts = frame.f_code.co_filename.split('/')
        for package in PACKAGES:
            if package in parts:
                start = len(parts) - 1 - parts[::-1].index(package)
                return f'{"/".join(parts[start:])}:{frame.f_lineno}'
        frame = frame.f_back
    return 'elsewhere'


class Operations(TorchDispatchMode):
    """Checks each operation and notes where its results lie."""

    def __init__(self, gpu):
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            inputs = _tensors(args, kwargs)
            places = [self.gpu.places.of(tensor) for tensor in inputs]
            self.check(func, args, inputs, places)
            known = set(map(_storage, inputs))
            out = func(*args, **kwargs)
            if func.name() != 'aten::set_':
                place = self.place(func, places)
                for tensor in _tensors(out):
                    if _storage(tensor) not in known:
                        self.gpu.places.put(tensor, place)
            return out

    def place(self, func, places):
        if func in ACROSS:
            return places[0]
        if GPU in places:
            return GPU
        if ANYWHERE in places or not places and self.gpu.depth:
            return ANYWHERE
        return CPU

    def check(self, func, args, inputs, places):
        if GPU in places and func in WAITING:
            self.gpu.waits[f'{func.name()[6:]} {_line()}'] += 1
        if func in ACROSS:
            return
        if func in INDEXING:
            home = places[0]
            indices = [index for index in args[1] if index is not None]
            if home == CPU and any(
                    self.gpu.places.of(index) == GPU for index in indices):
                self.refuse(func, inputs, places)
            if home == GPU and any(
                    index.dtype == torch.bool for index in indices):
                self.gpu.waits[f'index by a mask {_line()}'] += 1
            inputs = _tensors(args[0], args[2:])
            places = [self.gpu.places.of(tensor) for tensor in inputs]
        # CUDA takes numbers, tensors without dimensions, from the CPU
        arrays = {place for tensor, place in zip(inputs, places)
                  if tensor.dim() and place != ANYWHERE}
        numbers = {place for tensor, place in zip(inputs, places)
                   if not tensor.dim()}
        if len(arrays) > 1 or arrays == {CPU} and GPU in numbers:
            self.refuse(func, inputs, places)

    def refuse(self, func, inputs, places):
        shapes = ', '.join(f'{place} {tuple(tensor.shape)}'
                           for tensor, place in zip(inputs, places))
        raise WrongDevice(f'{func.name()} of {shapes} at {_line()}')


class Calls(TorchFunctionMode):
    """Answers questions about devices and moves tensors between them."""

    def __init__(self, gpu):
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        places = self.gpu.places
        attribute = getattr(func, '__self__', None)
        if attribute is torch.Tensor.device:
            return CPU if places.of(args[0]) == CPU else GPU
        if attribute is torch.Tensor.is_cuda:
            return places.of(args[0]) != CPU
        if attribute is torch.Tensor.is_cpu:
            return places.of(args[0]) == CPU
        if func in (torch.Tensor.numpy, torch.Tensor.__array__) and (
                places.of(args[0]) == GPU):
            raise TypeError("can't convert cuda:0 device type tensor to numpy "
                            f'at {_line()}')
        if func is torch.Tensor.tolist and places.of(args[0]) == GPU:
            self.gpu.waits[f'tolist {_line()}'] += 1
        if func is torch.Tensor.cuda:
            return self.move(args[0], GPU)
        if func is torch.Tensor.cpu:
            return self.move(args[0], CPU)
        if func is torch.Tensor.to:
            return self.to(*args, **kwargs)
        if func is torch.Tensor.__deepcopy__:
            copied = func(*args, **kwargs)
            places.put(copied, places.of(args[0]))
            return copied
        if func is torch.Tensor.backward:
            return self.backward(*args, **kwargs)
        if kwargs.get('device') is not None:
            return self.make(func, args, kwargs)
        if func is torch.Tensor.new_tensor:
            made = func(*args, **kwargs)
            if places.of(args[0]) == GPU:
                self.upload(func, made)
            return made
        self.check_generator(
            kwargs, any(places.of(tensor) == GPU for tensor in args
                        if isinstance(tensor, torch.Tensor)))
        # results of torch's own Python code belong to its inputs
        inside = any(places.of(tensor) == GPU
                     for tensor in _tensors(args, kwargs))
        self.gpu.depth += inside
        try:
            return func(*args, **kwargs)
        finally:
            self.gpu.depth -= inside

    def make(self, func, args, kwargs):
        """Run a function that takes a device."""
        device = _place(kwargs['device'])
        if device == GPU:
            self.check_generator(kwargs, True)
            kwargs['device'] = CPU
        made = func(*args, **kwargs)
        if device == GPU:
            if func in (torch.tensor, torch.as_tensor,
                        torch.Tensor.new_tensor):
                self.upload(func, made)
        for tensor in _tensors(made):
            self.gpu.places.put(tensor, device)
        return made

    def upload(self, func, made):
        self.gpu.uploads[f'{func.__name__} {_line()}'] += 1
        self.gpu.places.put(made, GPU)

    def check_generator(self, kwargs, on_gpu):
        generator = kwargs.get('generator')
        if on_gpu and generator is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator "
                               f"but found 'cpu' at {_line()}")

    def to(self, tensor, *args, **kwargs):
        """Tensor.to in all its forms."""
        place, given = kwargs.pop('device', None), []
        for value in (*args, *([kwargs.pop('other')]
                               if 'other' in kwargs else ())):
            if isinstance(value, torch.Tensor):
                place = self.gpu.places.of(value)
                given.append(value.dtype)
            elif isinstance(value, (str, torch.device)) or (
                    type(value) is int):
                place = value
            else:
                given.append(value)
        if place is not None:
            place = _place(place)
        return self.move(tensor, place, *given, **kwargs)

    def move(self, tensor, place, *args, **kwargs):
        """Copy a tensor to a place, unless it is there."""
        places = self.gpu.places
        source = places.of(tensor)
        kwargs.pop('non_blocking', None)
        args = [value for value in args if value is not False]
        moved = tensor.to(*args, **kwargs) if args or kwargs else tensor
        if place is None or place == source:
            return moved
        counter, name = ((self.gpu.waits, 'to the CPU') if source == GPU else
                         (self.gpu.uploads, 'to the GPU'))
        counter[f'{name} {_line()}'] += 1
        if _storage(moved) == _storage(tensor):
            moved = moved.clone()
        places.put(moved, place)
        return moved

    def backward(self, tensor, gradient=None, **kwargs):
        """Run the engine, whose Python parts must see this mode."""
        self.gpu.depth += 1
        try:
            with self:
                torch.autograd.backward(tensor, gradient, **kwargs)
        finally:
            self.gpu.depth -= 1


def _place(device):
    if isinstance(device, int):
        return GPU
    return GPU if torch.device(device).type == 'cuda' else CPU


class PretendedGPU:
    """What was seen: ``waits`` for the device and ``uploads`` to it."""

    def __init__(self):
        self.waits, self.uploads = Counter(), Counter()
        self.places, self.depth = Places(), 0


@contextlib.contextmanager
def pretended_gpu():
    """Pretend that torch sees one GPU."""
    gpu = PretendedGPU()
    calls = Calls(gpu)
    start_autocast = torch.autocast.__init__
    apply = torch.autograd.function.BackwardCFunction.apply

    def autocast(self, device_type, dtype=None, **kwargs):
        if device_type == 'cuda':
            device_type, dtype = 'cpu', dtype or torch.float16
        start_autocast(self, device_type, dtype=dtype, **kwargs)

    def apply_within(self, *args):
        with calls:
            return apply(self, *args)

    answers = dict(
        is_available=lambda: True, device_count=lambda: 1,
        current_device=lambda: 0,
        is_bf16_supported=lambda *args, **kwargs: True,
        is_current_stream_capturing=lambda: False,
        synchronize=lambda *args: None, empty_cache=lambda: None,
        manual_seed_all=lambda seed: None)
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stack.enter_context(mock.patch.object(
            torch.autocast, '__init__', autocast))
        stack.enter_context(mock.patch.object(
            torch.autograd.function.BackwardCFunction, 'apply', apply_within))
        stack.enter_context(mock.patch(
            'torch.utils.checkpoint._infer_device_type', lambda *args: 'cpu'))
        stack.enter_context(Operations(gpu))
        stack.enter_context(calls)
        yield gpu
