"""Tables from files, read block by block: Parquet, CSV (also gzipped) and Arrow. Memory does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from homeostat.errors import HomeostatError

FORMATS = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".arrow", ".feather")
_CELLS = 4_000_000  # Of a block of typed values at most, about 32 MB.
_ROWS = (1_024, 65_536)
_CSV_BYTES = 16 << 20
_NOTHING = ["", "na", "NA", "NaN", "nan", "N/A", "null", "NULL", "None", "none"]


class TableError(HomeostatError, ValueError):
    """A table that can't be read or compared, and what to do about it."""

    why = "tables are compared column by column, by their names"
    remedy = "Correct the table, or the option that the text names"


class TableFile:
    """One file, or a folder of Parquet files in order of their names.

    names : of the columns
    rows : None where the format does not say
    untyped : whether all values are texts, so that their types are still to be found
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._files = _files_of(self.path)
        name = self._files[0].name.lower()
        self._parquet = name.endswith((".parquet", ".pq"))
        self._arrow = name.endswith((".arrow", ".feather"))
        self.untyped = not self._parquet and not self._arrow
        with _readable(self.path):
            self.names, self.rows, self._bytes = self._head()
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise TableError(f"{path} has the column {', '.join(twice)} more than once: rename or drop the others")

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, float]]:
        """Blocks of these columns in order of the rows, each with the share of the table that is then read."""
        low, high = _ROWS
        rows = min(high, max(low, _CELLS // max(len(columns), 1)))
        with _readable(self.path):
            if self._parquet:
                yield from self._parquet_blocks(list(columns), rows)
            elif self._arrow:
                yield from self._arrow_blocks(list(columns), rows)
            else:
                yield from self._csv_blocks(list(columns))

    def _head(self) -> tuple[list[str], int | None, int]:
        if self._parquet:
            metas = [pq.ParquetFile(file) for file in self._files]
            return list(metas[0].schema_arrow.names), sum(meta.metadata.num_rows for meta in metas), 0
        if self._arrow:
            with pa.memory_map(str(self._files[0])) as source, pa.ipc.open_file(source) as opened:
                rows = sum(opened.get_batch(k).num_rows for k in range(opened.num_record_batches))
                return list(opened.schema.names), rows, 0
        if self._files[0].stat().st_size == 0:
            raise TableError(f"{self.path} is empty: a table begins with the names of its columns")
        with self._csv([]) as reader:
            return list(reader.schema.names), None, self._files[0].stat().st_size

    def _parquet_blocks(self, columns: list[str], rows: int) -> Iterator[tuple[pa.RecordBatch, float]]:
        done, whole = 0, max(self.rows or 0, 1)
        for path in self._files:
            # Buffered, and not read ahead: one large row group does not have to fit into memory.
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16, page_checksum_verification=True) as file:
                for batch in file.iter_batches(rows, columns=columns, use_threads=True):
                    done += batch.num_rows
                    yield without_views(batch.select(columns)), done / whole

    def _arrow_blocks(self, columns: list[str], rows: int) -> Iterator[tuple[pa.RecordBatch, float]]:
        done, whole = 0, max(self.rows or 0, 1)
        with pa.memory_map(str(self._files[0])) as source, pa.ipc.open_file(source) as opened:
            for k in range(opened.num_record_batches):
                batch = opened.get_batch(k).select(columns)
                for first in range(0, batch.num_rows, rows):
                    part = batch.slice(first, rows)
                    done += part.num_rows
                    yield without_views(part), done / whole

    def _csv_blocks(self, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, float]]:
        done = 0
        with self._csv(columns) as reader:
            for batch in reader:
                done += batch.nbytes
                yield batch, min(0.99, done / max(self._bytes, 1))

    def _csv(self, columns: list[str]) -> Any:
        path = self._files[0]
        with pa.input_stream(str(path), compression="detect") as stream:
            head = stream.read(1 << 16).splitlines()
        first = head[0] if head else b""
        delimiter = max((",", ";", "\t"), key=lambda sign: first.count(sign.encode()))
        names = {name: pa.string() for name in columns}
        return pc.open_csv(
            pa.input_stream(str(path), compression="detect"),
            read_options=pc.ReadOptions(block_size=_CSV_BYTES, use_threads=False),
            parse_options=pc.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pc.ConvertOptions(
                column_types=names, include_columns=columns or None, strings_can_be_null=True, null_values=_NOTHING
            ),
        )


def without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with plain texts in place of views of texts, as Polars writes them: Arrow can't pick rows of views."""
    for k, one in enumerate(batch.schema):
        column = batch.column(k)
        if pa.types.is_string_view(one.type) or pa.types.is_binary_view(one.type):
            batch = batch.set_column(k, one.name, column.cast(pa.large_string()))
        elif pa.types.is_dictionary(one.type) and pa.types.is_string_view(one.type.value_type):
            plain = pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(pa.large_string()))
            batch = batch.set_column(k, one.name, plain)
    return batch


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted([*path.glob("*.parquet"), *path.glob("*.pq")])
        if not found:
            raise TableError(f"{path} is a folder without a .parquet file: name a file, or a folder that holds some")
        return found
    if not path.exists():
        raise TableError(f"{path} can't be opened: no such file. Check the path")
    if not path.name.lower().endswith(FORMATS):
        raise TableError(f"{path}: tables are read from {', '.join(FORMATS)}; the name must end in one of these")
    return [path]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (HomeostatError, MemoryError, GeneratorExit):
        raise
    except Exception as error:  # Each format has its own.
        brief = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise TableError(
            f"{path} can't be read as a table ({brief}): is it whole, and of the type its name says?"
        ) from error
