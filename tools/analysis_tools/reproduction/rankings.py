"""Ranks, rank correlation, mean and spread of the rows of a table."""
from statistics import fmean, stdev


def mean_ranks(rows, higher_is_better):
    """Average each row's rank over the metrics.

    This is the 'Rank' of table 1 in the paper, where it is taken inside each
    group of seven noise proportions. Rank 1 is the best; rows that tie share
    the best rank of their group.

    Args:
        rows (Sequence[Sequence[float]]): Numbers of each row, one per
            metric.
        higher_is_better (Sequence[bool]): One per metric.

    Returns:
        list[float]: One per row.
    """
    from scipy.stats import rankdata
    signed = [[-value if higher else value for value, higher in zip(
        row, higher_is_better, strict=True)] for row in rows]
    ranks = rankdata(signed, method='min', axis=0, nan_policy='omit')
    return ranks.mean(axis=1).tolist()


def spearman(first, second):
    """Correlate the ranks of two sequences (Spearman's rho).

    Args:
        first (Sequence[float]): One value per row.
        second (Sequence[float]): One value for each of the same rows.

    Returns:
        float | None: Between -1 and 1; None if there are fewer than three
        rows or if either sequence is constant, as there is no order then.
    """
    if len(first) < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    from scipy.stats import spearmanr
    return float(spearmanr(first, second).statistic)


def mean_and_spread(values):
    """Compute the mean and the sample standard deviation.

    Args:
        values (Sequence[float]): At least one.

    Returns:
        tuple[float, float | None]: The spread is None for a single value.
    """
    return fmean(values), stdev(values) if len(values) > 1 else None
