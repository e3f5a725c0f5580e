"""Ranks, rank correlation, mean and spread of rows of a table."""
import math


def competition_ranks(values, higher_is_better=False):
    """Rank values from 1; ties share the best rank of their group.

    Args:
        values (Sequence[float]): One per row.
        higher_is_better (bool): Whether the largest gets rank 1. Defaults to
            False.

    Returns:
        list[int]: One more than the number of strictly better values.
    """
    sign = -1 if higher_is_better else 1
    return [1 + sum(sign * other < sign * value for other in values)
            for value in values]


def mean_ranks(rows, higher_is_better):
    """Average each row's competition ranks over the metrics.

    The 'Rank' of table 1 in the paper is this, inside each group of seven
    noise proportions.

    Args:
        rows (Sequence[Sequence[float]]): Numbers of each row, one per
            metric.
        higher_is_better (Sequence[bool]): One per metric.

    Returns:
        list[float]: One per row, 1 is best.
    """
    columns = [competition_ranks(column, higher) for column, higher in zip(
        zip(*rows, strict=True), higher_is_better, strict=True)]
    return [sum(ranks) / len(ranks) for ranks in zip(*columns)]


def spearman(first, second):
    """Correlate the ranks of two sequences (Spearman's rho).

    Ties take the mean of the ranks that they span.

    Args:
        first (Sequence[float]): One value per row.
        second (Sequence[float]): Of the same rows.

    Returns:
        float | None: -1 to 1; None for less than three rows, or if either is
        constant, as nothing can be said then.
    """
    if len(first) < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    a, b = (_centered_ranks(values) for values in (first, second))
    norm = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norm


def _centered_ranks(values):
    """Mean rank of each value minus the mean of all ranks."""
    return [sum((other < value) + (other == value) / 2 for other in values)
            - len(values) / 2 for value in values]


def mean_and_spread(values):
    """Mean and sample standard deviation.

    Args:
        values (Sequence[float]): At least one.

    Returns:
        tuple[float, float | None]: The spread is None for a single value.
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(
        sum((value - mean)**2 for value in values) / (len(values) - 1))
