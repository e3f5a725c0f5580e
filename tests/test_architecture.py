"""The layers of docs/architecture.md hold, and no imports form a circle."""
import ast
import graphlib
import os.path as osp
import sys
from glob import glob

import pytest
from conftest import ROOT

PACKAGE = 'genpercept_mm'
# data flows from left to right: a layer imports what stands to its right
LAYERS = ('cli', 'apis', 'converters', 'engine', 'evaluation',
          'visualization', 'datasets', 'models', 'codecs', 'diffusion',
          'compat', 'utils')
# may be imported by everyone; aliases.py-like modules at the root are commands
COMMON = ('registry', 'version')


def module_name(path):
    parts = osp.relpath(path, ROOT)[:-len('.py')].split(osp.sep)
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


FILES = {module_name(path): path for path in glob(
    osp.join(ROOT, PACKAGE, '**', '*.py'), recursive=True)
    if '.mim' not in path}


def imported(name):
    """All modules that a module names, also inside functions."""
    path = FILES[name]
    with open(path) as file:
        tree = ast.parse(file.read())
    package = name if path.endswith('__init__.py') else name.rpartition(
        '.')[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                above = package.split('.')
                above = above[:len(above) - node.level + 1]
                base = '.'.join([*above, *([base] if base else [])])
            for alias in node.names:
                full = f'{base}.{alias.name}'
                found.add(full if full in FILES else base)
    return found


def layer(name):
    parts = name.split('.')
    return parts[1] if len(parts) > 1 else None


def test_every_module_has_a_layer():
    others = {layer(name) for name in FILES} - {*LAYERS, *COMMON, None}
    # `python -m genpercept_mm.env`
    assert others <= {'env'}


def test_no_arrow_points_up():
    upward = []
    for name in FILES:
        if layer(name) not in LAYERS:
            continue
        for other in imported(name):
            if other.split('.')[0] == PACKAGE and layer(other) not in (
                    *COMMON, None):
                if LAYERS.index(layer(other)) < LAYERS.index(layer(name)):
                    upward.append(f'{name} imports {other}')
    assert not upward


def test_no_circle():
    graph = {name: {other for other in imported(name)
                    if other in FILES and other != PACKAGE}
             for name in FILES}
    assert sum(map(len, graph.values())) > 100
    graphlib.TopologicalSorter(graph).prepare()


def test_the_check_finds_a_circle():
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({'a': {'b'}, 'b': {'a'}}).prepare()


def test_nothing_comes_from_the_tools():
    tools = {'tools'}
    for path in glob(osp.join(ROOT, 'tools', '**', '*.py'), recursive=True):
        parts = osp.relpath(path, osp.join(ROOT, 'tools')).split(osp.sep)
        tools.update(part.removesuffix('.py') for part in parts)
    tools -= sys.stdlib_module_names | {'__init__'}
    found = [(name, other) for name in FILES for other in imported(name)
             if other.split('.')[0] in tools]
    assert 'tools' in tools and not found
