"""Find out whether a package is there, and why it does not work."""
import importlib.util


def find_without_import(name):
    """Tell whether a top-level package is installed."""
    return importlib.util.find_spec(name) is not None


def first_line(error):
    """Return the first line of an error's message."""
    return (str(error) or repr(error)).splitlines()[0]
