"""Refusing values outside a closed set, always with the same sentence."""


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
