import numpy as np
import pytest

from genpercept_mm.utils.affine_fit import fit_scale_and_shift


@pytest.mark.parametrize('seed', range(5))
def test_equals_numpys_least_squares(seed):
    values, target = np.random.default_rng(seed).normal(
        3, 2, size=(2, 50))
    columns = np.stack([values, np.ones(50)], axis=1)
    assert fit_scale_and_shift(values, target) == pytest.approx(
        np.linalg.lstsq(columns, target, rcond=None)[0])


def test_constants_give_the_mean():
    target = np.array([1., 2., 6.])
    for value in (0., .1, 1e9):
        assert fit_scale_and_shift(np.full(3, value), target) == (0, 3)
    assert fit_scale_and_shift(np.zeros(0), np.zeros(0)) == (0, 0)
