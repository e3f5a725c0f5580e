"""What the scripts of this folder share."""
import argparse
import pickle
import sys


def make_parser(doc):
    """Make a parser that prints a script's docstring as it is.

    Args:
        doc (str): The docstring.

    Returns:
        argparse.ArgumentParser: A parser without arguments.
    """
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def check_suffix(name, path, suffix):
    """Refuse a path with another suffix.

    Args:
        name (str): Name of the argument.
        path (str): Its value.
        suffix (str): For example ``'.pth'``.

    Raises:
        ValueError: If the suffix is another.
    """
    if not path.endswith(suffix):
        raise ValueError(f'{name} must end in {suffix}, got {path}.')


def run(name, convert, args):
    """Convert, and turn errors of the input into one message.

    Args:
        name (str): Name of the script.
        convert (Callable): Takes ``args``.
        args (argparse.Namespace): Arguments of the script.
    """
    try:
        convert(args)
    except (OSError, ValueError, RuntimeError,
            pickle.UnpicklingError) as error:
        sys.exit(f'{name}: nothing written. {error}')
