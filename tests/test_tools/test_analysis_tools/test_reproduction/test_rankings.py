import numpy as np
import pytest
from reproduction.rankings import (
    competition_ranks,
    mean_and_spread,
    mean_ranks,
    spearman,
)
from scipy import stats


@pytest.mark.parametrize('higher', [False, True])
def test_competition_ranks_are_scipys_min_ranks(higher):
    values = np.random.default_rng(0).integers(0, 6, 20)
    expected = stats.rankdata(-values if higher else values, method='min')
    assert len(set(values)) < 20
    assert competition_ranks(values.tolist(), higher) == expected.tolist()


def test_mean_rank_by_hand():
    """AbsRel ranks 1, 1, 3; delta1 ranks 2, 1, 3."""
    rows = [(.1, .8), (.1, .9), (.2, .7)]
    assert mean_ranks(rows, (False, True)) == [1.5, 1, 3]


def test_spearman_is_scipys_with_ties():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 5, 15), rng.integers(0, 5, 15)
    assert spearman(first.tolist(), second.tolist()) == pytest.approx(
        stats.spearmanr(first, second).statistic)


@pytest.mark.parametrize('first, second', [
    ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [4, 4, 4])])
def test_spearman_says_nothing_without_an_order(first, second):
    assert spearman(first, second) is None


def test_spread_is_the_sample_standard_deviation():
    values = [.1, .25, .2, .4]
    mean, spread = mean_and_spread(values)
    assert mean == pytest.approx(np.mean(values))
    assert spread == pytest.approx(np.std(values, ddof=1))
    assert mean_and_spread([.3]) == (.3, None)
