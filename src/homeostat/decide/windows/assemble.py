"""Fields and window features put side by side, with how fresh each is."""

from __future__ import annotations

from collections.abc import Callable

from numba import njit, types

from homeostat.records.arrays import Bytes, Float, Int

_FRESH = 0
_ABSENT = 2


def _assemble(
    numbers: Float, windows: Float, ages: Bytes, ends: Int, sources: Int, values: Float, freshness: Bytes
) -> None:
    """Fills the fields' and windows' columns of `values`, and all columns of `freshness`.

    numbers (n, fields), windows (n, w), ages (n, w) the windows' freshness; a derived feature d is as fresh as the
    worst of the columns sources[ends[d - 1] : ends[d]]; values and freshness (n, fields + w + derived).
    """
    fields = numbers.shape[1]
    base = fields + windows.shape[1]
    for row in range(len(values)):
        for column in range(fields):
            number = numbers[row, column]
            values[row, column] = number
            freshness[row, column] = _FRESH if number == number else _ABSENT
        for column in range(fields, base):
            values[row, column] = windows[row, column - fields]
            freshness[row, column] = ages[row, column - fields]
        start = 0
        for derived in range(len(ends)):
            worst = freshness[row, 0] * 0
            for place in range(start, ends[derived]):
                worst = max(worst, freshness[row, sources[place]])
            freshness[row, base + derived] = worst
            start = ends[derived]


assemble: Callable[..., None] = njit(
    types.void(
        types.float64[:, ::1],
        types.float64[:, ::1],
        types.uint8[:, ::1],
        types.int64[::1],
        types.int64[::1],
        types.float64[:, ::1],
        types.uint8[:, ::1],
    ),
    cache=True,
    nogil=True,
)(_assemble)
