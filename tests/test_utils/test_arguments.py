import pytest

from genpercept_mm.utils.arguments import check_choice, check_keywords


def test_choices_are_listed():
    check_choice('Owner', 'name', 'a', ('a', 'b'))
    check_choice('Owner', 'name', None, dict(a=1, b=2).keys() | {None})
    with pytest.raises(ValueError, match=r"^Owner: name must be one of "
                       r"\('a', 'b'\), got 'x'\.$"):
        check_choice('Owner', 'name', 'x', dict(a=1, b=2))


def test_unknown_keywords_are_listed():

    def host(a, b=1):
        pass

    def other(c):
        pass

    check_keywords('Owner', dict(a=1, c=2), [host, other], 'those of host')
    with pytest.raises(TypeError, match=r"^Owner: unexpected argument\(s\) "
                       r"\['c', 'd'\]; it takes those of host\.$"):
        check_keywords('Owner', dict(d=1, a=2, c=3), [host], 'those of host')
