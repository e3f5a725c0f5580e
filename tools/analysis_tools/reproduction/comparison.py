"""Compare our numbers of a table with the paper's."""
from collections import namedtuple
from statistics import fmean

from .rankings import mean_and_spread, mean_ranks, spearman

# names as in the paper, and whether higher is better
METRICS = dict(abs_rel=('AbsRel', False), delta1=('δ1', True))
BASELINE = 'baseline'

Cell = namedtuple('Cell', 'mean spread count')
Cell.__doc__ = 'Mean and spread over ``count`` seeds.'


class Entry:
    """A row of a table with everything that is compared.

    Args:
        row (Row): From `read_rows`.
        metrics (Sequence[tuple[str, str]]): Data set and metric of each of
            the paper's numbers.
        results (Sequence[dict[str, float]]): The measurements of each seed,
            by ``metric`` or ``data set/metric``. Defaults to (), nothing
            measured.
        failed (int): Number of seeds that failed. Defaults to 0.

    Attributes:
        numbers (dict[str, Cell]): Every measured number of a metric that
            the paper reports, over the seeds.
        ours (dict[str, Cell]): Each metric, averaged over the data sets
            first; empty if nothing was run.
        paper (dict[str, float]): The paper's values of the same metrics.
        rank (float | None): Mean rank inside the group, see `mean_ranks`.
        paper_rank (float | None): Its counterpart in the paper.
        ratio (float | None): AbsRel divided by the baseline's.
        paper_ratio (float | None): Its counterpart in the paper.
    """

    def __init__(self, row, metrics, results=(), failed=0):
        self.row, self.failed = row, failed
        results = [{key: value for key, value in result.items()
                    if _metric(key) in METRICS} for result in results]
        self.numbers = _over_seeds(results)
        self.ours = _over_seeds([{
            name: fmean(value for key, value in result.items()
                        if _metric(key) == name) for name in METRICS
        } for result in results])
        self.paper = {
            name: fmean(value for (_, metric), value in zip(
                metrics, row.paper, strict=True) if metric == name)
            for name in METRICS}
        self.rank = self.paper_rank = self.ratio = self.paper_ratio = None


def compare(rows, metrics, results, failures=None):
    """Compare the rows of a table with each other and with the paper.

    Rows are ranked inside their groups if a table has several, like table 1
    of the paper, and among all rows otherwise.

    Args:
        rows (Sequence[Row]): The rows of one table.
        metrics (Sequence[tuple[str, str]]): See `Entry`.
        results (dict[str, list[dict]]): Those of `Entry`, by the row's key.
        failures (dict[str, int], optional): Number of seeds that failed, by
            the row's key. Defaults to None, no failures.

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
        entries (Sequence[Entry]): The entries of one table.

    Returns:
        dict[str | None, list[Entry]]: By the name of the group; all rows
        under None unless there are several groups.
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
        entries (Sequence[Entry]): The entries of one table.

    Returns:
        list[tuple[str, int, float | None]]: Name, number of rows that were
        run, and Spearman's rho: for all rows, then, if there are several
        groups, for each group.
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
    """Strip the data set from the name of a metric."""
    return key.split('/')[-1]


def _over_seeds(results):
    if not results:
        return {}
    return {key: Cell(*mean_and_spread([result[key] for result in results]),
                      len(results)) for key in results[0]}
