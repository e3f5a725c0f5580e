"""The stand-in for mmcv's compiled module, ``mmcv._ext``."""
import importlib.abc
import types

from .probing import first_line

MMCV_EXT = 'mmcv._ext'
FULL_MMCV = ('pip install "setuptools<81" wheel ninja && '
             'pip install --no-build-isolation mmcv==2.1.0')


class MissingOps(types.ModuleType):
    """Stand in for ``mmcv._ext``.

    Attributes:
        reason (str): Why the compiled module is not used.
    """

    def __init__(self, reason):
        super().__init__(MMCV_EXT, __doc__)
        # Imports torch, so not before mmcv asks for its ops.
        from .ops import OPS
        self.reason = reason
        self.__dict__.update(OPS)

    def get_compiler_version(self):
        """Return a text for mmengine's environment report."""
        return 'n/a (genpercept_mm stand-in)'

    def get_compiling_cuda_version(self):
        """Return a text for mmengine's environment report."""
        return 'n/a (genpercept_mm stand-in)'

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args, **kwargs):
            raise NotImplementedError(
                f'mmcv op {name!r} needs compiled mmcv, and {self.reason}. '
                f'Install it with: {FULL_MMCV}')

        return missing_op


class ExtLoader(importlib.abc.Loader):
    """Load the compiled module if it works, otherwise the stand-in."""

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
                              f'({first_line(error)})')
        spec.origin, spec.has_location = self.real.origin, True
        return module

    def exec_module(self, module):
        if self.real is not None:
            self.real.loader.exec_module(module)
