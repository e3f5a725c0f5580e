import json

from demo.baselines import Guess
from demo.summary import summarize


def test_file_and_table_say_the_same(tmp_path, capsys):
    summarize('depth', 0.1234, Guess(0.5, '[0.5] everywhere', '9 frames'),
              dict(data=1, train=2.04, test=3), str(tmp_path), 'grid.png')
    with open(tmp_path / 'summary.json') as file:
        assert json.load(file) == dict(
            task='depth', metric='abs_rel', value=0.1234, baseline=0.5,
            higher_is_better=False, train_seconds=2.0, total_seconds=6.0,
            figure='grid.png')
    lines = capsys.readouterr().out.split('\n')[1:]
    assert lines[0].split() == ['task', 'metric', 'value', 'baseline',
                                'train', 's', 'total', 's']
    assert lines[1].split() == ['depth', 'abs_rel', '0.123', '0.500', '2',
                                '6']
    assert lines[2] == ('less is better; baseline: [0.5] everywhere, on the '
                        'same 9 frames that training has not seen')
    assert lines[3:5] == [str(tmp_path / 'summary.json'), 'grid.png']
