"""`homeostat validate`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json

if TYPE_CHECKING:
    from homeostat.jobs.validation.loading import Wanted
    from homeostat.jobs.validation.validating import Validation


def validate(
    file: Path,
    /,
    *,
    app: Annotated[str | None, Parameter(help="An app whose fields the table has to hold.")] = None,
    time: Annotated[str | None, Parameter(help="The column of times; by its name when absent.")] = None,
    entity: Annotated[tuple[str, ...], Parameter(help="Columns of hosts, services: each is a series.")] = (),
    ranges: Annotated[tuple[str, ...], Parameter(name="--range", help="COLUMN=LOW:HIGH; either may be absent.")] = (),
    missing_max: Annotated[float, Parameter(help="The share of a column that may be missing.")] = 0.0,
    iqr: Annotated[float, Parameter(help="Outliers lie so many distances of the quartiles beyond them.")] = 3.0,
    report: Annotated[Path | None, Parameter(help="A file for the HTML report.")] = None,
    fail_on: Annotated[Literal["alarm"] | None, Parameter(help="Exit with 1 if a check fails.")] = None,
    json: Json = False,
) -> None:
    """Check a table of measurements in six ways, and write a cleaned copy beside it.

    Exits with 0 whatever was found, unless --fail-on names it.

    Parameters
    ----------
    file
        .csv, .csv.gz, .parquet or .arrow: a column of times, a column for each metric.
    """
    from homeostat.cli.progress import shown
    from homeostat.jobs.validation.checks import Limits
    from homeostat.jobs.validation.validating import cleaned_beside, validate_table

    if not 0 <= missing_max <= 1:
        raise CommandError(f"--missing-max {missing_max:g}: give a share from 0 to 1")
    if not 0 < iqr < float("inf"):
        raise CommandError(f"--iqr {iqr:g}: give a number above 0, such as 1.5 or 3")
    wanted, time, entity = _wanted(app, file, time, entity)
    wanted |= dict(map(_range, ranges))
    try:
        with shown("validate") as progress:
            found = validate_table(file, time, entity, wanted, Limits(missing_max, iqr), progress)
        if report is not None:
            from homeostat.adapters.disk.files import replace_file
            from homeostat.jobs.validation.page import report_page

            replace_file(report, [report_page(found).encode()])
    except OSError as error:
        raise CommandError(
            f"{cleaned_beside(file)} or the report can't be written ({error.strerror or error}): check the folder"
        ) from error
    if json:
        print(dumps(found.as_dict(), allow_nan=False))
    else:
        _print(found)
    if fail_on and not found.passed:
        raise CommandError(f"--fail-on {fail_on}: {', '.join(one.name for one in found.checks if not one.passed)}")


def _wanted(
    app: str | None, file: Path, time: str | None, entity: tuple[str, ...]
) -> tuple[dict[str, Wanted], str | None, tuple[str, ...]]:
    """The columns that an app asks for, with its names of time and entities where no option says others."""
    from homeostat.adapters.disk.table_files import TableFile
    from homeostat.config.load import load_app
    from homeostat.jobs.validation.loading import Wanted, wanted_of

    if app is None:
        return {}, time, entity
    events, names = load_app(app).events, TableFile(file).names
    wanted = wanted_of(events.fields)
    for key, one in events.entities.items():
        here = [name for name in (key, *one.aliases) if name in names][:1]
        entity = entity or ()
        if here and here[0] not in entity:
            entity += (here[0],)
        elif not here and one.required:
            wanted[key] = Wanted(number=False, needed=True)
    when = events.time
    if time is None:
        time = next((name for name in (when.name, *when.aliases) if name in names), None)
    return wanted, time, entity


def _range(text: str) -> tuple[str, Wanted]:
    from homeostat.jobs.validation.loading import Wanted

    name, sign, bounds = text.rpartition("=")
    low, colon, high = bounds.partition(":")
    try:
        if not (sign and colon and name):
            raise ValueError
        least, most = (float(one) if one.strip() else None for one in (low, high))
    except ValueError:
        raise CommandError(f"--range {text}: write COLUMN=LOW:HIGH, such as cpu=0:100 or latency=0:") from None
    return name, Wanted(True, least, most)


def _print(found: Validation) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, markup=False, highlight=False)
    console.print(f"{found.rows:,} rows: {found.verdict}")
    table = Table("", "check", "rows", "the first of them")
    for one in found.checks:
        first = one.examples[0] if one.examples else None
        place = "" if first is None or first["row"] is None else f"row {first['row']:,}, "
        words = "" if first is None else f"{place}{first['column']}: {first['value']} {first['why']}"
        table.add_row("pass" if one.passed else "FAIL", one.name, f"{one.rows:,}", words)
    console.print(table)
    console.print(f"{found.cleaned}: {found.kept:,} rows, {found.emptied:,} cells less")
