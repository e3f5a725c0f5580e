"""Find out whether a package is there and whether it works."""
import importlib
import importlib.util


def find_without_import(name):
    """Tell whether a top-level package is installed.

    Args:
        name (str): Import name, without a dot.

    Returns:
        bool: True if it can be found.
    """
    return importlib.util.find_spec(name) is not None


def import_problem(module):
    """Import a module and say why that fails.

    Args:
        module (str): Name of a module, such as ``'torchvision.ops'``.

    Returns:
        str | None: None if it works, otherwise the reason why it does not:
        ``'not installed'`` or the first line of the error.
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
