"""The result of the demo, as a file and as a table."""
import json
import os.path as osp

from .tasks import TASKS


def summarize(name, value, guess, seconds, work_dir, figure):
    """Write summary.json and print it as a table.

    Args:
        name (str): A key of ``TASKS``.
        value (float): What the model scores.
        guess (Guess): The best prediction that ignores the picture.
        seconds (dict[str, float]): The seconds that each step has taken.
        work_dir (str): Folder to write ``summary.json`` to.
        figure (str): Path of the grid of pictures.
    """
    task = TASKS[name]
    summary = dict(
        task=name,
        metric=task.metric,
        # metrics may hand out NumPy's float32
        value=float(value),
        baseline=float(guess.value),
        higher_is_better=task.higher_is_better,
        train_seconds=round(seconds.get('train', 0), 1),
        total_seconds=round(sum(seconds.values()), 1),
        figure=figure)
    path = osp.join(work_dir, 'summary.json')
    with open(path, 'w') as file:
        json.dump(summary, file, indent=2)
    print(f'\n{"task":<10}{"metric":<12}{"value":>8}{"baseline":>10}'
          f'{"train s":>9}{"total s":>9}')
    print(f'{name:<10}{task.metric:<12}{value:>8.3f}{guess.value:>10.3f}'
          f'{summary["train_seconds"]:>9.0f}'
          f'{summary["total_seconds"]:>9.0f}')
    better = 'more' if task.higher_is_better else 'less'
    print(f'{better} is better; baseline: {guess.prediction}, on the same '
          f'{guess.frames} that training has not seen\n{path}\n{figure}')
