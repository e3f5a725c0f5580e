"""What a user calls from Python."""
import importlib

# Imported at their first use: this module shall stay cheap
_HOMES = dict(
    DenseInferencer='dense_inferencer', calibrate='calibration',
    export_model='model_export', get_model='model_loading',
    init_model='model_loading', list_models='zoo', verify='verification')

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = importlib.import_module(f'.{_HOMES[name]}', __name__)
    return getattr(module, name)


def __dir__():
    return __all__
