"""Tables in memory as blocks: pandas, Polars, PyArrow, or any other frame that hands out an Arrow C stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa

from homeostat.adapters.disk.table_files import TableError, without_views

_ROWS = 65_536


class Source(Protocol):
    """A table, read block by block.

    names : of the columns
    rows : None where that is not known before it is read
    untyped : whether all values are texts, so that their types are still to be found
    """

    names: list[str]
    rows: int | None
    untyped: bool

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, float]]:
        """Blocks of these columns, each with the share of the table that is then read."""
        ...


class Frame:
    """A frame in memory as a source."""

    untyped = False

    def __init__(self, frame: Any, what: str) -> None:
        self._table = _table(frame, what)
        self.names, self.rows = list(self._table.schema.names), self._table.num_rows
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise TableError(f"the {what} has the column {', '.join(twice)} more than once: rename or drop the others")

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, float]]:
        """Blocks of up to 65,536 rows."""
        done, whole = 0, max(self._table.num_rows, 1)
        for batch in self._table.select(list(columns)).combine_chunks().to_batches(_ROWS):
            done += batch.num_rows
            yield without_views(batch), done / whole


def _table(frame: Any, what: str) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
        return _of_pandas(frame, what)
    try:
        if isinstance(frame, dict):
            return pa.table({str(name): _array(values) for name, values in frame.items()})
        return pa.table(frame)
    except MemoryError:
        raise
    except Exception as error:  # Each library has its own.
        brief = (str(error).splitlines() or [""])[0][:200]
        raise TableError(
            f"the {what} can't be read as a table ({brief}): give a path, or a frame of pandas, Polars or PyArrow"
        ) from error


def _of_pandas(frame: Any, what: str) -> pa.Table:
    """Column by column, since one column of objects may hold values of several types."""
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"the {what} has the column {', '.join(twice)} more than once: rename or drop the others")
    return pa.table({name: _array(frame.iloc[:, k]) for k, name in enumerate(names)})


def _array(values: Any) -> pa.Array:
    """The values as one type; as texts where they have several."""
    try:
        return pa.array(values, from_pandas=True)
    except MemoryError:
        raise
    except Exception:
        missing = [one is None or one != one or type(one).__name__ == "NAType" for one in values]
        texts = [None if gone else str(one) for one, gone in zip(values, missing, strict=True)]
        return pa.array(texts, pa.string())
