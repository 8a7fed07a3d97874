"""A table -> checks, a cleaned copy beside it, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from homeostat.adapters.disk.files import replace_file
from homeostat.jobs.validation.checks import Check, Limits, checks_of, repeated
from homeostat.jobs.validation.loading import Loaded, Wanted, load
from homeostat.records.arrays import Mask


@dataclass(frozen=True, slots=True)
class Validation:
    """The result. kept : rows of the cleaned table; emptied : cells that it leaves empty"""

    path: Path
    cleaned: Path
    rows: int
    kept: int
    emptied: int
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every check is."""
        return all(one.passed for one in self.checks)

    @property
    def verdict(self) -> str:
        """How many checks passed."""
        return f"{sum(one.passed for one in self.checks)} of {len(self.checks)} checks passed"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "passed": self.passed, "rows": self.rows, "checks": [one.as_dict() for one in self.checks],
            "cleaned": {"file": str(self.cleaned), "rows": self.kept, "cells_emptied": self.emptied},
        }  # fmt: skip


def cleaned_beside(path: Path) -> Path:
    """The name of the cleaned table: metrics.csv.gz -> metrics.clean.csv, others than CSV -> .clean.parquet."""
    stem = path.name.lower()
    for ending in (".csv.gz", ".tsv.gz", ".csv", ".tsv"):
        if stem.endswith(ending):
            return path.with_name(path.name[: -len(ending)] + ".clean.csv")
    return path.with_name(path.stem + ".clean.parquet")


def validate_table(
    path: Path, time: str | None, entities: tuple[str, ...], wanted: Mapping[str, Wanted], limits: Limits,
    progress: Callable[[str, float], None],
) -> Validation:  # fmt: skip
    """Check a table, and write its cleaned copy beside it. Raises TableError; OSError where nothing can be written."""
    table = load(path, time, entities, wanted, progress)
    again = repeated(table)
    checks = checks_of(table, limits, again)
    target = cleaned_beside(path)
    kept, emptied = _write(table, {one.name: one for one in checks}, again, target)
    return Validation(path, target, table.rows, kept, emptied, checks)


def _write(table: Loaded, checks: Mapping[str, Check], again: Mask, target: Path) -> tuple[int, int]:
    """The table in order of time, each row once, without cells of another type or out of range.

    Outliers, gaps and frozen values stay: they may be what somebody looks for.
    """
    columns, emptied = {}, 0
    nothing = np.zeros(table.rows, np.bool_)
    for name in table.whole.column_names:
        wrong = checks["schema"].faulty.get(name, nothing) | checks["ranges"].faulty.get(name, nothing)
        emptied += int(wrong.sum())
        if name in table.metrics:
            values = table.metrics[name]
            columns[name] = pa.array(values, pa.float64(), mask=wrong | np.isnan(values))
        else:
            plain = table.whole.column(name).combine_chunks()
            columns[name] = plain if not wrong.any() else _without(plain, wrong)
    order = np.flatnonzero(~again)
    if table.times is not None:
        order = order[np.argsort(table.times[order], kind="stable")]
    cleaned = pa.table(columns).take(pa.array(order))
    buffer = pa.BufferOutputStream()
    if target.suffix == ".csv":
        pcsv.write_csv(cleaned, buffer)
    else:
        pq.write_table(cleaned, buffer, compression="zstd")
    replace_file(target, [buffer.getvalue()])
    return len(order), emptied


def _without(column: pa.Array, wrong: Any) -> pa.Array:
    """The column with these cells empty."""
    return pc.if_else(pa.array(wrong), pa.scalar(None, column.type), column)
