"""What early stopping has seen, across a resume."""
from mmengine.hooks import EarlyStoppingHook

KEY, FIELDS = 'early_stopping', ('monitor', 'best_score', 'wait_count')


def _hooks(runner):
    return [hook for hook in runner.hooks
            if isinstance(hook, EarlyStoppingHook)]


def save_early_stopping(runner, checkpoint):
    """Store the best score and the patience used up so far."""
    states = [{field: getattr(hook, field) for field in FIELDS}
              for hook in _hooks(runner)]
    if states:
        checkpoint[KEY] = states


def resume_early_stopping(runner, checkpoint):
    """Go on with what a checkpoint has, where the same score is watched."""
    for hook, state in zip(_hooks(runner), checkpoint.get(KEY, ())):
        if state['monitor'] == hook.monitor:
            hook.best_score = state['best_score']
            hook.wait_count = state['wait_count']
