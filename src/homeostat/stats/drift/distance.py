"""How far two samples of a column lie apart, as a share of rows, with bounds that hold for many columns together.

Of numbers: the largest difference of the shares of rows in any interval (Kuiper's distance). Of categories: the largest
difference of the shares of rows in any set of categories (the total variation distance). A missing value is a value of
its own. So a distance of .05 says that 5 of 100 rows lie elsewhere, and 0 that none does.

Source: Kuiper (1960), Tests concerning random points on a circle, for the distribution of the first; McDiarmid (1989),
On the method of bounded differences, for the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.stats.drift.codes import MISSING

CONFIDENCE = 0.95
_Z95 = 1.959963984540054
_BLOCKS_MIN = 4
_KUIPER_SQUARE = 1.645  # The mean square of Kuiper's distribution, pi**2 / 6.
_ROOT = 0.7978845608028654  # Of 2 / pi: the mean distance of a normal value from its mean, in standard deviations.


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance in [0, 1].

    value : between the samples
    size : the estimate of that between the laws. A value of samples is too large by chance, so its usual square by
        chance is taken off its square
    low, high : bounds of it: the low one holds for all columns of a table together, the high one for this column
    noise : the value that chance gives at most, if nothing has changed
    n, reference_n : the rows on either side
    """

    value: float
    size: float
    low: float
    high: float
    noise: float
    n: int
    reference_n: int


def of_numbers(reference: Int, analysis: Int, tests: int = 1) -> Distance:
    """Kuiper's distance of two histograms (256,) of codes, whose last one counts missing values.

    tests : how many columns are looked at together
    """
    n, m = int(analysis.sum()), int(reference.sum())
    if not n or not m:
        return _nothing(n, m)
    difference = np.cumsum(analysis[:MISSING]) / n - np.cumsum(reference[:MISSING]) / m
    value = max(0.0, float(difference.max())) - min(0.0, float(difference.min()))
    value = max(value, abs(float(analysis[MISSING] / n - reference[MISSING] / m)))
    spread = 1.0 / n + 1.0 / m
    noise = kuiper_quantile((1.0 - CONFIDENCE) / tests) * float(np.sqrt(spread))
    return _bounded(min(value, 1.0), n, m, noise, _KUIPER_SQUARE * spread)


def of_categories(reference: Int, analysis: Int, tests: int = 1) -> Distance:
    """The total variation distance of two histograms of codes."""
    n, m = int(analysis.sum()), int(reference.sum())
    if not n or not m:
        return _nothing(n, m)
    value = 0.5 * float(np.abs(analysis / n - reference / m).sum())
    pooled = (analysis + reference) / (n + m)
    spread = 1.0 / n + 1.0 / m
    usual = 0.5 * _ROOT * float(np.sqrt(pooled * (1.0 - pooled) * spread).sum())
    noise = usual + float(np.sqrt(np.log(tests / (1.0 - CONFIDENCE)) * spread / 2.0))
    return _bounded(value, n, m, noise, _square(pooled) * usual**2)


def _square(pooled: Float) -> float:
    """The mean square over the squared mean of a distance by chance: exact for 2 categories, and about 1 for many."""
    return 1.0 + (np.pi / 2.0 - 1.0) / max(int(np.count_nonzero(pooled)) - 1, 1)


def _bounded(value: float, n: int, m: int, noise: float, square: float) -> Distance:
    half = _Z95 * 0.5 * float(np.sqrt(1.0 / n + 1.0 / m))
    size = float(np.sqrt(max(0.0, value * value - square)))
    return Distance(value, size, max(0.0, value - noise), min(1.0, size + half), noise, n, m)


def _nothing(n: int, m: int) -> Distance:
    return Distance(float("nan"), float("nan"), 0.0, 1.0, 1.0, n, m)


@lru_cache(maxsize=64)
def kuiper_quantile(chance: float) -> float:
    """The value that the scaled distance of two samples of one law exceeds with this chance.

    >>> round(kuiper_quantile(0.05), 3)
    1.747
    """
    low, high = 0.7, 20.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        j = np.arange(1.0, 101.0)
        term = 4.0 * (j * middle) ** 2
        above = float(2.0 * np.sum((term - 1.0) * np.exp(-0.5 * term)))
        low, high = (middle, high) if above > chance else (low, middle)
    return high


def own_variation(blocks: Int, numeric: bool) -> float:
    """How far the blocks of a reference lie from the rest of it, beyond chance: the root of the mean square.

    blocks : (blocks, 256) histograms
    0 with fewer than 4 blocks, or where chance explains it.
    """
    filled = blocks[blocks.sum(axis=1) > 0]
    if len(filled) < _BLOCKS_MIN:
        return 0.0
    rest = filled.sum(axis=0) - filled
    n, m = filled.sum(axis=1, keepdims=True), rest.sum(axis=1, keepdims=True)
    shares = filled / n - rest / m
    spread = 1.0 / n + 1.0 / m
    if numeric:
        sums = np.cumsum(shares[:, :MISSING], axis=1)
        found = np.maximum(sums.max(axis=1), 0.0) - np.minimum(sums.min(axis=1), 0.0)
        found = np.maximum(found, np.abs(shares[:, MISSING]))
        squares = found**2 - _KUIPER_SQUARE * spread[:, 0]
    else:
        pooled = filled.sum(axis=0) / filled.sum()
        usual = 0.5 * _ROOT * np.sqrt(pooled * (1.0 - pooled) * spread).sum(axis=1)
        squares = (0.5 * np.abs(shares).sum(axis=1)) ** 2 - _square(pooled) * usual**2
    error = float(squares.std()) / np.sqrt(len(squares))
    return float(np.sqrt(max(0.0, float(squares.mean()) - 2.0 * error)))
