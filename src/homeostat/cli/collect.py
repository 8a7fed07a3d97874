"""`homeostat collect`."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.instants import instant
from homeostat.cli.options import Instant, Json
from homeostat.cli.progress import shown

_MS_NS = 10**6


def collect(
    *,
    from_: Annotated[str, Parameter(name="--from", help="influxdb://host:8086/database or prometheus://host:9090.")],
    out: Annotated[Path, Parameter(help="The table to write: .parquet or .csv.")],
    range_: Annotated[str, Parameter(name="--range", help="How far back, such as 24h.")] = "24h",
    until: Instant = None,
    every: Annotated[str | None, Parameter(help="Average by buckets of this length; each gap is a row then.")] = None,
    measurement: Annotated[
        tuple[str, ...], Parameter(negative="", help="A measurement, or a metric of Prometheus; may be repeated.")
    ] = (),
    query: Annotated[
        tuple[str, ...], Parameter(negative="", help="PromQL, evaluated at each bucket's start; needs --every.")
    ] = (),
    tag: Annotated[tuple[str, ...], Parameter(negative="", help="A tag that names the entity; may be repeated.")] = (),
    json: Json = False,
) -> None:
    """Write the history of metrics as one wide table: a row for each entity and time, a column for each metric.

    Keys are read from HOMEOSTAT_COLLECT__TOKEN, or HOMEOSTAT_COLLECT__USERNAME and HOMEOSTAT_COLLECT__PASSWORD.
    """
    from homeostat.adapters.metrics.history import Span
    from homeostat.adapters.metrics.opening import open_history
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.config.stores import read_store
    from homeostat.jobs.collecting import collect as collected

    store = read_store(from_)
    if store.kind == "prometheus" and not (measurement or query):
        raise CommandError("which metrics? Give --measurement NAME, or --query EXPRESSION with --every")
    if query and (store.kind != "prometheus" or every is None):
        raise CommandError("--query is PromQL, and is evaluated at each bucket: it needs prometheus:// and --every")
    every_ns = 0 if every is None else _duration("--every", every)
    if every_ns % _MS_NS:
        raise CommandError("--every is a whole number of milliseconds")
    length_ns, end_ns = _duration("--range", range_), instant(until) or SystemClock().now_ns()
    step_ns = every_ns or _MS_NS
    end_ns = end_ns // step_ns * step_ns
    start_ns = (end_ns - length_ns) // step_ns * step_ns
    if start_ns < 0:
        raise CommandError("--range reaches back to before 1970")
    history = open_history(store, measurement, query, os.environ)
    with shown("collect") as progress:
        found = collected(history, Span(start_ns, end_ns, every_ns), tag, out, progress, time.sleep)
    if json:
        print(dumps({"file": str(out), **asdict(found)}))
        return
    gaps = f", {found.gaps:,} of them gaps" if every_ns else ""
    print(f"{found.rows:,} rows of {found.entities:,} entities and {found.metrics:,} metrics in {out}{gaps}")


def _duration(option: str, text: str) -> int:
    from homeostat.config.scalars import duration_ns

    try:
        length_ns = duration_ns(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from error
    if length_ns <= 0:
        raise CommandError(f"{option} is longer than nothing")
    return length_ns
