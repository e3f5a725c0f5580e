import numpy as np
import pytest
from reproduction.rankings import mean_and_spread, mean_ranks, spearman


@pytest.mark.parametrize('higher', [False, True])
def test_a_rank_counts_the_strictly_better_rows(higher):
    values = np.random.default_rng(0).integers(0, 6, 20).tolist()
    assert len(set(values)) < 20
    assert mean_ranks([[value] for value in values], [higher]) == [
        1 + sum(other > value if higher else other < value
                for other in values) for value in values]


def test_mean_rank_by_hand():
    """AbsRel ranks 1, 1, 3; delta1 ranks 2, 1, 3."""
    rows = [(.1, .8), (.1, .9), (.2, .7)]
    assert mean_ranks(rows, (False, True)) == [1.5, 1, 3]


def test_a_row_without_a_number_leaves_the_ranks_of_the_others():
    ranks = mean_ranks([(.2, ), (float('nan'), ), (.1, )], (False, ))
    assert ranks[::2] == [2, 1] and np.isnan(ranks[1])


def test_spearman_is_pearson_of_ranks_where_ties_take_the_mean_rank():
    rng = np.random.default_rng(1)
    pair = rng.integers(0, 5, (2, 15))
    ranks = [[(values < value).sum() + ((values == value).sum() + 1) / 2
              for value in values] for values in pair]
    assert spearman(*pair.tolist()) == pytest.approx(
        np.corrcoef(ranks)[0, 1])


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
