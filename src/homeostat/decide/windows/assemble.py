"""Fields and window features put side by side, with how fresh each is."""

from __future__ import annotations

from collections.abc import Callable

from numba import types

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled_with

_FRESH = 0
_ABSENT = 2


def _assemble(numbers: Float, ends: Int, sources: Int, values: Float, freshness: Bytes) -> None:
    """Fills the fields' columns of `values`, and all columns of `freshness` but the windows', which must be set.

    numbers (n, fields); a derived feature d is as fresh as the worst of the columns sources[ends[d - 1] : ends[d]];
    values and freshness (n, fields + windows + derived), freshness 0 where it is not set.
    """
    fields = numbers.shape[1]
    base = values.shape[1] - len(ends)
    for row in range(len(values)):
        for column in range(fields):
            number = numbers[row, column]
            values[row, column] = number
            if number != number:
                freshness[row, column] = _ABSENT
        any_worse = 0
        for column in range(base):
            any_worse |= freshness[row, column]
        if any_worse == _FRESH:
            continue  # As nearly every row: nothing derived from it is any less fresh.
        start = 0
        for derived in range(len(ends)):
            worst = freshness[row, 0] * 0
            for place in range(start, ends[derived]):
                worst = max(worst, freshness[row, sources[place]])
            freshness[row, base + derived] = worst
            start = ends[derived]


assemble: Callable[..., None] = compiled_with(
    _assemble,
    types.void(
        types.float64[:, ::1],
        types.int64[::1],
        types.int64[::1],
        types.float64[:, ::1],
        types.uint8[:, ::1],
    ),
)
