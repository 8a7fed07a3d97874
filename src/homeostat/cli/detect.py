"""`homeostat detect`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json

if TYPE_CHECKING:
    from homeostat.cli.progress import Progress
    from homeostat.records.arrays import Float
    from homeostat.stats.detectors.alarms import Alarm

_NO_ROW = "not enough data: the file has no row"
_SHOWN_MAX = 40  # Alarms in the table; --json has all.


def detect(
    file: Path,
    /,
    *,
    column: Annotated[str | None, Parameter(help="The column; not needed for one number a line.")] = None,
    kind: Literal["error", "number"] | None = None,
    false_alarms_per: float = 100_000.0,
    fail_on: Annotated[Literal["alarm"] | None, Parameter(help="Exit with 1 if there is an alarm.")] = None,
    json: Json = False,
) -> None:
    """Find changes in one column of numbers, in the order of its rows. Detection starts afresh after each alarm.

    Exits with 0 whatever was found, unless --fail-on names it.

    Parameters
    ----------
    file
        .csv, .csv.gz or .parquet, or a file with one number a line.
    kind
        error for values from 0 to 1 whose mean may rise; number for changes of mean and spread. Absent: error if the
        first 64 values are all 0 or 1.
    false_alarms_per
        The mean number of rows until a false alarm, while nothing changes.
    """
    from homeostat.adapters.disk.number_files import read_numbers
    from homeostat.cli.progress import shown
    from homeostat.stats.detectors.detector import detect_in

    rows: list[int] = []
    with shown("detect") as progress:
        pieces = _watched(read_numbers(file, column), progress, rows)
        alarms = [alarm for found in detect_in(pieces, kind, false_alarms_per) for alarm in found]
    if json:
        if not any(rows):
            print(f"homeostat: warning: {_NO_ROW}", file=sys.stderr)
        print(dumps({"rows": sum(rows), "alarms": [alarm.as_dict() for alarm in alarms]}, allow_nan=False))
    else:
        _print(alarms, any(rows))
    if fail_on and alarms:
        raise CommandError(f"--fail-on alarm: the first of {len(alarms):,} is at row {alarms[0].row:,}")


def _watched(pieces: Iterator[tuple[Float, float]], progress: Progress, rows: list[int]) -> Iterator[Float]:
    """Pass the pieces on, and append the length of each to rows."""
    for piece, share in pieces:
        rows.append(len(piece))
        progress("detect", share)
        yield piece


def _print(alarms: list[Alarm], any_rows: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, markup=False, highlight=False)
    if not alarms:
        console.print("no change was found" if any_rows else _NO_ROW)
        return
    table = Table("row", "since", "change", "before", "after")
    for one in alarms[:_SHOWN_MAX]:
        table.add_row(f"{one.row:,}", f"{one.since:,}", one.change, f"{one.before:.5g}", f"{one.after:.5g}")
    console.print(table)
    if len(alarms) > _SHOWN_MAX:
        console.print(f"and {len(alarms) - _SHOWN_MAX:,} more: --json prints all")
