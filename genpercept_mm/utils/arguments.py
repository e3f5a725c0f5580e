"""Checks of arguments, always with the same sentences."""
import inspect


def check_choice(owner, name, value, choices):
    """Raise a ValueError if an argument is not one of the choices.

    The message names the owner (a class or function) and the argument.
    """
    if value not in choices:
        raise ValueError(f'{owner}: {name} must be one of {tuple(choices)}, '
                         f'got {value!r}.')


def check_keywords(owner, given, functions, takes):
    """Refuse keyword arguments that a host class would silently ignore.

    Args:
        owner (str): Class whose arguments they are.
        given (Iterable[str]): Names of the keyword arguments.
        functions (Iterable[Callable]): Functions whose parameters ``owner``
            takes.
        takes (str): What ``owner`` takes, for the message.

    Raises:
        TypeError: If a name is unknown.
    """
    known = {name for function in functions
             for name in inspect.signature(function).parameters}
    unknown = sorted(set(given) - known)
    if unknown:
        raise TypeError(f'{owner}: unexpected argument(s) {unknown}; it takes '
                        f'{takes}.')
