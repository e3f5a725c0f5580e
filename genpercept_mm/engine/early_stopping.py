"""What early stopping has seen, across a resume."""
import copy
import logging

from mmengine.hooks import EarlyStoppingHook
from mmengine.logging import print_log

from genpercept_mm.utils.plain import to_plain

KEY, STATE, RULES = 'early_stopping', ('best_score', 'wait_count'), (
    'monitor', 'rule')


def _hooks(runner):
    return [hook for hook in runner.hooks
            if isinstance(hook, EarlyStoppingHook)]


def save_early_stopping(runner, checkpoint, caller, metrics=None):
    """Store the best score and the patience used up so far.

    Args:
        runner (Runner): With hooks.
        checkpoint (dict): Is given the state.
        caller (Hook): The one that saves.
        metrics (dict, optional): Scores of the validation that is going on,
            which hooks after ``caller`` are about to see.
    """
    states = []
    for hook in _hooks(runner):
        if metrics and hook.monitor in metrics and (
                runner.hooks.index(hook) > runner.hooks.index(caller)):
            hook = copy.copy(hook)
            hook._check_stop_condition(metrics[hook.monitor])
        states.append({key: getattr(hook, key) for key in (*RULES, *STATE)})
    if states:
        checkpoint[KEY] = to_plain(states)


def resume_early_stopping(runner, checkpoint):
    """Go on with what a checkpoint has, where the same score is watched by the
    same rule; for others, say that they start anew."""
    states = list(checkpoint.get(KEY, ()))
    for hook in _hooks(runner):
        state = next((state for state in states if all(
            state[key] == getattr(hook, key) for key in RULES)), None)
        if state is None:
            print_log(
                f'EarlyStoppingHook of {hook.monitor} starts anew, as the '
                'checkpoint does not have what it has seen.',
                logger='current', level=logging.WARNING)
            continue
        states.remove(state)
        for key in STATE:
            setattr(hook, key, state[key])
