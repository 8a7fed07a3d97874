"""The memory of patterns: means over the latest rows, and how far the nearest earlier pattern is.

A pattern that was never seen is far from all in the memory. Source: the left matrix profile, Yeh et al. (2016), here in
the metrics' own units, over a bounded sample of the past.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled
from homeostat.stats.series.shapes import BLOCKS, KEPT, PAST, RECENT, STORED_0, WEIGHT, Series

_GOLDEN = 0.6180339887498949  # Weyl's sequence: places that are spread evenly, the same in each run.
_AFTER = 500  # Rows until a pattern of several metrics counts as usual, so that an episode does not excuse itself.
_GAP_MOST = 8.0  # One of several metrics counts at most so many spreads.
_FAR = 1e12  # Squared: distances stay finite whatever the values are.


@compiled
def _pattern(s: Series, k: int, parts: int, t: int, out: NDArray[np.float32]) -> None:
    p, block = s.past.shape[1], BLOCKS[k]
    for j in range(p):
        for i in range(parts):
            total = 0.0
            for r in range(block):
                total += s.past[(t - i * block - r) % PAST, j]
            out[j * parts + i] = np.float32(total / block)


@compiled
def _gap(s: Series, j: int, one: float, other: float) -> float:
    """The distance between two numbers of metric j, in its present spread."""
    gap = (one - other) * s.metric[j, WEIGHT]
    return float(gap if s.past.shape[1] == 1 else min(max(gap, -_GAP_MOST), _GAP_MOST))


@compiled
def distance(s: Series, k: int, parts: int, t: int, one: Float) -> float:
    """The squared distance of the pattern that ends at row t to the nearest before it; 0 with an empty memory.

    one : (p,) written: each metric's part of it
    """
    p, length = s.past.shape[1], parts * BLOCKS[k]
    width = p * parts
    for j in range(p):
        one[j] = 0.0
    if t < length:
        return 0.0
    now = np.empty(width, np.float32)
    _pattern(s, k, parts, t, now)
    best, nearest = _FAR, -1
    newest = t - (2 * length if p == 1 else max(2 * length, _AFTER))
    for i in range(KEPT):
        if s.born[k, i] < 0 or s.born[k, i] > newest:
            continue
        far = 0.0
        for w in range(width):
            gap = _gap(s, w // parts, now[w], s.pattern[k, i, w])
            far += gap * gap
            if far >= best:
                break
        if far < best:
            best, nearest = far, i
    if nearest < 0:
        return 0.0
    for j in range(p):
        for i in range(parts):
            gap = _gap(s, j, now[j * parts + i], s.pattern[k, nearest, j * parts + i])
            one[j] += gap * gap
    return best


@compiled
def remember(s: Series, k: int, parts: int, t: int) -> None:
    """Put the pattern that ends at row t in the place of the oldest of the latest; that one may join the sample."""
    if t < parts * BLOCKS[k]:
        return
    stored = int(s.number[STORED_0 + k])
    place = stored % RECENT
    if stored >= RECENT:
        left = stored - RECENT  # The count of those that left before this one.
        if left < KEPT - RECENT:
            s.pattern[k, RECENT + left] = s.pattern[k, place]
            s.born[k, RECENT + left] = s.born[k, place]
        else:
            at = int((left * _GOLDEN) % 1.0 * (left + 1))
            if at < KEPT - RECENT:
                s.pattern[k, RECENT + at] = s.pattern[k, place]
                s.born[k, RECENT + at] = s.born[k, place]
    _pattern(s, k, parts, t, s.pattern[k, place])
    s.born[k, place] = t
    s.number[STORED_0 + k] = stored + 1
