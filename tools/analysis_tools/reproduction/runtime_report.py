"""Write our table 11 beside the paper's, as Markdown."""
from statistics import median

from benchmarking.protocols import REFERENCE_ROW, SETTINGS

from .markdown import markdown_table


def render_runtime_table(measurements, command, details, reading):
    """Write the report of table 11.

    Args:
        measurements (dict[str, Measurement]): From `measure`.
        command (str): Command that produces these results.
        details (Sequence[str]): Lines about the settings.
        reading (str): Block of text to keep, from `kept_reading`.

    Returns:
        str: Markdown.
    """
    base = measurements[REFERENCE_ROW]
    base_seconds = median(base.seconds)
    paper = SETTINGS[REFERENCE_ROW]
    rows = []
    for key, setting in SETTINGS.items():
        ours = measurements[key]
        seconds = median(ours.seconds)
        rows.append([
            setting.name, f'{seconds:.3f}',
            f'{min(ours.seconds):.3f} to {max(ours.seconds):.3f}',
            f'{seconds / base_seconds:.2f}',
            f'{setting.seconds / paper.seconds:.2f}', f'{setting.seconds}',
            f'{ours.memory:.2f}', f'{ours.memory / base.memory:.2f}',
            f'{setting.memory / paper.memory:.2f}', f'{setting.memory}'
        ])
    header = ['row', 'seconds', 'range', 'ratio', 'paper: ratio',
              'paper: seconds', 'memory', 'ratio', 'paper: ratio',
              'paper: GB']
    return '\n'.join([
        '# Table 11: run time and memory of one prediction\n',
        f'`{command}`\n', ''.join(f'- {line}\n' for line in details),
        markdown_table(header, rows),
        'Random weights. Seconds: median, and range, of predictions in one '
        'process, in turns over the rows, from the image in memory to the '
        'map. Memory in GiB: the peak of a process of its own for each row '
        '(on a GPU, what torch has allocated; on a CPU, all that the process '
        'holds, libraries too). Ratios are to stochastic multi-step without '
        "ensemble. The paper's: RTX 4090, image size not given.\n",
        '## Reading\n', reading + '\n'])
