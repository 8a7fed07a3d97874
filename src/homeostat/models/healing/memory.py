"""The rows that were learned from, with what is known of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.models.healing.law import Bins
from homeostat.records.arrays import AnyArray, Float, Int

KEPT = 50_000  # Rows that are kept at least; older ones are dropped once there are twice as many.


class Memory:
    """Columns of rows that grow together. A row has a number that it keeps when older rows are dropped.

    raw : (n, d) as they came
    x : (n, d) as the models see them
    y : (n,) labels, and known : (n,) whether there is one
    bins : (n, views) of the law
    suspect, clean : (n,) whether a row was ever seen as corrupted; whether models may learn from it
    loss, rival : (n,) of the champion and of the model before it, when the row came
    fold, batch : (n,)
    """

    def __init__(self, columns: int, views: int, label: Any) -> None:
        self._fields: dict[str, AnyArray] = {
            "raw": np.empty((0, columns)),
            "x": np.empty((0, columns)),
            "y": np.empty(0, dtype=label),
            "known": np.empty(0, dtype=np.bool_),
            "bins": np.empty((0, views), dtype=np.int16),
            "suspect": np.empty(0, dtype=np.bool_),
            "clean": np.empty(0, dtype=np.bool_),
            "loss": np.empty(0),
            "rival": np.empty(0),
            "fold": np.empty(0, dtype=np.int64),
            "batch": np.empty(0, dtype=np.int64),
        }
        self.first = 0
        self._rows = 0

    @property
    def end(self) -> int:
        """The number of the row that comes next."""
        return self.first + self._rows

    def add(self, **columns: AnyArray) -> None:
        """Add rows; columns that are not given are zero."""
        count = len(next(iter(columns.values())))
        room = len(self._fields["y"])
        if self._rows + count > room:
            for name, field in self._fields.items():
                grown = np.zeros((2 * (self._rows + count), *field.shape[1:]), dtype=field.dtype)
                grown[: self._rows] = field[: self._rows]
                self._fields[name] = grown
        new = slice(self._rows, self._rows + count)
        for name, field in self._fields.items():
            field[new] = columns.get(name, np.zeros(1, dtype=field.dtype))
        self._rows += count
        if self._rows > 2 * KEPT:
            dropped = self._rows - KEPT
            self._fields = {name: field[dropped : self._rows].copy() for name, field in self._fields.items()}
            self.first, self._rows = self.first + dropped, KEPT

    def since(self, name: str, row: int) -> AnyArray:
        """A column from a row on, to be read or written in place."""
        return self._fields[name][max(row - self.first, 0) : self._rows]

    def number(self, row: int) -> int:
        """The number of the first row that is kept, from a row on."""
        return max(row, self.first)

    def replace_bins(self, bins: Bins) -> None:
        """Take these bins for all rows."""
        room = np.zeros((len(self._fields["y"]), bins.shape[1]), dtype=np.int16)
        room[: self._rows] = bins
        self._fields["bins"] = room


def folds_of(matrix: Float, seed: int, folds: int) -> Int:
    """(n,) a fold by each row's values, so that equal rows share one and the order of rows does not matter."""
    cells = np.ascontiguousarray(np.where(np.isnan(matrix), np.nan, matrix + 0.0)).view(np.uint64)
    mixed = np.full(len(matrix), (2 * seed + 1) & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)
    for at in range(matrix.shape[1]):
        mixed = (mixed ^ cells[:, at]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.asarray((mixed >> np.uint64(20)) % np.uint64(folds), dtype=np.int64)
