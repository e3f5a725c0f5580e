"""Our numbers of a table beside the paper's."""
from collections import namedtuple

from .rankings import mean_and_spread, mean_ranks, spearman

# names as in the paper, and whether more is better
METRICS = dict(abs_rel=('AbsRel', False), delta1=('δ1', True))
BASELINE = 'baseline'

Cell = namedtuple('Cell', 'mean spread count')
Cell.__doc__ = 'Mean and spread over ``count`` seeds.'


class Entry:
    """A row of a table with all that is compared.

    Args:
        row (Row): From `read_rows`.
        metrics (Sequence[tuple[str, str]]): Data set and metric of each of
            the paper's numbers.
        results (Sequence[dict[str, float]]): What was measured with each
            seed, as ``metric`` or ``data set/metric``. Defaults to ()
            (nothing).
        failed (int): Number of seeds that failed. Defaults to 0.

    Attributes:
        numbers (dict[str, Cell]): Every measured number that the paper has
            too, over the seeds.
        ours (dict[str, Cell]): Each metric, averaged over data sets first;
            empty where nothing was run.
        paper (dict[str, float]): The same of the paper.
        rank (float | None): Mean rank inside the group, see `mean_ranks`.
        paper_rank (float | None): The paper's.
        ratio (float | None): AbsRel relative to the baseline's.
        paper_ratio (float | None): The paper's.
    """

    def __init__(self, row, metrics, results=(), failed=0):
        self.row, self.failed = row, failed
        results = [{key: value for key, value in result.items()
                    if _metric(key) in METRICS} for result in results]
        self.numbers = _over_seeds(results)
        self.ours = _over_seeds([{
            name: _mean(value for key, value in result.items()
                        if _metric(key) == name) for name in METRICS
        } for result in results])
        self.paper = {
            name: _mean(value for (_, metric), value in zip(
                metrics, row.paper, strict=True) if metric == name)
            for name in METRICS}
        self.rank = self.paper_rank = self.ratio = self.paper_ratio = None


def compare(rows, metrics, results, failures=None):
    """Compare the rows of a table with each other, and with the paper.

    Ranks are inside groups, where a table has several, as in table 1 of the
    paper, and else over all rows.

    Args:
        rows (Sequence[Row]): Of one table.
        metrics (Sequence[tuple[str, str]]): As of `Entry`.
        results (dict[str, list[dict]]): By the row's key, as of `Entry`.
        failures (dict[str, int], optional): Seeds that failed, by the row's
            key. Defaults to None.

    Returns:
        list[Entry]: One for each row.
    """
    entries = [
        Entry(row, metrics, results.get(row.key, ()),
              (failures or {}).get(row.key, 0)) for row in rows]
    higher = [METRICS[metric][1] for _, metric in metrics]
    for group in groups_of(entries).values():
        for entry, rank in zip(group, mean_ranks(
                [entry.row.paper for entry in group], higher)):
            entry.paper_rank = rank
        present = [entry for entry in group if entry.ours]
        if not present:
            continue
        keys = list(present[0].numbers)
        for entry, rank in zip(present, mean_ranks(
                [[entry.numbers[key].mean for key in keys]
                 for entry in present],
                [METRICS[_metric(key)][1] for key in keys])):
            entry.rank = rank
    baseline = next(
        (entry for entry in entries if entry.row.id == BASELINE), None)
    for entry in entries if baseline else ():
        entry.paper_ratio = (
            entry.paper['abs_rel'] / baseline.paper['abs_rel'])
        if entry.ours and baseline.ours:
            entry.ratio = (
                entry.ours['abs_rel'].mean / baseline.ours['abs_rel'].mean)
    return entries


def groups_of(entries):
    """Group the rows that are ranked together.

    Args:
        entries (Sequence[Entry]): Of one table.

    Returns:
        dict[str | None, list[Entry]]: By the name of the group; all rows
        under None, unless there are several groups.
    """
    names = dict.fromkeys(
        entry.row.group for entry in entries if entry.row.group)
    if len(names) < 2:
        return {None: list(entries)}
    return {name: [entry for entry in entries if entry.row.group == name]
            for name in names}


def correlations(entries):
    """Correlate our order of rows by AbsRel with the paper's.

    Args:
        entries (Sequence[Entry]): Of one table.

    Returns:
        list[tuple[str, int, float | None]]: Name, number of rows that were
        run, and Spearman's rho; of all rows, then of each group, if there
        are several.
    """
    sets = {'all rows': entries}
    sets.update({name: group for name, group in groups_of(entries).items()
                 if name is not None})
    found = []
    for name, group in sets.items():
        present = [entry for entry in group if entry.ours]
        found.append((name, len(present), spearman(
            [entry.ours['abs_rel'].mean for entry in present],
            [entry.paper['abs_rel'] for entry in present])))
    return found


def _metric(key):
    """Name of a metric without its data set."""
    return key.split('/')[-1]


def _over_seeds(results):
    if not results:
        return {}
    return {key: Cell(*mean_and_spread([result[key] for result in results]),
                      len(results)) for key in results[0]}


def _mean(values):
    values = list(values)
    return sum(values) / len(values)
