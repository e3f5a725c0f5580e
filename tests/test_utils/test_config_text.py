"""Configs in checkpoints are read as mmengine reads them, but not run."""
from glob import glob

import pytest
from mmengine.config import Config

from genpercept_mm.utils.config_text import parse_config


@pytest.mark.parametrize('path', sorted(
    glob('configs/*.py') + glob('configs/mini/*.py')))
def test_equals_mmengines_reading(path):
    cfg = Config.fromfile(path)
    text = cfg.pretty_text
    parsed = parse_config(text)
    assert parsed.to_dict() == Config.fromstring(text, '.py').to_dict()


def test_keys_that_are_no_names_and_unusual_values():
    fields = {'a': {'b.c': 1, 'd e': (1, 2.5, None, True)}, 'inf': [
        float('inf'), -float('inf')], 'empty': [(), {}, []], 'text': "it's"}
    cfg = Config(dict(fields=fields))
    assert parse_config(cfg.pretty_text).to_dict() == dict(fields=fields)


@pytest.mark.parametrize('text', [
    'import os', 'a = open("x", "w")', 'a = [x for x in ()]', 'a = b',
    'a = dict(b=__import__("os"))', 'def f():\n    pass', 'a = (1).real',
    'a.b = 1', 'a = dict([(1, 2)])', 'a = 2 ** 99', 'a = {**{}}',
    'f"{1}"', 'print(1)'])
def test_code_is_refused(text):
    with pytest.raises(ValueError, match='here.pth is more than values'):
        parse_config(text, 'here.pth')


def test_what_is_not_python_is_refused():
    with pytest.raises(ValueError, match='here.pth cannot be read'):
        parse_config('a = (', 'here.pth')
