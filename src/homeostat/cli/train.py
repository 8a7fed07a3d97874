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
    decisions: Annotated[
        Path | None,
        Parameter(help="The decisions.parquet of an export: the silence of events that were blocked teaches nothing."),
    ] = None,
    processes: Annotated[
        int | None, Parameter(help="Compute the features in so many processes; needs homeostat[scale].")
    ] = None,
    ray: Annotated[str | None, Parameter(help="Compute them on the Ray cluster at this address (host:port).")] = None,
    json: Json = False,
) -> None:
    """Train an app's models on recorded events, and write them as a bundle.

    Needs homeostat[train]. The bundle is the same wherever the features are computed.

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
    from homeostat.jobs.training_run import TrainingRequest, train_on_events
    from homeostat.jobs.training_set_run import elsewhere

    until_ns, from_ns = instant(until), instant(from_)
    assert until_ns is not None
    if from_ns is not None and from_ns >= until_ns:
        raise CommandError(f"nothing lies between --from {from_} and --until {until}: give an earlier --from")
    if processes is not None and (processes < 1 or ray is not None):
        raise CommandError("--processes is at least 1, and for this machine; a cluster at --ray has its own number")
    with elsewhere(processes, ray) as place, shown("training") as progress:
        request = TrainingRequest(events, out, until_ns, from_ns, outcomes, decisions)
        report = train_on_events(app, request, progress, place)
    if json:
        print(dumps(report))
        return
    from homeostat.cli.tables import training_table

    training_table(report, sys.stdout)
