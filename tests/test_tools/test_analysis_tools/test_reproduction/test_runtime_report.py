from benchmarking.protocols import SETTINGS, Measurement
from reproduction.runtime_report import (
    render_runtime_table,
)


def test_medians_ratios_and_the_papers():
    seconds = dict(ensemble=[8., 30., 20.], deterministic=[2.2, 2., 2.1])
    found = {key: Measurement(seconds.get(key, [2.]), memory)
             for key, memory in zip(SETTINGS, (8., 4., 4., 3., 2.))}
    text = render_runtime_table(found, 'python x', ['cpu'], 'kept')
    rows = [line[2:-2].split(' | ') for line in text.splitlines()
            if line.startswith('| ')]
    assert rows[2] == [
        'Stochastic multi-step, ensemble of 10', '20.000', '8.000 to 30.000',
        '10.00', '7.27', '5.74', '8.00', '2.00', '2.30', '16']
    assert rows[3][1:] == ['2.000', '2.000 to 2.000', '1.00', '1.00', '0.79',
                           '4.00', '1.00', '1.00', '6.95']
    assert rows[4][3] == '1.05'
    # 0.34 / 0.79, 0.24 / 0.79 and 6.32 / 6.95 of the paper
    assert [row[4] for row in rows[5:]] == ['0.43', '0.30']
    assert [row[8] for row in rows[5:]] == ['1.00', '0.91']
    assert '- cpu\n' in text and '`python x`' in text
    assert text.endswith('kept\n')
