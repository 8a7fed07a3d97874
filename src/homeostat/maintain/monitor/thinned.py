"""Evenly spread rows of a stream whose length nobody knows, in memory of a fixed size.

Of many rows each second, fourth or eighth one is kept, by its number. So the rows that are kept follow from how many
came, however they were cut into pieces.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.records.arrays import AnyArray, Int


class Thinned:
    """See the module.

    columns : an empty array of each column, (0,) or (0, k)
    memory : each column, (rows_max, ...), and `counts`: rows that came, rows that are kept, how often half were dropped
    """

    def __init__(self, rows_max: int, columns: Mapping[str, AnyArray]) -> None:
        self._rows_max, self._names = rows_max, tuple(columns)
        self.memory: Memory = {name: np.zeros((rows_max, *one.shape[1:]), one.dtype) for name, one in columns.items()}
        self.memory["counts"] = np.zeros(3, np.int64)

    def __len__(self) -> int:
        return int(self.memory["counts"][1])

    def wanted(self, n: int) -> Int:
        """The rows that would be kept of n more, to be given to `add` at once."""
        came, kept, halvings = self.memory["counts"].tolist()
        at = _each(came, n, 1 << halvings)
        while kept + len(at) > self._rows_max:
            kept, halvings = (kept + 1) // 2, halvings + 1
            at = _each(came, n, 1 << halvings)
        return at

    def add(self, n: int, at: Int, rows: Mapping[str, AnyArray]) -> None:
        """Take n rows in.

        at : those that are kept, by `wanted`; rows : the columns of these
        """
        counts = self.memory["counts"]
        came, kept, halvings = counts.tolist()
        while kept + len(_each(came, n, 1 << halvings)) > self._rows_max:
            for name in self._names:
                column = self.memory[name]
                column[: (kept + 1) // 2] = column[:kept:2].copy()
            kept, halvings = (kept + 1) // 2, halvings + 1
        for name in self._names:
            self.memory[name][kept : kept + len(at)] = rows[name]
        counts[:] = came + n, kept + len(at), halvings

    def rows(self) -> dict[str, AnyArray]:
        """The columns of the rows that are kept; to be read before the next `add`."""
        return {name: self.memory[name][: len(self)] for name in self._names}

    def clear(self) -> None:
        """Begin again. No trace of earlier rows is left."""
        for column in self.memory.values():
            column[...] = 0


def _each(came: int, n: int, step: int) -> Int:
    """Those of n rows, after `came` others, whose number is a multiple of the step."""
    return np.arange(-came % step, n, step)
