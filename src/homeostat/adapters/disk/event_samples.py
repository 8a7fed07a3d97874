"""The first rows of an event file as an Arrow table, before any app says what its columns are."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq

from homeostat.adapters.disk.event_lines import EventFileError, blocks

_READERS = "parquet, csv, csv.gz, jsonl, jsonl.gz, ndjson or ndjson.gz"


def sample_events(path: Path, rows_max: int) -> pa.Table:
    """Up to `rows_max` rows from the beginning of a file.

    Raises EventFileError where the file is missing, has another format, or can't be read as a table.
    """
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            return _parquet(path, rows_max)
        if name.endswith((".csv", ".csv.gz")):
            return arrow_csv.read_csv(pa.BufferReader(_lines(path, rows_max + 1)))
        if name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
            return arrow_json.read_json(pa.BufferReader(_lines(path, rows_max)))
    except (pa.ArrowException, OSError) as error:
        raise EventFileError(f"{path} can't be read as a table: {error}") from error
    raise EventFileError(f"{path}: the name of an event file ends in {_READERS}")


def _parquet(path: Path, rows_max: int) -> pa.Table:
    with pq.ParquetFile(path) as file:
        taken, rows = [], 0
        for batch in file.iter_batches(min(rows_max, 65_536)):
            taken.append(batch.slice(0, rows_max - rows))
            rows += len(taken[-1])
            if rows >= rows_max:
                break
        return pa.Table.from_batches(taken, file.schema_arrow)


def _lines(path: Path, lines_max: int) -> bytes:
    """The first lines that are not empty."""
    lines = (line for block in blocks(path) for line in block.lines if line.strip())
    return b"\n".join(islice(lines, lines_max))
