import json
import sys
from statistics import median

import benchmark
import pytest
from benchmarking import suite
from benchmarking.suite import ROWS, SUITES, run_suite

ROWS_HERE = ['diffusers_fp32', 'plain_fp32', 'exact_fp32', 'readout_fp32']


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp('suite')
    run_suite('cpu', str(out), 'cpu', 'mini', 64, only=ROWS_HERE, report=str)
    with open(out / 'benchmark.json') as file:
        return out, json.load(file)


def test_ratios_are_medians_of_pairs(finished):
    out, content = finished
    setting, = content['settings']
    assert (setting['size'], setting['batch']) == (64, 1)
    rows = setting['rows']
    assert list(rows) == ROWS_HERE
    for row in rows.values():
        assert len(row['seconds']) == 5
        pairs = [theirs / ours for theirs, ours in zip(
            rows['diffusers_fp32']['seconds'], row['seconds'])]
        assert row['ratio'] == dict(
            median=median(pairs), low=min(pairs), high=max(pairs), rounds=5)
    assert content['ratios'] == dict(exact_fp32=rows['exact_fp32']['ratio'])
    # the same weights: not folded the same numbers, folded but for rounding
    assert rows['plain_fp32']['difference'] < 1e-6
    assert 0 < rows['exact_fp32']['difference'] < 1e-4
    text = (out / 'benchmark.md').read_text()
    assert text.count('\n| ') == 1 + len(ROWS_HERE)
    assert f'{median(rows["exact_fp32"]["seconds"]) * 1000:.1f}' in text


def test_a_suite_continues(finished, monkeypatch, capsys):
    out, content = finished
    rows = dict(content['settings'][0]['rows'])
    rows['exact_fp32'] = dict(rows['exact_fp32'], seconds=rows[
        'exact_fp32']['seconds'][:3])
    content['settings'][0]['rows'] = rows
    (out / 'benchmark.json').write_text(json.dumps(content))
    monkeypatch.setattr(sys, 'argv', [
        'benchmark.py', '--suite', 'cpu', '--arch', 'mini', '--size', '64',
        '--device', 'cpu', '--out', str(out), '--only', *ROWS_HERE])
    benchmark.main()
    printed = capsys.readouterr().out
    assert 'exact_fp32 is ready' in printed
    assert 'plain_fp32 is ready' not in printed
    again = json.loads((out / 'benchmark.json').read_text())
    now = again['settings'][0]['rows']
    assert now['plain_fp32'] == rows['plain_fp32']
    assert now['exact_fp32']['seconds'][:3] == rows['exact_fp32']['seconds']
    assert len(now['exact_fp32']['seconds']) == 5
    with pytest.raises(ValueError, match='another suite or machine .arch'):
        run_suite('cpu', str(out), 'cpu', 'sd21')


def test_what_fails_is_said_and_the_rest_goes_on(tmp_path, monkeypatch):

    def fail(variants):
        raise RuntimeError('no such kernel')

    monkeypatch.setitem(ROWS, 'plain_fp32', ROWS['plain_fp32']._replace(
        build=fail))
    content = run_suite('cpu', str(tmp_path), 'cpu', 'mini', 64,
                        only=ROWS_HERE[:2], report=str)
    rows = content['settings'][0]['rows']
    assert rows['plain_fp32']['failed'] == 'RuntimeError: no such kernel'
    assert 'failed: RuntimeError' in suite.table(content)
    assert len(rows['diffusers_fp32']['seconds']) == 5
    # another attempt
    monkeypatch.undo()
    content = run_suite('cpu', str(tmp_path), 'cpu', 'mini', 64,
                        only=ROWS_HERE[:2], report=str)
    row = content['settings'][0]['rows']['plain_fp32']
    assert 'failed' not in row and len(row['seconds']) == 5


def test_rows_of_the_suites():
    for rows in SUITES.values():
        assert set((*rows.rows, *rows.once)) <= set(ROWS)
        assert set(suite.RATIOS.values()) <= set(rows.rows)
    for row in ROWS.values():
        assert ROWS[row.peer].dtype == row.dtype
