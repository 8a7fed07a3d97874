"""`homeostat replay`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.instants import instant
from homeostat.cli.options import Bundle, Instant, Json
from homeostat.cli.progress import shown


def replay(
    app: str,
    events: Path,
    /,
    *,
    out: Path,
    train_from: Instant = None,
    train_until: Instant = None,
    outcomes: Annotated[
        Path | None, Parameter(help="A file of event_id, label and time: when each became known.")
    ] = None,
    until: Instant = None,
    bundle: Bundle = None,
    chunk_rows: Annotated[int, Parameter(help="Events in a batch; it changes speed, never a decision.")] = 65_536,
    force: Annotated[
        bool, Parameter(negative="", help="Delete a journal in --out, even that of a server, and say what is deleted.")
    ] = False,
    open_files: Annotated[
        bool, Parameter(negative="", help="Let the umask say who may read new files, not their owner alone.")
    ] = False,
    full: Annotated[bool, Parameter(help="Print all tables, not one screen of them.", negative="")] = False,
    json: Json = False,
) -> None:
    """Decide on recorded events, as they would have been decided when they happened.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
    events
        A .parquet, .csv, .jsonl or .jsonl.gz file.
    out
        The folder for decisions.parquet, dead_letters.jsonl, audit.jsonl, journal.db, report.json and its plots
        in report.html. Only an older replay's output there is replaced.
    train_from
        Learn from events since then; older ones still fill the windows.
    train_until
        Learn at this moment, from the outcomes known by then, and decide from then on.
    until
        Stop before the first event at or after this.
    """
    from homeostat.jobs.replay import Request, replay_events

    request = Request(
        events, out, outcomes, bundle, instant(train_from), instant(train_until), instant(until), chunk_rows,
        force, not open_files, tell=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    with shown("replay") as progress:
        report = replay_events(app, request, progress)
    if json:
        print(dumps(report))
        return
    from homeostat.cli.report_view import print_report

    print_report(report, sys.stdout, full)
    print(f"plots: {out / 'report.html'}; all tables: --full", file=sys.stderr)
