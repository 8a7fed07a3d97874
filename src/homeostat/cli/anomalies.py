"""`homeostat anomalies`."""

from __future__ import annotations

import sys
from json import dumps
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json

if TYPE_CHECKING:
    from homeostat.jobs.anomalies.scoring import Summary

anomalies = App(name="anomalies", help="Score each row of measurements by how strange it is", help_format="plaintext")
anomalies.command("homeostat.cli.rootcause:rootcause", name="rootcause")
_SHOWN_MAX = 40  # Alarms in the table; --json has all.


@anomalies.default
def score(
    file: Path,
    /,
    *,
    out: Annotated[Path, Parameter(help="SCORES, .csv or .parquet: one row for each row of FILE.")],
    time: Annotated[str | None, Parameter(help="The column of times; by its name when absent.")] = None,
    entity: Annotated[str | None, Parameter(help="The column of hosts, services: each is a series of its own.")] = None,
    train_until: Annotated[str | None, Parameter(help="Rows before this row or time only teach.")] = None,
    threshold: Annotated[float | None, Parameter(help="The score from 0 to 1 that flags a row.")] = None,
    alarms_per: Annotated[float, Parameter(help="Without --threshold: ordinary rows for each false alarm.")] = 10_000.0,
    json: Json = False,
) -> None:
    """Score each row from the rows before it, explain the scores, and flag what is strange.

    Parameters
    ----------
    file
        .csv, .csv.gz, .parquet or .arrow: a column of times, a column for each metric.
    """
    from homeostat.cli.progress import shown
    from homeostat.jobs.anomalies.scoring import Options, score_table

    row, moment = _until(train_until)
    if realpath(out) == realpath(file):
        raise CommandError(f"--out {out} is FILE itself: give the scores another name")
    options = Options(time, entity, row, moment, threshold, alarms_per)
    with shown("anomalies") as progress:
        summary = score_table(file, out, options, progress)
    if summary.columns.ignored:
        print(f"homeostat: not numbers, ignored: {', '.join(summary.columns.ignored)}", file=sys.stderr)
    if json:
        print(dumps(summary.as_dict(), allow_nan=False))
    else:
        _print(summary)


def _until(text: str | None) -> tuple[int | None, float | None]:
    """A row, or a moment in seconds since 1970."""
    from homeostat.decide.intake.times import time_of_text

    if text is None:
        return None, None
    if text.isdecimal():
        return int(text), None
    moment = time_of_text(text)
    if moment is None:
        raise CommandError(f"--train-until {text}: give a row, counted from 0, or an ISO 8601 time")
    return None, moment / 1e9


def _print(summary: Summary) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, markup=False, highlight=False)
    if summary.rows == summary.warming:
        console.print("not enough history: every row was needed to learn what is usual")
        return
    console.print(f"{summary.rows:,} rows, {summary.warming:,} of them only taught; {len(summary.alarms):,} alarms")
    if not summary.alarms:
        return
    table = Table("row", "until", "entity", "metric", "score")
    for one in summary.alarms[:_SHOWN_MAX]:
        table.add_row(f"{one['row']:,}", f"{one['until']:,}", one["entity"], one["metric"], f"{one['score']:.3f}")
    console.print(table)
    if len(summary.alarms) > _SHOWN_MAX:
        console.print(f"and {len(summary.alarms) - _SHOWN_MAX:,} more: --json prints all")
