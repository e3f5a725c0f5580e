import numpy as np
import pytest

from genpercept_mm.datasets.transforms.base_load_label import (
    apply_label_map,
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


@pytest.mark.parametrize('kind', [np.uint8, np.uint16, np.int64])
def test_ids_are_replaced_as_in_a_dict(kind):
    label = np.random.default_rng(0).integers(0, 9, (6, 7)).astype(kind)
    before, table = label.copy(), {0: 1, 1: 0, 3: 255, 8: 8, 100: 4}
    found = apply_label_map(label, table)
    assert found.dtype == kind
    assert found.tolist() == [[table.get(i, i) for i in row]
                              for row in before.tolist()]
    np.testing.assert_array_equal(label, before)
    assert apply_label_map(label, None) is label
