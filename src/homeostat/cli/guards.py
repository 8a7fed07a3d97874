"""`homeostat guards test`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Bundle, Json
from homeostat.cli.progress import shown

guards = App(name="guards", help="Try a change of rules on recorded events", help_format="plaintext")


@guards.command(name="test")
def try_rules(
    rules: Path,
    events: Path | None = None,
    /,
    *,
    app: Annotated[str | None, Parameter(help="The app whose guards they would replace.")] = None,
    data: Annotated[
        Path | None, Parameter(help="Instead of EVENTS: a server's --data folder, or the --out of a replay.")
    ] = None,
    outcomes: Annotated[
        Path | None, Parameter(help="A file of event_id, label and time: when each became known.")
    ] = None,
    bundle: Bundle = None,
    json: Json = False,
) -> None:
    """Show what would have changed, had these rules held instead of the app's own.

    Each decision is held against what was decided: in the folder of --data, or by the app as it is on EVENTS. With
    outcomes, by rule: precision and cost.

    Parameters
    ----------
    rules
        A file with `guards`: a whole app file, or `guards` alone.
    events
        A .parquet, .csv, .jsonl or .jsonl.gz file.
    """
    from homeostat.jobs import guard_trial

    if app is None:
        raise CommandError(f"which app are the rules in {rules} for? Give --app, a shipped app or an app file")
    if (events is None) == (data is None):
        raise CommandError("which decisions? Give either EVENTS, a file of recorded events, or --data, a folder")
    trial = guard_trial.Trial(rules, app, events, data, outcomes, bundle)
    with shown("guards") as progress:
        try:
            report = guard_trial.try_rules(trial, progress)
        except guard_trial.CanNotTry as error:
            raise CommandError(str(error)) from error
    if json:
        print(dumps(report))
        return
    from homeostat.cli.tables import guards_table

    guards_table(report, sys.stdout)
