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
    events: Path,
    /,
    *,
    app: Annotated[str | None, Parameter(help="The app whose guards they would replace.")] = None,
    bundle: Bundle = None,
    json: Json = False,
) -> None:
    """Show what would have changed on recorded events, had these rules held instead of the app's own.

    Parameters
    ----------
    rules
        A file with `guards`: a whole app file, or `guards` alone.
    events
        A .parquet, .csv, .jsonl or .jsonl.gz file.
    """
    from homeostat.embedded import guard_trial

    with shown("guards") as progress:
        try:
            report = guard_trial.try_rules(rules, events, app, bundle, progress)
        except guard_trial.NoApp as error:
            raise CommandError(str(error)) from error
    if json:
        print(dumps(report))
        return
    from homeostat.cli.tables import guards_table

    guards_table(report, sys.stdout)
