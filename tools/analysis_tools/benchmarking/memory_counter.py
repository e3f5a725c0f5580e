"""Count the memory of calls without making them: tensors on the meta device
have shapes and no values."""
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
)
from torch.utils._pytree import tree_leaves

from genpercept_mm.models.utils.vae_strips import Strips


class MemoryCounter(TorchDispatchMode):
    """Sum the bytes of the tensors that live at once inside the block.

    What kernels need beside their results is not seen, and attention counts
    as a fused kernel, which keeps no scores.

    Attributes:
        peak (int): The largest sum of bytes.
    """

    def __init__(self):
        super().__init__()
        self.peak, self._live, self._waiting = 0, {}, {}
        self._fused = _FusedAttention()

    def __enter__(self):
        self._fused.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._fused.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        known = {_key(tensor) for tensor in tree_leaves((args, kwargs))
                 if isinstance(tensor, torch.Tensor)}
        out = func(*args, **kwargs)
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and _key(tensor) not in known:
                storage = tensor.untyped_storage()
                self._live[_key(tensor)] = (
                    StorageWeakRef(storage), storage.nbytes())
        self._live = {key: entry for key, entry in self._live.items()
                      if not entry[0].expired()}
        self.peak = max(self.peak, sum(
            size for _, size in self._live.values()))
        return out

    def leave_out(self, tensor):
        """Note that a tensor, made outside of the block, waits elsewhere."""
        self._waiting[_key(tensor)] = StorageWeakRef(tensor.untyped_storage())

    def leaves_out(self, tensor):
        """Tell whether a tensor waits elsewhere."""
        return _key(tensor) in self._waiting


class CountedStrips(Strips):
    """`Strips` on the meta device, whose large maps a counter leaves out.

    Args:
        counter (MemoryCounter): Counts while they run.
        **kwargs: Arguments of `Strips`.
    """

    def __init__(self, counter, **kwargs):
        super().__init__(**kwargs)
        self.counter = counter

    def empty(self, part, rows, here):
        """Make a map, and leave it out if it waits."""
        with _disable_current_modes():
            # its pages are not touched
            waits = super().empty(part, rows, here).device.type == 'cpu'
            result = part.new_empty(*part.shape[:2], rows, part.shape[3])
        if waits:
            self.counter.leave_out(result)
            return result
        return part.new_empty(result.shape)

    def rows(self, x, top, bottom):
        """Take rows, which are copied from a map that waits."""
        rows = super().rows(x, top, bottom)
        return rows.clone() if self.counter.leaves_out(x) else rows


class _FusedAttention(TorchFunctionMode):
    """On the meta device, torch would count attention that is not fused."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.scaled_dot_product_attention:
            query, _, value = args[:3]
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return func(*args, **(kwargs or {}))


def _key(tensor):
    return tensor.untyped_storage()._cdata
