"""`homeostat train`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.instants import instant
from homeostat.cli.options import Decisions, Instant, Json, Outcomes, Until
from homeostat.cli.progress import shown
from homeostat.cli.version_stores import Actor, Config, Data, actor_of, stores_of


def train(
    app: str,
    events: Path,
    /,
    *,
    out: Path,
    until: Until,
    from_: Annotated[Instant, Parameter(name="--from")] = None,
    outcomes: Outcomes = None,
    decisions: Decisions = None,
    processes: Annotated[
        int | None, Parameter(help="Compute the features in so many processes; needs homeostat[scale].")
    ] = None,
    register: Annotated[
        bool, Parameter(negative="", help="Keep it as a version, in --data or on the servers of --config.")
    ] = False,
    data: Data = None,
    config: Config = None,
    actor: Actor = None,
    reason: Annotated[str, Parameter(help="Why it was trained; kept with the version.")] = "trained by homeostat train",
    ray: Annotated[str | None, Parameter(help="Compute them on the Ray cluster at this address (host:port).")] = None,
    json: Json = False,
) -> None:
    """Train an app's models on recorded events, and write them as a bundle.

    Needs homeostat[train]. The bundle is the same wherever the features are computed.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
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
    if not register and (data is not None or config is not None):
        raise CommandError("--data and --config say where a version is kept: add --register")
    with ExitStack() as opened:
        stores = opened.enter_context(stores_of(data, config, make=True)) if register else None
        if stores is not None:
            stores.registry.versions(limit=1)  # A registry that can't be used is found before hours of training.
        with elsewhere(processes, ray) as place, shown("training") as progress:
            request = TrainingRequest(events, out, until_ns, from_ns, outcomes, decisions)
            report = train_on_events(app, request, progress, place)
        if stores is not None:
            from homeostat.jobs.registering import register as keep

            who = actor_of(actor)
            report["number"] = keep(stores.registry, stores.settings, app, out, events, until_ns, who, reason).number
    if json:
        print(dumps(report))
        return
    from homeostat.cli.tables import training_table

    training_table(report, sys.stdout)
