import pytest
from reproduction.ablations import read_tables
from reproduction.comparison import (
    compare,
    correlations,
    groups_of,
)
from reproduction.plan import Row, read_rows, select_rows
from scipy import stats

METRICS = [('kitti', 'abs_rel'), ('kitti', 'delta1'), ('nyuv2', 'abs_rel'),
           ('nyuv2', 'delta1')]
# "Rank" of table 1 as printed, from the smallest betas to (1, 1)
PRINTED_RANKS = {
    'Marigold, multi-res noise': [7.0, 5.8, 3.6, 2.3, 2.8, 4.7, 1.7],
    'Marigold': [7.0, 6.0, 5.0, 2.4, 2.3, 3.7, 1.5],
    'DMP': [6.9, 6.1, 5.0, 3.8, 2.2, 2.3, 1.2]
}


def published(table):
    content = read_tables()
    rows = read_rows(content['tables'])
    return (select_rows(rows, table),
            [tuple(metric) for metric in content['metrics']])


def row(name, *paper, group=None):
    return Row('9', name, name, 'x.py', ('9', name), group, None, paper)


ROWS = [row('baseline', .1, .9, .2, .8), row('a', .2, .8, .4, .7),
        row('b', .3, .7, .3, .6), row('c', .3, .9, .5, .5)]


def test_ranks_of_table_1_are_the_printed_ones():
    groups = groups_of(compare(*published('1'), {}))
    assert list(groups) == list(PRINTED_RANKS)
    for name, entries in groups.items():
        assert [entry.paper_rank for entry in entries] == pytest.approx(
            PRINTED_RANKS[name], abs=.05 + 1e-9)


def test_means_over_data_sets_then_over_seeds():
    seeds = [{'kitti/abs_rel': .1, 'kitti/delta1': .9, 'kitti/rmse': 3.,
              'nyuv2/abs_rel': .3, 'nyuv2/delta1': .7},
             {'kitti/abs_rel': .2, 'kitti/delta1': .9, 'kitti/rmse': 3.,
              'nyuv2/abs_rel': .6, 'nyuv2/delta1': .7}]
    entry = compare(ROWS, METRICS, {'9/a': seeds})[1]
    assert entry.ours['abs_rel'] == pytest.approx((.3, 2**.5 / 10, 2))
    assert entry.ours['delta1'] == pytest.approx((.8, 0, 2))
    assert entry.numbers['nyuv2/abs_rel'] == pytest.approx(
        (.45, .3 / 2**.5, 2))
    assert sorted(entry.numbers) == sorted(
        key for key in seeds[0] if 'rmse' not in key)
    assert entry.paper == pytest.approx(dict(abs_rel=.3, delta1=.75))


def test_ranks_and_ratios_among_the_rows_that_were_run():
    results = {'9/baseline': [dict(abs_rel=.2, delta1=.8)],
               '9/b': [dict(abs_rel=.1, delta1=.7),
                       dict(abs_rel=.2, delta1=.7)]}
    entries = compare(ROWS, METRICS, results, {'9/c': 1})
    assert [entry.rank for entry in entries] == [1.5, None, 1.5, None]
    assert [entry.ratio for entry in entries] == [
        1, None, pytest.approx(.75), None]
    assert [entry.paper_ratio for entry in entries] == pytest.approx(
        [1, 2, 2, .4 / .15])
    assert [entry.failed for entry in entries] == [0, 0, 0, 1]
    # 1 1 1 1 | 2 3 3 2 | 3 4 2 3 | 3 1 4 4
    assert [entry.paper_rank for entry in entries] == [1, 2.5, 3, 3]


def test_without_a_result_of_the_baseline_there_is_no_ratio():
    entries = compare(ROWS, METRICS, {'9/a': [dict(abs_rel=.2, delta1=.8)]})
    assert [entry.ratio for entry in entries] == [None] * 4


def test_correlation_over_the_rows_that_were_run():
    rows, metrics = published('1')
    # leaves two rows of the last group
    ours = {row.key: [dict(abs_rel=(7 * i % 19) / 19, delta1=.5)]
            for i, row in enumerate(rows[:18])}
    entries = compare(rows, metrics, ours)
    found = correlations(entries)
    assert [(name, count) for name, count, _ in found] == [
        ('all rows', 18), ('Marigold, multi-res noise', 7), ('Marigold', 7),
        ('DMP', 2)]
    paper = [sum(row.paper[::2]) / 5 for row in rows[:18]]
    mine = [ours[row.key][0]['abs_rel'] for row in rows[:18]]
    assert found[0][2] == pytest.approx(
        stats.spearmanr(mine, paper).statistic)
    assert found[1][2] == pytest.approx(
        stats.spearmanr(mine[:7], paper[:7]).statistic)
    assert found[3][2] is None
