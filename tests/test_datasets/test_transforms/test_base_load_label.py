import pytest

from genpercept_mm.datasets.transforms.base_load_label import (
    errors_named,
    require,
)


@pytest.mark.parametrize('raised,caught', [
    (FileNotFoundError, FileNotFoundError), (OSError, OSError),
    (ValueError, ValueError), (KeyError, ValueError)])
def test_errors_keep_their_kind_and_get_a_name(raised, caught):
    with pytest.raises(caught) as error:
        with errors_named('LoadX'):
            raise raised("a.png lacks 'b'")
    assert type(error.value) is caught
    assert str(error.value) == "LoadX: a.png lacks 'b'"


def test_bugs_pass_unchanged():
    with pytest.raises(TypeError, match='^wrong$'):
        with errors_named('LoadX'):
            raise TypeError('wrong')


def test_missing_label_names_the_remedy():
    require(dict(a=1), 'depth', ['a'])
    with pytest.raises(ValueError, match=r"the sample i.png lacks \['b'\]; "
                       "add 'depth' to the labels of its data set"):
        require(dict(a=1, img_path='i.png'), 'depth', ['a', 'b'])
