"""Time calls and read how much memory they took."""
import gc
import sys
import time
from statistics import median

import torch

DTYPES = dict(fp32=None, bf16=torch.bfloat16, fp16=torch.float16)


class Clock:
    """Measure calls on one device.

    Args:
        device (str): Where the calls compute, for example ``'cuda:0'``.
        dtype (str): Key of ``DTYPES``, the type to autocast to. Defaults to
            'fp32', which leaves autocast off.
    """

    def __init__(self, device, dtype='fp32'):
        self.device = torch.device(device)
        self.dtype = DTYPES[dtype]

    @property
    def cuda(self):
        """bool: Whether the calls run on a CUDA device."""
        return self.device.type == 'cuda'

    def autocast(self):
        """Return the context in which the calls run."""
        return torch.autocast(self.device.type, dtype=self.dtype,
                              enabled=self.dtype is not None)

    def seconds(self, function):
        """Time one call.

        Args:
            function (Callable): Takes no arguments.

        Returns:
            float: Seconds until the device has finished.
        """
        self._synchronize()
        start = time.perf_counter()
        with self.autocast():
            function()
        self._synchronize()
        return time.perf_counter() - start

    def compare(self, functions, repeats, warmup=0):
        """Time several calls in turns.

        Whatever slows the machine down for a while then slows all of them.

        Args:
            functions (Sequence[Callable]): Take no arguments.
            repeats (int): Number of timed rounds.
            warmup (int): Number of rounds before those. Defaults to 0.

        Returns:
            list[float]: Median seconds of each.
        """
        rounds = [[self.seconds(function) for function in functions]
                  for _ in range(warmup + repeats)]
        return [median(column) for column in zip(*rounds[warmup:])]

    def peak(self, function):
        """Measure the peak memory of one call.

        Args:
            function (Callable): Takes no arguments.

        Returns:
            float: GiB; see `peak_memory` for what counts on a CPU.
        """
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        self.seconds(function)
        return self.peak_memory()

    def peak_memory(self):
        """Read the peak so far.

        Returns:
            float: GiB that torch has allocated on a GPU; on a CPU, the
            high-water mark of the whole process, which never falls.
        """
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        return peak_resident_memory()

    def allocated(self):
        """Read how much memory tensors take on a GPU now.

        Returns:
            float: GiB; 0 on a CPU.
        """
        return (torch.cuda.memory_allocated(self.device) / 2**30
                if self.cuda else 0.)

    def _synchronize(self):
        if self.cuda:
            torch.cuda.synchronize(self.device)


def peak_resident_memory():
    """Read the high-water mark of this process.

    Returns:
        float: GiB.
    """
    try:
        with open('/proc/self/status') as file:
            line = next(line for line in file if line.startswith('VmHWM'))
        return int(line.split()[1]) / 2**20
    except FileNotFoundError:
        # On Linux this would include the parent's peak before the fork;
        # elsewhere it does not.
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**30 if sys.platform == 'darwin' else 2**20)
