"""Find out whether a package is there and whether it works."""
import importlib
import importlib.util


def find_without_import(name):
    """Tell whether a top-level package is installed."""
    return importlib.util.find_spec(name) is not None


def import_problem(module):
    """Import a module and say why that fails; None if it works.

    The reason is ``'not installed'`` or the first line of the error.
    """
    if not find_without_import(module.split('.')[0]):
        return 'not installed'
    try:
        importlib.import_module(module)
    except (ImportError, RuntimeError, OSError) as error:
        return first_line(error)
    return None


def first_line(error):
    """Return the first line of an error's message."""
    return (str(error) or repr(error)).splitlines()[0]
