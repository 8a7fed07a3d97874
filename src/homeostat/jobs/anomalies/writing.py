"""Scores as a table: .csv or .parquet, block by block."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from homeostat.adapters.disk.table_files import TableError
from homeostat.records.arrays import Float, Mask

if TYPE_CHECKING:
    from homeostat.jobs.anomalies.scoring import Columns


class ScoresWriter:
    """Writes blocks of scores. A file appears under its name only when it is whole.

    Raises TableError for a name that ends in neither .csv nor .parquet, or that can't be written.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise TableError(f"{path}: scores are written as .csv or .parquet; the name must end in one of these")
        if path.is_dir():
            raise TableError(f"{path} is a folder: give the scores the name of a file")
        self._path, self._columns = path, columns
        self._part = path.with_name(f".{path.name}.part")
        self._writer: Any = None
        try:
            self._part.touch()
        except OSError as error:
            raise TableError(f"{path} can't be written ({error.strerror}): check the folder") from error

    def __enter__(self) -> ScoresWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()
        if kind is None and self._writer is not None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def write(
        self, first: int, time: pa.Array | None, entity: pa.Array, score: Float, flag: Mask, scored: Mask,
        low: Float, high: Float, parts: Float,
    ) -> None:  # fmt: skip
        """Write n rows, the first of which is row `first` of the table."""
        n = len(score)
        times = pa.nulls(n, pa.string()) if time is None else time
        rows = np.arange(first, first + n)
        table: dict[str, Any] = {"row": rows, "time": times, "entity": entity, "score": score, "flag": flag}
        for prefix, block in (("band_low", low), ("band_high", high), ("contribution", parts)):
            for place, metric in enumerate(self._columns.metrics):
                table[f"{prefix}.{metric}"] = pa.array(block[:, place], from_pandas=True)
        table["state"] = np.where(scored, "scored", "learning")
        batch = pa.RecordBatch.from_pydict(table)
        if self._writer is None:
            kind = pcsv.CSVWriter if self._path.suffix.lower() == ".csv" else pq.ParquetWriter
            self._writer = kind(str(self._part), batch.schema)
        self._writer.write_batch(batch)
