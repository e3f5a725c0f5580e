"""Early stopping across a resume."""
import os

import numpy as np
import pytest
import torch
from mmengine.hooks import EarlyStoppingHook
from toys import Scores, runner


def scored(folder, values, first=0, **kwargs):
    """Validate after each iteration; ``values`` are those of a whole run."""
    return runner(folder, len(values), scores=Scores('x', values[first:]),
                  checkpoint=dict(save_best='x', rule='less'), **kwargs)


def test_early_stopping_remembers_the_best_score(tmp_path):
    """Scores after the first are worse, and two of them are waited for.

    mmengine's own loop saves before it validates, so that the resumed run has
    seen one score. One that forgot it would take the third for the best and
    stop after the fifth.
    """
    # metrics give NumPy's numbers
    scores = [np.float64(value) for value in (1, 5, 4, 3, 2, 2)]
    stop = dict(
        type='EarlyStoppingHook', monitor='x', rule='less', patience=2)
    scored(tmp_path, scores[:2], hooks=[stop]).train()
    torch.load(tmp_path / 'iter_2.pth', weights_only=True)
    run = scored(tmp_path, scores, first=2, resume=True, hooks=[stop])
    run.train()
    assert run.iter == 4


@pytest.mark.parametrize('priority', ['LOWEST', 'HIGH'])
def test_the_best_checkpoint_knows_its_own_score(tmp_path, priority):
    stop = dict(type='EarlyStoppingHook', monitor='x', rule='less',
                patience=9, priority=priority)
    scored(tmp_path, [5., 6, 7, 3], hooks=[stop]).train()
    state, = torch.load(tmp_path / 'best_x_iter_4.pth', weights_only=True)[
        'early_stopping']
    assert (state['best_score'], state['wait_count']) == (3, 0)
    # which is older than the third score
    state, = torch.load(tmp_path / 'iter_3.pth', weights_only=True)[
        'early_stopping']
    assert (state['best_score'], state['wait_count']) == (5, 1)


def test_early_stopping_belongs_to_a_score_and_its_rule(tmp_path):
    x, y = (dict(type='EarlyStoppingHook', monitor='x', rule=rule,
                 patience=9) for rule in ('less', 'greater'))
    scored(tmp_path, [4., 2, 3], hooks=[y, x]).train()
    for hook, best in ((x, 2), (y, 4)):
        run = scored(tmp_path, [2.] * 4, first=3, resume=True, hooks=[hook])
        run.train()
        found, = (h for h in run.hooks if isinstance(h, EarlyStoppingHook))
        assert found.best_score == best
        os.remove(tmp_path / 'iter_4.pth')
