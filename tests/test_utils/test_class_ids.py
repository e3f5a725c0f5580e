import re

import numpy as np
import pytest

from genpercept_mm.utils.class_ids import check_ids


@pytest.mark.parametrize('kind', [np.uint8, np.int64, np.int16])
@pytest.mark.parametrize('seed', range(5))
def test_exactly_foreign_ids_are_refused(kind, seed):
    """Compared with a Python loop over the pixels."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, 9))
    label = rng.choice([*range(classes), 255, *rng.integers(0, 200, seed)],
                       (6, 7)).astype(kind)
    if kind != np.uint8 and seed == 4:
        label[2, 3] = -1
    foreign = sorted({int(id_) for id_ in label.flat
                      if not 0 <= id_ < classes and id_ != 255})
    if not foreign:
        assert check_ids('Owner', label, classes, 'a.png') == sorted(
            set(label.ravel().tolist()))
        return
    with pytest.raises(ValueError, match=re.escape(
            f'Owner: the label a.png holds the ids {foreign[:5]}; there are '
            f'{classes} classes, so ids are 0..{classes - 1}, or 255')):
        check_ids('Owner', label, classes, 'a.png')


@pytest.mark.parametrize('label, classes, ignored', [
    (np.zeros((0, 3), int), 2, 255), ([[0, 1], [1, 7]], 2, 7),
    ([300, 2], 301, 255), ([0, 70000], 70001, 255), ([-1, 0], 1, -1)])
def test_any_ids_of_classes_and_the_ignored_one_pass(label, classes, ignored):
    found = check_ids('Owner', label, classes, 'a.png', ignored)
    assert found == np.unique(label).tolist()


@pytest.mark.parametrize('wrong', [-1, 2, 254, 256, 70000])
def test_remedies_are_named(wrong):
    with pytest.raises(ValueError, match=rf'ids \[{wrong}\].*num_classes.*'
                       'LoadSegLabel a label_map'):
        check_ids('Owner', np.array([0, 1, wrong]), 2, 'a.png')
