"""`homeostat.monitor`: two tables from Python."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.table_files import TableFile
from homeostat.jobs.table_monitor.options import Options
from homeostat.jobs.table_monitor.reference import Progress
from homeostat.jobs.table_monitor.result import Monitored
from homeostat.jobs.table_monitor.run import monitor_tables, silent
from homeostat.jobs.table_monitor.source import Frame, Source


def monitor(
    analysis: Any, reference: Any, *, chunk: int | None = None, by: str | None = None, prediction: str | None = None,
    probability: str | None = None, target: str | None = None, progress: Progress = silent,
) -> Monitored:  # fmt: skip
    """Compare a table with a reference, and estimate the quality of its predictions without their labels.

    analysis, reference : frames of pandas, Polars or PyArrow, a dict of columns, or paths of files
    chunk : rows of a chunk, 5,000 or less when absent; or by : a column each of whose values makes a chunk
    prediction, probability, target : columns of 0 or 1, of numbers in [0, 1], and of labels. The analysis may lack the
        target, and estimates never read it there
    progress : is called with a text and a share
    Raises TableError.

    >>> found = monitor({"x": [1.0, 2.0] * 500}, {"x": [1.0, 2.0] * 500})
    >>> found.verdict
    'no drift'
    """
    options = Options(chunk, by, prediction, probability, target)
    return monitor_tables(source(analysis, "analysis"), source(reference, "reference"), options, progress)


def source(table: Any, what: str) -> Source:
    """A table of either kind as a source."""
    return TableFile(Path(table)) if isinstance(table, str | PathLike) else Frame(table, what)
