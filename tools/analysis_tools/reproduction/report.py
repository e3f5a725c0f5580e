"""Write our table beside the paper's, as Markdown."""
import os.path as osp
import re
from statistics import median

from .comparison import METRICS, correlations
from .markdown import MISSING, markdown_table, number

DATASETS = dict(kitti='KITTI', nyuv2='NYU', scannet='ScanNet', diode='DIODE',
                eth3d='ETH3D')
RESULTS = re.compile(r'^- results: (\d+) of \d+', re.M)


def render_table(title, command, entries, metrics, runs, details, reading,
                 plot=None):
    """Write the report of one table.

    Args:
        title (str): Heading.
        command (str): Command that produces these results.
        entries (Sequence[Entry]): From `compare`.
        metrics (Sequence[tuple[str, str]]): Data set and metric of each of
            the paper's numbers.
        runs (Sequence[dict]): Contents of the result files.
        details (Sequence[str]): Lines about the settings.
        reading (str): Block of text to keep, from `kept_reading`.
        plot (str, optional): Name of a picture beside the file. Defaults to
            None, no picture.

    Returns:
        str: Markdown.
    """
    parts = [f'# {title}\n', f'`{command}`\n',
             ''.join(f'- {line}\n' for line in [
                 *_coverage(entries), *details, *_provenance(runs)])]
    parts.append('## Rows\n')
    parts.append(_summary(entries))
    parts.append(
        'AbsRel: lower is better; δ1: higher is better; means over the data '
        'sets. ±: sample standard deviation over seeds. Rank: mean over all '
        'numbers of the rank inside the group, ties take the best; ours '
        'among the rows that were run. Ratio: AbsRel over that of the '
        f'baseline. {MISSING}: not run.\n')
    parts.append("## Order of the rows, ours against the paper's\n")
    parts.append(markdown_table(
        ['Spearman correlation of AbsRel', 'rows', 'rho'],
        [[name, str(count), number(rho, 2)]
         for name, count, rho in correlations(entries)]))
    if plot is not None:
        parts.append(f'![{title}]({plot})\n')
    parts.append('## Reading\n')
    parts.append(reading + '\n')
    parts.append('## Every number\n')
    parts.append(_numbers(entries, metrics))
    return '\n'.join(parts)


def results_line(count, total):
    """State how many results are in a table, for `reported_results`.

    Args:
        count (int): Number of results over all rows and seeds.
        total (int): Their number if none were missing.

    Returns:
        str: A line for ``details`` of `render_table`.
    """
    return f'results: {count} of {total}, rows times seeds'


def reported_results(path):
    """Read how many results a written table has.

    Args:
        path (str): The file.

    Returns:
        int: 0 if the file does not exist or does not state it.
    """
    if not osp.isfile(path):
        return 0
    with open(path, encoding='utf-8') as file:
        found = RESULTS.search(file.read())
    return int(found[1]) if found else 0


def _coverage(entries):
    """State which rows have results and which have failed."""
    done = [entry for entry in entries if entry.ours]
    lines = [f'{len(done)} of {len(entries)} rows have results']
    failed = [entry.row.id for entry in entries if entry.failed]
    if failed:
        lines.append(f'**failed: {", ".join(failed)}**')
    return lines


def _provenance(runs):
    """State where and when the results were measured."""
    def values(key):
        return sorted({run[key] for run in runs})

    def span(key):
        found = values(key)
        return ' to '.join(map(str, dict.fromkeys([found[0], found[-1]])))

    if not runs:
        return []
    lines = [f'hardware: {"; ".join(values("hardware"))}; torch '
             f'{", ".join(values("torch"))}',
             f'frames: {span("train_frames")} for training, '
             f'{span("test_frames")} for testing',
             f'date: {span("date")}']
    seconds = [run['train_seconds'] for run in runs if run['train_seconds']]
    if seconds:
        lines.append(f'seconds of a training, median: {median(seconds):.0f}; '
                     'of a test: '
                     f'{median(run["test_seconds"] for run in runs):.0f}')
    return lines


def _summary(entries):
    header = ['row', 'seeds', *(name for name, _ in METRICS.values()), 'rank',
              'ratio', *(f'paper: {name}' for name, _ in METRICS.values()),
              'paper: rank', 'paper: ratio']
    return markdown_table(header, [[
        entry.row.name, _seeds(entry),
        *(_cell(entry, entry.ours.get(key)) for key in METRICS),
        number(entry.rank, 1), number(entry.ratio, 2),
        *(number(entry.paper[key], 4) for key in METRICS),
        number(entry.paper_rank, 1), number(entry.paper_ratio, 2)
    ] for entry in entries])


def _seeds(entry):
    count = entry.ours['abs_rel'].count if entry.ours else 0
    return f'{count}, {entry.failed} failed' if entry.failed else str(count)


def _cell(entry, cell):
    if cell is None:
        return 'failed' if entry.failed else MISSING
    spread = '' if cell.spread is None else f' ± {cell.spread:.4f}'
    return f'{cell.mean:.4f}{spread}'


def _numbers(entries, metrics):
    """Lay out the paper's numbers, after ours on the same data sets."""
    ours = any(f'{dataset}/{metric}' in entry.numbers for entry in entries
               for dataset, metric in metrics)
    header = ['row'] + [f'{DATASETS.get(dataset, dataset)} '
                        f'{METRICS[metric][0]}' for dataset, metric in metrics]
    rows = []
    for entry in entries:
        cells = []
        for (dataset, metric), value in zip(metrics, entry.row.paper):
            cell = f'{value:.3f}'
            if ours:
                own = entry.numbers.get(f'{dataset}/{metric}')
                cell = f'{_cell(entry, own)} ({cell})'
            cells.append(cell)
        rows.append([entry.row.name, *cells])
    caption = ('Ours, and the paper\'s in brackets.\n' if ours else
               'The paper\'s; our data are others.\n')
    return caption + '\n' + markdown_table(header, rows)
