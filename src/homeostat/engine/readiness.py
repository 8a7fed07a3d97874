"""Loads every kernel before the first event, which would otherwise wait for the compiler and miss its deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.second_compiler import compiling_beside
from homeostat.app import Brain, Ports, brain, build
from homeostat.config.tree import App
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.windows import first_start
from homeostat.decide.windows.features import FeaturePlan
from homeostat.models.bundle import Bundle
from homeostat.ports import Clock
from homeostat.records import compiling
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.identity import Coding

_LOCK = "compiling.lock"  # Beside the machine code that is being made.
_PATIENCE_S = 10.0  # For a plug-in's first answer; a start must not wait for ever for one that hangs.


def warm_up(app: App, features: FeaturePlan, bundle: Bundle | None, clock: Clock, ready: Brain | None = None) -> float:
    """Decide made-up events in a loop that is thrown away; returns the seconds that took.

    ready : its scorers are asked, which remember nothing; so they are loaded once only
    """
    begun_ns = clock.monotonic_ns()
    scorers = None if ready is None else dict(zip(app.scorers, ready.scorers, strict=True))
    compile_first(app, features, lambda: brain(app, features, bundle, scorers), clock)
    coding = Coding.of_seed(app.seed)
    with SqliteJournal(":memory:", app=app.app, secret=coding.secret) as journal:
        ports = Ports(journal, clock, coding, bounded=False, patience_s=_PATIENCE_S)
        loop = build(app, features, brain(app, features, bundle, scorers), ports)
        for rows in (1, 64):
            loop.decide(made_up(rows, features))
        try_learning(loop, app, features)  # Else the first outcomes that are learned from wait for the compiler.
        loop.close()
    return (clock.monotonic_ns() - begun_ns) / 1e9


def compile_first(app: App, features: FeaturePlan, make: Callable[[], Brain], clock: Clock) -> None:
    """Where the windows' kernel was never compiled, have that done by another process while this one does the rest.

    make : of a brain that is thrown away: it decides made-up events
    """
    if first_start.is_ready():
        return
    with compiling_beside("homeostat.engine.compile_windows", first_start.place() / _LOCK) as wait:
        if wait is None:
            return
        featurizer, coding = first_start.Unwindowed(features), Coding.of_seed(app.seed)
        featurizer.move()
        with SqliteJournal(":memory:", app=app.app, secret=coding.secret) as journal:
            ports = Ports(journal, clock, coding, bounded=False, patience_s=_PATIENCE_S, featurizer=featurizer)
            loop = build(app, features, make(), ports)
            for rows in (1, 64):
                loop.decide(made_up(rows, features))
            loop.close()
        with compiling.compiles(first_start.KERNEL):
            wait()


def try_learning(loop: DecisionLoop, app: App, features: FeaturePlan) -> dict[str, str]:
    """Let a loop that is thrown away decide made-up events and learn from their outcomes.

    Returns by learner how it failed; empty where none did.
    """
    if loop.stages.joiner is None:
        return {}
    rows = 8
    label = np.tile([0.0, 1.0], rows // 2)
    events = replace(made_up(rows, features), label=label)
    ids = events.id_code
    span_ns = max(app.outcomes.delay, app.outcomes.horizon) + 2 * app.learning.every
    loop.decide(events)
    known = OutcomeBatch(ids, label, events.time_ns, np.full(rows, np.nan))
    loop.learn(known)
    later = made_up(rows, features)
    for step in (1, 2, 3):
        loop.decide(replace(later, id_code=ids + 10_000 * step, time_ns=later.time_ns + step * span_ns))
    return {name: failed.last for name, failed in loop.teaching.failures.items()}


def made_up(rows: int, features: FeaturePlan) -> EventBatch:
    """Events of one entity, a second apart."""
    return EventBatch(
        np.arange(rows) + 1_000 * rows, np.arange(rows) * 10**9, np.ones((rows, features.entities), np.int64),
        np.ones((rows, features.fields)), np.zeros(rows), np.zeros(rows, np.uint8),
    )  # fmt: skip
