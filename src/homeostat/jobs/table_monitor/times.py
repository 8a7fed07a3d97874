"""A column of times -> seconds since 1970: one rule for the numbers that tables have in place of times."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from homeostat.jobs.table_monitor.columns import numbers
from homeostat.records.arrays import Float

_STEPS_BELOW = 1e8  # Smaller numbers count steps: they name no time of day.
_MS, _US, _NS = 1e11, 1e14, 1e17  # From where on numbers of a time are milli-, micro- and nanoseconds since 1970.


def seconds_of(column: pa.Array, steps: bool = False) -> Float:
    """Times as seconds since 1970, (n,); NaN for one that is missing or can't be read.

    steps : whether numbers that only count steps are kept as they are; if not, they are NaN too

    >>> seconds_of(pa.array([1_700_000_000_000, None])).tolist()
    [1700000000.0, nan]
    """
    values = numbers(column)
    if not _are_numbers(column):
        return values / 1e6
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    if largest < _STEPS_BELOW:
        return values if steps else np.full(len(values), np.nan)
    return values / (1.0 if largest < _MS else 1e3 if largest < _US else 1e6 if largest < _NS else 1e9)


def _are_numbers(column: pa.Array) -> bool:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return True
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    try:
        column.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
