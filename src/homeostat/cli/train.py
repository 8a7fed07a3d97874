"""`homeostat train`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.instants import instant
from homeostat.cli.options import Instant, Json
from homeostat.cli.progress import shown


def train(
    app: str,
    events: Path,
    /,
    *,
    out: Path,
    until: Annotated[str, Parameter(help="The moment of training: only what is known by then counts.")],
    from_: Annotated[Instant, Parameter(name="--from")] = None,
    outcomes: Annotated[
        Path | None, Parameter(help="A file of event_id, label and time: when each became known.")
    ] = None,
    json: Json = False,
) -> None:
    """Train an app's models on recorded events, and write them as a bundle.

    Needs homeostat[train].

    Parameters
    ----------
    app
        A shipped app (payments, access) or an app file.
    events
        A .parquet, .csv, .jsonl or .jsonl.gz file.
    out
        The bundle's folder; an earlier bundle there is replaced.
    from_
        Learn from events since then; older ones still fill the windows.
    """
    from homeostat.embedded.training_run import TrainingRequest, train_on_events

    until_ns, from_ns = instant(until), instant(from_)
    assert until_ns is not None
    if from_ns is not None and from_ns >= until_ns:
        raise CommandError(f"nothing lies between --from {from_} and --until {until}: give an earlier --from")
    with shown("training") as progress:
        try:
            report = train_on_events(app, TrainingRequest(events, out, until_ns, from_ns, outcomes), progress)
        except ValueError as error:
            # Training says in a sentence what it lacks; ValueErrors with a type of their own are told already.
            raise error if type(error) is not ValueError else CommandError(str(error)) from error
    if json:
        print(dumps(report))
        return
    from homeostat.cli.tables import training_table

    training_table(report, sys.stdout)
