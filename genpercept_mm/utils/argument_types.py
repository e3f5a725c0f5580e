"""Checks of the types of arguments, as class docstrings state them."""
import functools
import inspect
import numbers
import re
from collections.abc import Mapping

import numpy as np

_SECTION = re.compile(r'^(\w+):\s*$', re.M)
_ARGUMENT = re.compile(r'^    (\w+) \(([^)]+)\):', re.M)
# What the words of docstrings accept; other words accept everything
_KINDS = {
    'int': lambda value: isinstance(value, numbers.Integral)
    and not isinstance(value, bool),
    'float': lambda value: isinstance(value, numbers.Real)
    and not isinstance(value, bool),
    'bool': lambda value: isinstance(value, (bool, np.bool_)),
    'str': lambda value: isinstance(value, str),
    'dict': lambda value: isinstance(value, Mapping),
}
_SERIES = ('list', 'tuple', 'Sequence')


def check_types(cls):
    """Let a class check its arguments against its docstring.

    ``__init__`` raises a TypeError that names the class, the argument, what it
    takes and what it got, before anything else happens with the argument.
    ``optional`` and a default of None allow None. Arguments that are not in
    the docstring, and types other than numbers, text, dicts and sequences, are
    not checked.

    Args:
        cls (type): Its ``__init__`` is replaced.

    Returns:
        type: The class.
    """
    init = cls.__dict__.get('__init__')
    types = documented_types(cls.__doc__)
    if init is None or not types:
        return cls
    signature = inspect.signature(init)

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError:
            given = {}  # Python says better what is missing
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(given.pop(parameter.name, {}))
        for name, value in given.items():
            if name not in types:
                continue
            parameter = signature.parameters.get(name)
            if value is None and (
                    'optional' in types[name] or parameter is None
                    or parameter.default is None):
                continue
            if not _fits(value, types[name]):
                raise TypeError(
                    f'{type(self).__name__}: {name} must be {types[name]}, '
                    f'got {value!r} ({type(value).__name__}).')
        init(self, *args, **kwargs)

    cls.__init__ = __init__
    return cls


def documented_types(docstring):
    """Return the types of a docstring's section "Args", by argument."""
    text = inspect.cleandoc(docstring or '')
    sections = list(_SECTION.finditer(text))
    for section, following in zip(sections, [*sections[1:], None]):
        if section[1] == 'Args':
            end = following.start() if following else len(text)
            return dict(_ARGUMENT.findall(text[section.end():end]))
    return {}


def _fits(value, text):
    """Tell whether a value has one of the types of a text such as
    ``'str | Sequence[int], optional'``."""
    return any(_fits_one(value, kind.strip()) for kind in
               _split(text.replace(', optional', '')))


def _split(text):
    """Split at bars that are not in brackets."""
    return re.split(r'\|(?![^\[]*\])', text)


def _fits_one(value, kind):
    if kind in _KINDS:
        return _KINDS[kind](value)
    match = re.fullmatch(r'(\w+)(?:\[(.+)\])?', kind)
    name, inner = (match[1], match[2]) if match else (None, None)
    if name == 'dict':
        return isinstance(value, Mapping)
    if name in _SERIES:
        series = isinstance(
            value, (list, tuple, set, frozenset, range, type({}.keys()),
                    np.ndarray))
        if not series or inner is None or isinstance(value, np.ndarray):
            return series
        return all(_fits(item, inner) for item in value)
    return True  # a class of which nothing is known here
