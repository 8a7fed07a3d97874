"""The first rows of an event file as an Arrow table, before any app says what its columns are."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq

from homeostat.adapters.disk.event_lines import EventFileError, blocks, open_events

_KINDS = {
    "Parquet": (".parquet",),
    "CSV": (".csv", ".csv.gz"),
    "JSON Lines": (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"),
}
_NO_ROWS = "is empty"
_ADVICE = "an app is drafted from some hundreds of recorded events; without any, `homeostat init FILE` writes a starter"
_READERS = "parquet, csv, csv.gz, jsonl, jsonl.gz, ndjson or ndjson.gz"


def sample_events(path: Path, rows_max: int) -> pa.Table:
    """Up to `rows_max` rows from the beginning of a file.

    Raises EventFileError where the file is missing, has another format, can't be read as a table, or has two columns of
    one name.
    """
    table = _sampled(path, rows_max)
    twice = [name for name in dict.fromkeys(table.column_names) if table.column_names.count(name) > 1]
    if twice:
        raise EventFileError(f"{path} has the column {', '.join(twice)} more than once: rename or drop the others")
    return table


def _sampled(path: Path, rows_max: int) -> pa.Table:
    name = path.name.lower()
    kind = next((kind for kind, ends in _KINDS.items() if name.endswith(ends)), None)
    if kind is None:
        raise EventFileError(f"{path}: the name of an event file ends in {_READERS}")
    try:
        if kind == "Parquet":
            open_events(path).close()  # Which says why it can't be opened.
            return _parquet(path, rows_max)
        text = _lines(path, rows_max + (kind == "CSV"))
        if kind == "CSV" and text.count(b"\n") == 0:
            raise EventFileError(f"{path} {'has a header and no rows' if text else _NO_ROWS}: {_ADVICE}")
        if not text:
            raise EventFileError(f"{path} {_NO_ROWS}: {_ADVICE}")
        read = arrow_csv.read_csv if kind == "CSV" else arrow_json.read_json
        return read(pa.BufferReader(text))
    except (pa.ArrowException, OSError) as error:
        if path.stat().st_size == 0:
            raise EventFileError(f"{path} {_NO_ROWS}: {_ADVICE}") from error
        # The reader of Parquet speaks of its own parts; the others name a line.
        brief = "" if kind == "Parquet" else f" ({(str(error).splitlines() or [''])[0][:200]})"
        raise EventFileError(
            f"{path} is no whole {kind} file{brief}: write it again, or give one whose name says what it is, "
            f"which ends in {_READERS}"
        ) from error


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
