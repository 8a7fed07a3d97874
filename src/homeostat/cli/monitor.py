"""`homeostat monitor`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Literal

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json


def monitor(
    analysis: Path,
    /,
    *,
    reference: Path,
    chunk: int | None = None,
    by: str | None = None,
    prediction: str | None = None,
    probability: str | None = None,
    target: str | None = None,
    out: Path | None = None,
    fail_on: Literal["drift", "alarm"] | None = None,
    json: Json = False,
) -> None:
    """Compare a table with a reference: which columns drift, and how good predictions still are, without labels.

    Tables are .parquet, .csv, .csv.gz or .arrow files, or folders of Parquet files.

    Parameters
    ----------
    analysis
        The table to look at.
    reference
        A table of a time when all was well, with labels if quality is to be estimated.
    chunk
        Rows of a chunk whose quality is estimated. Absent: 5,000, or a tenth of a smaller reference.
    by
        A column instead. The rows of each of its values are a chunk.
    prediction
        The column of predictions, 0 or 1. Absent: 1 where the probability is 0.5 or more.
    probability
        The column of predicted probabilities.
    target
        The column of labels. The analysis may lack it, or have some of them. Estimates never read it there.
    out
        A folder for report.html and report.json.
    fail_on
        Exit with 1 if a column drifts, or if the quality of a chunk raises an alarm.
    """
    from homeostat.adapters.disk.table_files import TableFile
    from homeostat.cli.progress import shown
    from homeostat.jobs.table_monitor.options import Options
    from homeostat.jobs.table_monitor.run import monitor_tables

    options = Options(chunk, by, prediction, probability, target)
    if out is not None:
        _make(out)
    with shown("comparing") as progress:
        found = monitor_tables(TableFile(analysis), TableFile(reference), options, progress)
    if out is not None:
        from homeostat.adapters.disk.files import replace_file

        facts = dumps(found.to_dict(), allow_nan=False, indent=1) + "\n"
        replace_file(out / "report.json", [facts.encode()])
        replace_file(out / "report.html", [found.html().encode()])
    if json:
        print(dumps(found.to_dict(), allow_nan=False))
    else:
        from rich.console import Console

        Console(file=sys.stdout, markup=False, highlight=False).print(found)
    if (fail_on == "drift" and found.drifts) or (fail_on == "alarm" and found.alarms):
        sys.exit(1)


def _make(out: Path) -> None:
    """The folder of the report, before tables are read for minutes."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--out {out} can't be made a folder ({error.strerror}): name another one") from error
