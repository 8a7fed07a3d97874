"""Features as served."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Float, Int


class Freshness(IntEnum):
    """How far a feature can be trusted."""

    FRESH = 0
    STALE = 1
    ABSENT = 2
    SATURATED = 3


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a batch.

    names : what each column is
    values : (n, len(names)) float64, NaN where a feature has no value
    freshness : (n, len(names)) `Freshness` codes
    fallback : `Fallback` bits that hold for every row; not kept, since each decision has them
    """

    names: tuple[str, ...]
    values: Float
    freshness: Bytes
    fallback: int = 0

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, at: slice | Int | NDArray[np.bool_]) -> Features:
        """The rows of a slice (as views), those where a mask (n,) holds, or those of these numbers."""
        return Features(self.names, self.values[at], self.freshness[at], self.fallback)

    def slice(self, start: int, stop: int) -> Features:
        """Rows `start` to `stop` as views."""
        return self.rows(slice(start, stop))
