"""Checks of arguments, always with the same sentences."""
import inspect


def check_choice(owner, name, value, choices):
    """Refuse a value outside a closed set.

    Args:
        owner (str): Class or function whose argument it is.
        name (str): Name of the argument.
        value (object): What was given.
        choices (Iterable): What is allowed.

    Raises:
        ValueError: If ``value`` is not among ``choices``.
    """
    if value not in choices:
        raise ValueError(f'{owner}: {name} must be one of {tuple(choices)}, '
                         f'got {value!r}.')


def check_keywords(owner, given, functions, takes):
    """Refuse keyword arguments that a host class would silently ignore.

    Args:
        owner (str): Class whose arguments they are.
        given (Iterable[str]): Names of the keyword arguments.
        functions (Iterable[callable]): Functions whose parameters are known
            names.
        takes (str): End of the message: what ``owner`` takes.

    Raises:
        TypeError: If a name is unknown.
    """
    known = {name for function in functions
             for name in inspect.signature(function).parameters}
    unknown = sorted(set(given) - known)
    if unknown:
        raise TypeError(f'{owner}: unexpected argument(s) {unknown}; it takes '
                        f'{takes}.')
