"""Docstrings name the arguments that signatures have."""
import importlib
import inspect
import pkgutil
import re

import demo
import miniworld
import pytest

import genpercept_mm

MODULES = [name for package in (genpercept_mm, demo, miniworld)
           for _, name, _ in pkgutil.walk_packages(
               package.__path__, f'{package.__name__}.')]


def documented(docstring):
    match = re.search(r'^Args:\n((?:    .*\n|\n)*)', docstring + '\n', re.M)
    if match is None:
        return []
    return re.findall(r'^    \**(\w+)(?: \(.*|:.*)$', match[1], re.M)


def public_callables(module):
    for name, thing in vars(module).items():
        if name.startswith('_') or getattr(
                thing, '__module__', None) != module.__name__:
            continue
        if inspect.isclass(thing):
            yield name, thing.__init__, inspect.getdoc(thing)
            for method, function in vars(thing).items():
                if isinstance(function, classmethod):
                    function = getattr(thing, method)
                if callable(function) and method[0] != '_':
                    yield f'{name}.{method}', function, inspect.getdoc(
                        function)
        elif inspect.isfunction(thing):
            yield name, thing, inspect.getdoc(thing)


@pytest.mark.parametrize('name', MODULES)
def test_arguments_and_docstrings_agree(name):
    module = importlib.import_module(name)
    assert module.__doc__ or not module.__file__.endswith(
        '.py') or name.endswith('__init__') or hasattr(module, '__path__')
    for label, function, docstring in public_callables(module):
        docs = documented(docstring or '')
        if not docs:
            continue
        parameters = [
            p for p in inspect.signature(function).parameters
            if p != 'self']
        assert docs == parameters, f'{name}.{label}'


@pytest.mark.parametrize('name', MODULES)
def test_documented_defaults_are_the_signatures(name):
    module = importlib.import_module(name)
    for label, function, docstring in public_callables(module):
        for parameter in inspect.signature(function).parameters.values():
            match = re.search(
                rf'^    {parameter.name} \((?:(?!^    \w).)*?Defaults\s+to\s+'
                r"('[^']*'|\([\d, ]*\)|[\w.-]*\w)", docstring or '',
                re.M | re.S)
            if match is None or parameter.default is inspect._empty:
                continue
            try:
                value = eval(match[1].replace('\n', ' '))
            except (NameError, SyntaxError):
                continue
            assert value == parameter.default, f'{name}.{label}'
