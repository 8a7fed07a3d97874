"""Values -> codes of one byte: the bins in which tables are compared, and which the trees of an estimate split on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled

CODES = 256
MISSING = 255
_EDGES_MAX = 254
NEW = 254  # The category of values that are rare in the reference, or not in it at all.
RARE = 5  # A category of fewer rows of a sample says no more about the share of new values than they do.


def edges_of(values: Float) -> Float:
    """Edges (k,), k <= 254, rising, at quantiles of a sample (n,); NaN is left out.

    Code j holds the values in (edge j-1, edge j]. The first edge lies just below the least value and the last one at
    the greatest, so that the first and the last code hold values outside of the sample's range.

    >>> edges_of(np.array([3.0, 1.0, 2.0]))[1:].tolist()
    [1.0, 2.0, 3.0]
    """
    ranked = np.sort(values[~np.isnan(values)])
    if not len(ranked):
        return np.empty(0)
    inner = _EDGES_MAX - 1
    at = np.arange(len(ranked)) if len(ranked) <= inner else np.linspace(0, len(ranked) - 1, inner).round().astype(int)
    edges = ranked[at]
    edges = edges[np.append(True, edges[1:] > edges[:-1])]
    below = np.nextafter(edges[0], -np.inf)
    return np.append(below, edges) if below < edges[0] else edges


def encode(values: Float, edges: Float) -> Bytes:
    """The code of each value (n,); 255 for NaN.

    >>> encode(np.array([1.0, 2.5, 9.0, 0.0, np.nan]), edges_of(np.array([3.0, 1.0, 2.0]))).tolist()
    [1, 3, 4, 0, 255]
    """
    padded = np.full(CODES, np.inf)  # One length for all columns: the search takes 8 steps and has no branch.
    padded[: len(edges)] = edges
    return _encode(values, padded)


@compiled
def _encode(values: Float, padded: Float) -> Bytes:
    out = np.empty(len(values), np.uint8)
    for i in range(len(values)):
        value = values[i]
        if np.isnan(value):
            out[i] = MISSING
            continue
        below, step = 0, 128
        for _ in range(8):
            below += step * (padded[below + step - 1] < value)
            step >>= 1
        out[i] = below
    return out


def counts(codes: Bytes) -> Int:
    """How many rows have each code, (256,)."""
    return np.bincount(codes, minlength=CODES).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Categories:
    """The categories of a sample that have a code of their own, the most frequent first; all others share one code."""

    names: tuple[str, ...]

    def code(self, index: Int) -> Bytes:
        """Codes of positions in `names`: -1 is a value that is not among them, -2 a missing one."""
        out = index.astype(np.int64)
        return np.where(out == -1, NEW, np.where(out == -2, MISSING, out)).astype(np.uint8)


def categories_of(names: list[str], rows: Int) -> Categories:
    """The categories that get a code of their own: the 254 most frequent of those with at least 5 rows.

    names, rows : the distinct values of a sample, and how often each comes

    >>> categories_of(["b", "a", "c"], np.array([5, 9, 4])).names
    ('a', 'b')
    """
    order = sorted(range(len(names)), key=lambda k: (-int(rows[k]), names[k]))
    return Categories(tuple(names[k] for k in order if rows[k] >= RARE)[:NEW])
