import re

from reproduction.comparison import compare
from reproduction.plan import Row
from reproduction.report import (
    render_table,
    reported_results,
    results_line,
)

METRICS = [('kitti', 'abs_rel'), ('kitti', 'delta1'), ('nyuv2', 'abs_rel'),
           ('nyuv2', 'delta1')]
ROWS = [Row('9', name, f'Row {name}', 'x.py', ('9', name), None, None, paper)
        for name, paper in (('baseline', (.1, .9, .2, .8)),
                            ('a', (.2, .8, .4, .7)), ('b', (.3, .7, .3, .6)),
                            ('c', (.3, .9, .5, .5)))]
RUN = dict(hardware='CPU X', torch='2.5', train_frames=8, test_frames=4,
           date='2026-01-02', train_seconds=10, test_seconds=3)
READING = '<!-- reading -->\nfine\n<!-- /reading -->'


def render(results, failures=None, runs=(RUN, ), plot=None):
    entries = compare(ROWS, METRICS, results, failures)
    return render_table('Title', 'python x', entries, METRICS, runs,
                        ['seeds: 0, 1'], READING, plot)


def line_of(text, start, index=0):
    """Cells of the n-th line that starts so."""
    lines = [line for line in text.splitlines()
             if line.startswith(f'| {start} |')]
    return lines[index][2:-2].split(' | ')


def test_our_numbers_stand_beside_the_papers():
    text = render({
        '9/baseline': [dict(abs_rel=.2, delta1=.8), dict(
            abs_rel=.22, delta1=.8)],
        '9/a': [dict(abs_rel=.42, delta1=.7)]}, {'9/b': 2, '9/a': 1})
    header = line_of(text, 'row')
    assert header == [
        'row', 'seeds', 'AbsRel', 'δ1', 'rank', 'ratio', 'paper: AbsRel',
        'paper: δ1', 'paper: rank', 'paper: ratio']
    # spread: 0.02 / sqrt(2)
    assert line_of(text, 'Row baseline') == [
        'Row baseline', '2', '0.2100 ± 0.0141', '0.8000 ± 0.0000', '1.0',
        '1.00', '0.1500', '0.8500', '1.0', '1.00']
    assert line_of(text, 'Row a') == [
        'Row a', '1, 1 failed', '0.4200', '0.7000', '2.0', '2.00', '0.3000',
        '0.7500', '2.5', '2.00']
    assert line_of(text, 'Row b')[:6] == [
        'Row b', '0, 2 failed', 'failed', 'failed', '–', '–']
    assert line_of(text, 'Row c')[:6] == ['Row c', '0', '–', '–', '–', '–']
    assert '- 2 of 4 rows have results\n- **failed: a, b**\n' in text
    assert line_of(text, 'all rows') == ['all rows', '2', '–']
    # one test set of ours, two of the paper
    assert line_of(text, 'Row a', 1) == ['Row a', '0.200', '0.800', '0.400',
                                         '0.700']
    assert line_of(text, 'row', 1)[1:] == ['KITTI AbsRel', 'KITTI δ1',
                                           'NYU AbsRel', 'NYU δ1']


def test_the_same_data_sets_are_compared_one_by_one():
    values = {f'{dataset}/{metric}': .25 for dataset, metric in METRICS}
    text = render({'9/a': [values]})
    assert line_of(text, 'Row a', 1) == [
        'Row a', *(f'0.2500 ({value})' for value in ('0.200', '0.800',
                                                     '0.400', '0.700'))]
    assert line_of(text, 'Row b', 1)[1] == '– (0.300)'


def test_the_head_says_what_was_run_where_and_when():
    other = dict(RUN, hardware='GPU Y', train_frames=2, date='2026-01-01',
                 train_seconds=None, test_seconds=5)
    text = render({}, runs=(RUN, other))
    assert text.startswith('# Title\n\n`python x`\n\n- 0 of 4 rows have')
    assert '- seeds: 0, 1\n- hardware: CPU X; GPU Y; torch 2.5\n' in text
    assert '- frames: 2 to 8 for training, 4 for testing\n' in text
    assert '- date: 2026-01-01 to 2026-01-02\n' in text
    assert 'training, median: 10; of a test: 4\n' in text
    assert READING in text


def test_a_table_says_how_many_results_it_has(tmp_path):
    path = tmp_path / 'table.md'
    assert reported_results(str(path)) == 0
    text = render_table('Title', 'python x', compare(ROWS, METRICS, {}),
                        METRICS, (RUN, ), [results_line(41, 42)], READING)
    assert '\n- results: 41 of 42, rows times seeds\n' in text
    path.write_text(text)
    assert reported_results(str(path)) == 41
    path.write_text('# by hand, results: 41 of 42')
    assert reported_results(str(path)) == 0


def test_nothing_is_said_of_runs_that_were_not():
    text = render({}, runs=())
    assert 'hardware' not in text and 'frames' not in text
    assert not re.search(r'\| (failed|0\.0000)', text)


def test_the_plot_is_linked():
    assert '![Title](t.png)' in render({}, plot='t.png')
    assert '![' not in render({})
