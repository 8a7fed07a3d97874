"""Contrasts of two samples: how far apart they lie, and whether that is more than chance."""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from homeostat.records.arrays import Float

_NEVER = 40.0  # The weight of what can't be at all is bounded.
_ALL = 0.98  # Of rows that are hits, above which each key may be one of those that have all.


def distance(before: Float, after: Float) -> float:
    """The Kolmogorov-Smirnov distance of two samples, in [0, 1]; 0 where one of them is empty. NaN are left out.

    >>> distance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])), distance(np.zeros(4), np.ones(4))
    (0.0, 1.0)
    """
    a, b = np.sort(before[~np.isnan(before)]), np.sort(after[~np.isnan(after)])
    if not len(a) or not len(b):
        return 0.0
    both = np.concatenate([a, b])
    first = np.searchsorted(a, both, "right") / len(a)
    second = np.searchsorted(b, both, "right") / len(b)
    return float(np.abs(first - second).max())


def beyond_chance(n: int, m: int, level: float = 0.001) -> float:
    """The distance of two samples of n and m that chance exceeds with this probability.

    Source: Smirnov (1948), Annals of Mathematical Statistics 19, 279-281; the one-term bound.
    """
    return sqrt(-0.5 * log(level / 2) * (n + m) / (n * m)) if n and m else 1.0


def share_z(hits: float, n: float, before: float, m: float) -> float:
    """How many standard errors a share of n lies above one of m. Each share gets half a hit more, so none is certain.

    hits, before : counts

    >>> share_z(50, 100, 50, 100)
    0.0
    """
    if n <= 0 or m <= 0:
        return 0.0
    p, q = (hits + 0.5) / (n + 1), (before + 0.5) / (m + 1)
    pooled = (hits + before + 1) / (n + m + 2)
    return (p - q) / sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) if 0 < pooled < 1 else 0.0


def logit_weight(value: float, middle: float, width: float, most: float = 4.0) -> float:
    """A weight that rises with a figure, from -most to most; 0 at the middle, and three quarters of most a width away.

    >>> logit_weight(0.5, 0.5, 0.1), round(logit_weight(0.6, 0.5, 0.1), 2)
    (0.0, 3.05)
    """
    if value != value:
        return 0.0
    return most * float(np.tanh((value - middle) / width))


def clipped(weight: float, most: float = 6.0) -> float:
    """A weight within bounds: no single test decides by itself."""
    return max(-most, min(most, weight)) if weight == weight else 0.0


def clinging(key: np.ndarray, hit: np.ndarray) -> tuple[float, float]:
    """How much hits stick to some of the keys, by pairs of rows of one key: each key counts, however few rows it has.

    key, hit : (n,) the key of each row, and whether it is a hit
    Returns the correlation within keys, about 0 (each row by itself) to 1 (each key has all or none), and its standard
    error were it 0; infinite where no key has two rows. Rows that are nearly all hits are taken for keys that have all.
    Source: the intraclass correlation, Fisher (1925), Statistical Methods for Research Workers, chapter 7.

    >>> rows = np.repeat(np.arange(40), 2)
    >>> clinging(rows, rows < 20)[0]
    1.0
    """
    if not len(key):
        return 0.0, float("inf")
    _, place = np.unique(key, return_inverse=True)
    n = np.bincount(place).astype(np.float64)
    hits = np.bincount(place, hit.astype(np.float64))
    mean, pairs = float(hits.sum() / n.sum()), float((n * (n - 1)).sum())
    if pairs == 0:
        return 0.0, float("inf")
    error = float(np.sqrt(2 / pairs))
    if mean > _ALL or mean == 0:
        return float(mean > 0), error
    together = (hits - n * mean) ** 2 - hits * (1 - mean) ** 2 - (n - hits) * mean**2
    return float(together.sum() / (mean * (1 - mean) * pairs)), error


def concentration(key: np.ndarray, hit: np.ndarray, least: int = 5) -> tuple[float, int]:
    """How much the hits stick to some of the keys: the variance of the keys' shares beyond chance, over its most.

    key, hit : (n,) the key of each row, and whether it is a hit
    least : a key with fewer rows does not count
    Returns a figure from 0 (each row by itself) to 1 (each key has all or none), and how many keys counted.

    >>> rows = np.repeat(np.arange(40), 10)
    >>> round(concentration(rows, rows < 20)[0], 1)
    1.0
    """
    if not len(key):
        return 0.0, 0
    _, place = np.unique(key, return_inverse=True)
    n = np.bincount(place).astype(np.float64)
    p = np.bincount(place, hit.astype(np.float64)) / n
    kept = n >= least
    if int(kept.sum()) < 3:
        return 0.0, int(kept.sum())
    n, p = n[kept], p[kept]
    mean = float(np.average(p, weights=n))
    most = mean * (1 - mean)
    if most <= 0:
        return 0.0, len(n)
    chance = most * float(np.average(1 / n, weights=n))
    spread = float(np.average((p - mean) ** 2, weights=n)) - chance
    return max(0.0, min(1.0, spread / max(most - chance, 1e-12))), len(n)
