"""Checks of arguments, always with the same sentences."""
import inspect


def check_choice(owner, name, value, choices):
    """Raise a ValueError that names the owner (a class or function) and the
    argument if its value is not one of the choices."""
    if value not in choices:
        raise ValueError(f'{owner}: {name} must be one of {tuple(choices)}, '
                         f'got {value!r}.')


def check_keywords(owner, given, functions, takes):
    """Raise a TypeError for keyword arguments that a host class would ignore.

    ``given`` are their names. The class ``owner`` takes the parameters of
    ``functions``; ``takes`` says so in words, for the message.
    """
    known = {name for function in functions
             for name in inspect.signature(function).parameters}
    unknown = sorted(set(given) - known)
    if unknown:
        raise TypeError(f'{owner}: unexpected argument(s) {unknown}; it takes '
                        f'{takes}.')
