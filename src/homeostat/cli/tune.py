"""`homeostat tune`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from json import dumps
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.instants import instant
from homeostat.cli.options import Decisions, Instant, Json, Outcomes, Until
from homeostat.cli.progress import say, shown
from homeostat.cli.version_stores import Actor, Config, Data, actor_of, stores_of


def tune(
    app: str,
    events: Path,
    /,
    *,
    out: Path,
    until: Until,
    from_: Annotated[Instant, Parameter(name="--from")] = None,
    outcomes: Outcomes = None,
    decisions: Decisions = None,
    trials: Annotated[int | None, Parameter(help="How many combinations are tried; 40 when absent.")] = None,
    seconds: Annotated[float | None, Parameter(help="No trial begins later than this after the start.")] = None,
    sampler: Annotated[
        Literal["tpe", "random", "cmaes", "grid"] | None,
        Parameter(help="How combinations are chosen; tpe when absent."),
    ] = None,
    seed: Annotated[int | None, Parameter(help="Of everything that is drawn; the app's when absent.")] = None,
    storage: Annotated[
        str | None, Parameter(help="postgresql://..., or a file; study.db beside the report when absent.")
    ] = None,
    study: Annotated[
        str | None, Parameter(help="Its name in the storage; made of the other options when absent.")
    ] = None,
    report: Annotated[Path | None, Parameter(help="The folder of plots and trials; OUT-study when absent.")] = None,
    register: Annotated[
        bool, Parameter(negative="", help="Keep the winner as a version, in --data or on the servers of --config.")
    ] = False,
    data: Data = None,
    config: Config = None,
    actor: Actor = None,
    reason: Annotated[str, Parameter(help="Why it was tuned; kept with the version.")] = "tuned by homeostat tune",
    json: Json = False,
) -> None:
    """Search for better settings on recorded events, and train a bundle with the best.

    Needs homeostat[train,tune]. The same command goes on with a study that was broken off; several of them may share a
    storage, each with an --out of its own.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file; its `tune` section says what is tried.
    events
        A .parquet, .csv, .jsonl or .jsonl.gz file.
    out
        The folder of the winning bundle; an earlier bundle there is replaced.
    from_
        The training window without tuning: from then on.
    """
    until_ns, from_ns = instant(until), instant(from_)
    assert until_ns is not None
    if from_ns is not None and from_ns >= until_ns:
        raise CommandError(f"nothing lies between --from {from_} and --until {until}: give an earlier --from")
    if not register and (data is not None or config is not None):
        raise CommandError("--data and --config say where a version is kept: add --register")
    if (trials is not None and not 1 <= trials <= 100_000) or (seconds is not None and not 0 < seconds <= 1e7):
        raise CommandError("--trials is from 1 to 100,000, and --seconds above 0 and at most 10,000,000")
    if seed is not None and not 0 <= seed < 2**63:
        raise CommandError("--seed is a whole number of at least 0")
    from homeostat.jobs.training_run import TrainingRequest
    from homeostat.jobs.tuning import TuningRequest, tune_on_events
    from homeostat.jobs.tuning_report import write_study

    whole = Path(os.path.abspath(out))  # It follows no links, which may form a loop.
    folder = (out if out.name else whole).parent / f"{whole.name}-study" if report is None else report
    training = TrainingRequest(events, out, until_ns, from_ns, outcomes, decisions)
    kept = storage or str(folder / "study.db")
    request = TuningRequest(training, kept, trials, seconds, sampler, seed, study)
    with ExitStack() as opened:
        stores = opened.enter_context(stores_of(data, config, make=True)) if register else None
        if stores is not None:
            stores.registry.versions(limit=1)  # A registry that can't be used is found before hours of trials.
        with shown("tuning") as progress:
            found = tune_on_events(app, request, progress, say)
            result = {**found.report, "report": str(folder), "files": write_study(found, folder)}
        if stores is not None:
            from homeostat.jobs.registering import register as keep

            who = actor_of(actor)
            result["number"] = keep(stores.registry, stores.settings, app, out, events, until_ns, who, reason).number
    if json:
        print(dumps(result))
        return
    from homeostat.cli.tables import tuning_table

    tuning_table(result, sys.stdout)
