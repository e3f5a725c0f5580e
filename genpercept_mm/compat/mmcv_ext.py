"""The stand-in for mmcv's compiled module, ``mmcv._ext``."""
import types

from .probing import first_line

MMCV_EXT = 'mmcv._ext'
FULL_MMCV = ('pip install "setuptools<81" wheel ninja && '
             'pip install --no-build-isolation mmcv==2.1.0')


class MissingOps(types.ModuleType):
    """Stand in for ``mmcv._ext``; ``reason`` (str) says why it is needed."""

    def get_compiler_version(self):
        """Return a text for mmengine's environment report."""
        return 'n/a (genpercept_mm stand-in)'

    get_compiling_cuda_version = get_compiler_version

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args, **kwargs):
            raise NotImplementedError(
                f'mmcv op {name!r} needs compiled mmcv, and {self.reason}. '
                f'Install it with: {FULL_MMCV}')

        return missing_op


def fill_ext(module, problem):
    """Make an empty module a `MissingOps`; ``problem`` (Exception, optional)
    is why the compiled module does not load."""
    # Imports torch, so not before mmcv asks for its ops.
    from .ops import OPS
    module.__class__ = MissingOps
    module.reason = 'mmcv-lite has none' if problem is None else (
        f'the installed one does not load ({first_line(problem)})')
    module.__dict__.update(OPS)
