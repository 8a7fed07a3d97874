"""`homeostat report`: a month, for audits."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, closing, suppress
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.version_stores import Config, Data

if TYPE_CHECKING:
    from homeostat.config.tree import App
    from homeostat.jobs.monthly.autonomy import Sources
    from homeostat.jobs.monthly.month import Month
    from homeostat.ports import NamedJournal


def report(
    what: Literal["autonomy", "fairness"],
    /,
    *,
    month: Annotated[
        str,
        Parameter(
            help="Such as 2026-11, in UTC; the month before this one when absent; `recent` for the last decisions."
        ),
    ] = "last",
    out: Annotated[
        Path | None, Parameter(help="Write WHAT-MONTH.html and WHAT-MONTH.json into this folder, replacing older ones.")
    ] = None,
    app: Annotated[
        str | None, Parameter(help="The app file, for fairness; a shipped app that decided needs none.")
    ] = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Report on a month: how far decisions were a machine's, or how groups of people fared.

    Parameters
    ----------
    what
        autonomy: decisions by who had the last word, questions, changes by actor, jobs, promotions and rollbacks.
        fairness: figures by group with verdicts, and questions by group.
    """
    from homeostat.jobs.monthly.month import Month

    try:
        wanted = Month.of(month, time.time_ns())
    except ValueError as error:
        raise CommandError(str(error)) from None
    with ExitStack() as opened:
        journal = _journal(data, config, opened)
        sources = _sources(journal, data, config, opened)
        found = _made(what, wanted, journal, sources, app, data, config)
    if out is not None:
        _write(found, out)
    print(dumps(found, allow_nan=False) if json else "\n".join(_lines(found)))


def _journal(data: Path | None, config: Path | None, opened: ExitStack) -> NamedJournal:
    from homeostat.cli.journals import journal_in, shared_journal

    if data is not None and config is not None:
        raise CommandError("is the journal in --data or on the servers of --config? Give one of them")
    found: NamedJournal = shared_journal(config) if data is None else journal_in(data)
    opened.enter_context(closing(found))
    return found


def _sources(journal: NamedJournal, data: Path | None, config: Path | None, opened: ExitStack) -> Sources:
    """The stores beside a journal; looking makes none."""
    from homeostat.adapters.jobs.opening import NoJobs
    from homeostat.adapters.jobs.opening import opened as jobs_of
    from homeostat.cli.settings import store_of
    from homeostat.cli.statements import statements_of
    from homeostat.jobs.monthly.autonomy import Sources
    from homeostat.ports.jobs import Jobs

    jobs: Jobs | None = None
    with suppress(NoJobs):
        jobs = opened.enter_context(closing(jobs_of(data, config)))
    settings = opened.enter_context(store_of(data, config))
    return Sources(journal, settings, opened.enter_context(statements_of(data, config)), jobs)


def _made(
    what: str, month: Month, journal: NamedJournal, sources: Sources, app: str | None, data: Path | None,
    config: Path | None,
) -> dict[str, Any]:  # fmt: skip
    from homeostat.jobs.monthly.month import RECENT

    if what == "autonomy":
        if month.name == RECENT:
            raise CommandError("autonomy is reported for a month: write it as 2026-11, or last")
        from homeostat.jobs.monthly.autonomy import autonomy

        return autonomy(journal.app, month, sources)
    from homeostat.engine.assembly import prepare
    from homeostat.jobs.monthly.fair import fairness

    prepared = prepare(_app(journal, app, data, config)).keyed(journal.coding)
    return fairness(prepared, month, journal, sources.statements)


def _app(journal: NamedJournal, app: str | None, data: Path | None, config: Path | None) -> App:
    from homeostat.cli.settings import app_of

    found = app_of(app, data, config)
    if found is None:
        raise CommandError(f"which groups? The journal is of the app {journal.app!r}: give --app with its app file")
    return found


def _write(found: dict[str, Any], out: Path) -> None:
    from homeostat.adapters.disk.files import FOLDER_MODE, replace_file
    from homeostat.jobs.monthly.page import report_page

    out.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    name = f"{found['report']}-{found['month']}"
    replace_file(out / f"{name}.json", [(dumps(found, allow_nan=False) + "\n").encode()])
    replace_file(out / f"{name}.html", [report_page(found).encode()])
    print(f"plots and tables: {out / name}.html", file=sys.stderr)


def _lines(found: dict[str, Any]) -> list[str]:
    from homeostat.jobs.monthly.page import summary

    return [f"{found['app']}: {found['report']} in {found['month']}", *summary(found)]
