from collections import OrderedDict

import numpy as np
import pytest
from mmengine.config import ConfigDict

from genpercept_mm.utils.argument_types import check_types, documented_types


class Base:

    def __init__(self, rest=None):
        self.rest = rest


@check_types
class Owner(Base):
    """Do something.

    See (not an argument): this line.

    Args:
        count (int): How many.
        share (float, optional): A share of all, for example
            (a, b): not an argument.
        flag (bool): Defaults to False.
        name (str | Sequence[str]): One or several.
        sizes (Sequence[int | float], optional): Numbers.
        table (dict[str, int], optional): By name.
        thing (Owner): Not checked.
        rest (str): An argument of the base class.
        **kwargs: Arguments of `Base`.

    Raises:
        nothing (int): Not an argument.
    """

    def __init__(self, count, share=None, flag=False, name='a', sizes=None,
                 table=None, thing=None, **kwargs):
        super().__init__(**kwargs)
        self.given = count, share, flag, name, sizes, table, thing


GOOD = dict(
    count=[3, -1, np.int64(3)], share=[None, .5, 1, np.float32(.5), np.inf],
    flag=[True, np.bool_(False)], name=['a', ['a', 'b'], ('a', ), {'a'}, []],
    sizes=[None, [1, 2.5], (3, ), range(3), np.zeros(2)],
    table=[None, {}, dict(a=1), ConfigDict(a=1), OrderedDict()],
    thing=[None, 3, 'x'], rest=['x'])
BAD = dict(
    count=[None, 2.5, '3', True, [3], float('nan')], share=['.5', True, [.5]],
    flag=[0, None, 'no'], name=[None, 3, ['a', 3], dict(a=1)],
    sizes=[3, 'ab', [1, 'a'], [None], dict(a=1)], table=[[], 'a', [('a', 1)]],
    rest=[3, ['a']])


@pytest.mark.parametrize('name, value', [
    (name, value) for name, values in GOOD.items() for value in values])
def test_documented_types_pass(name, value):
    owner = Owner(**dict(dict(count=1), **{name: value}))
    assert any(part is value for part in (*owner.given, owner.rest))


@pytest.mark.parametrize('name, value', [
    (name, value) for name, values in BAD.items() for value in values])
def test_other_types_are_named(name, value):
    with pytest.raises(TypeError, match=rf'^Owner: {name} must be .*, got .*'
                       rf'\({type(value).__name__}\)\.$'):
        Owner(**dict(dict(count=1), **{name: value}))


def test_arguments_by_position_are_checked_too():
    assert Owner(1, .5).given[:2] == (1, .5)
    with pytest.raises(TypeError, match='Owner: flag must be bool, got 3'):
        Owner(1, .5, 3)


@pytest.mark.parametrize('args, kwargs', [
    ((), {}), ((1, ), dict(count=2)), (range(9), {}), ((1, ), dict(other=2))])
def test_python_says_what_is_missing_or_unknown(args, kwargs):
    with pytest.raises(TypeError, match=r'__init__\(\)'):
        Owner(*args, **kwargs)


def test_subclasses_are_named_and_may_take_more():

    class Heir(Owner):
        pass

    with pytest.raises(TypeError, match='^Heir: count must be int'):
        Heir('a')


def test_types_are_those_of_the_section():
    assert documented_types(Owner.__doc__) == dict(
        count='int', share='float, optional', flag='bool',
        name='str | Sequence[str]', sizes='Sequence[int | float], optional',
        table='dict[str, int], optional', thing='Owner', rest='str')
    assert documented_types(None) == documented_types('Text alone.') == {}


def test_classes_without_a_constructor_or_a_docstring_stay_as_they_are():
    for cls in (type('A', (Base, ), {}), Base):
        init = cls.__init__
        assert check_types(cls) is cls and cls.__init__ is init
