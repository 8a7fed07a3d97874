"""A sample of a table's rows that is spread over all of it, in one pass, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from homeostat.records.arrays import Bits, Int

ROWS_MAX = 100_000
CELLS_MAX = 8_000_000


def rows_max(columns: int) -> int:
    """Rows of a sample of so many columns.

    >>> rows_max(10), rows_max(1000)
    (100000, 8000)
    """
    return max(1_000, min(ROWS_MAX, CELLS_MAX // max(columns, 1)))


@dataclass(slots=True)
class Sampler:
    """Keeps rows whose number hashes below a level, which is halved whenever too many are kept.

    The hash depends on the row's number alone. So rows that come in a period are sampled evenly, and a second run keeps
    the same ones.
    """

    most: int
    seen: int = 0
    _level: int = 64
    _kept: list[tuple[pa.RecordBatch, Int]] = field(default_factory=list)
    _rows: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows of the table."""
        numbers = np.arange(self.seen, self.seen + batch.num_rows)
        self.seen += batch.num_rows
        self._keep(batch, numbers)
        while self._rows > self.most:
            self._level -= 1
            kept, self._kept, self._rows = self._kept, [], 0
            for one, rows in kept:
                self._keep(one, rows)

    def _keep(self, batch: pa.RecordBatch, numbers: Int) -> None:
        if self._level < 64:
            chosen = np.flatnonzero(_hashes(numbers) >> np.uint64(self._level) == 0)
            batch, numbers = batch.take(pa.array(chosen)), numbers[chosen]
        if batch.num_rows:
            self._kept.append((batch, numbers))
            self._rows += batch.num_rows

    def sample(self) -> tuple[dict[str, pa.Array], Int]:
        """The kept rows by column, and their numbers in the table; both in its order."""
        if not self._kept:
            return {}, np.empty(0, np.int64)
        table = pa.Table.from_batches([batch for batch, _ in self._kept]).combine_chunks()
        columns = {name: _whole(table.column(k)) for k, name in enumerate(table.schema.names)}
        return columns, np.concatenate([rows for _, rows in self._kept])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _hashes(numbers: Int) -> Bits:
    """Source: Steele, Lea, Flood (2014), Fast Splittable Pseudorandom Number Generators, OOPSLA, for the mixing."""
    x = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
