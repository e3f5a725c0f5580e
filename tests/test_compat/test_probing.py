import sys

from genpercept_mm.compat.probing import find_without_import, first_line


def test_packages_are_found_without_importing_them():
    imported = set(sys.modules)
    assert find_without_import('this') and not find_without_import('nowhere')
    assert 'this' not in set(sys.modules) - imported


def test_errors_in_one_line():
    assert first_line(ValueError('first\nsecond')) == 'first'
    assert first_line(ValueError()) == 'ValueError()'
