"""How often two rows have the same value: by pairs, which does not depend on how many rows there are."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import AnyArray, Int


def pairs(values: AnyArray) -> float:
    """The number of pairs of equal values.

    >>> pairs(np.array([1, 1, 1, 2]))
    3.0
    """
    if len(values) < 2:
        return 0.0
    ordered = np.sort(values)
    edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(ordered)]])).astype(np.float64)
    return float((counts * (counts - 1.0)).sum() / 2.0)


def share_of_pairs(values: AnyArray) -> float:
    """The chance that two different rows have the same value (Simpson's index); NaN for fewer than two rows.

    Source: Simpson (1949), Measurement of diversity, Nature 163, 688.

    >>> share_of_pairs(np.array([1, 1, 2, 2])), share_of_pairs(np.array([7]))
    (0.3333333333333333, nan)
    """
    n = len(values)
    return pairs(values) / (n * (n - 1) / 2) if n > 1 else float("nan")


def spread_of_pairs(values: AnyArray) -> float:
    """The standard error of `share_of_pairs`, by the delta method; never that of no equal pair at all.

    >>> round(spread_of_pairs(np.array([1, 1, 2, 2])), 2)
    0.19
    """
    n = len(values)
    if n < 2:
        return float("nan")
    counts = np.unique(values, return_counts=True)[1] / n
    whole = n * (n - 1) / 2
    share = max(share_of_pairs(values), 1.0 / whole)
    second, third = float((counts**2).sum()), float((counts**3).sum())
    return float(np.sqrt(4.0 / n * max(third - second * second, 0.0) + share * (1.0 - share) / whole))


def share_of_strange_pairs(values: AnyArray, owners: Int) -> float:
    """The same, of pairs of rows of different owners; NaN where all rows have one owner."""
    n = len(values)
    whole = n * (n - 1) / 2
    own = pairs(owners)
    if whole <= own:
        return float("nan")
    order = np.lexsort((owners, values))
    value, owner = values[order], owners[order]
    edges = np.flatnonzero((value[1:] != value[:-1]) | (owner[1:] != owner[:-1])) + 1
    counts = np.diff(np.concatenate([[0], edges, [n]])).astype(np.float64)
    same = pairs(values) - float((counts * (counts - 1.0)).sum() / 2.0)
    return same / (whole - own)
