"""Decides the events of an evaluation: once as they are, and again under each fault, always from the same windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from homeostat.app import brain, build, costs_of
from homeostat.decide.ahead import decide_ahead
from homeostat.decide.contracts import Featurizer, Scorer
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.assembly import Prepared
from homeostat.errors import Unavailable
from homeostat.jobs.evaluation.window import Sent, Window, ports_of
from homeostat.jobs.training import final, groups_of
from homeostat.models.bundle import Bundle
from homeostat.models.maturity import Matured, matured
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import rows_in

_PARTS = ("windows", "watermark", "waiting")  # All that the past leaves behind where nothing was decided yet.


# Faults.


def _same_events(events: EventBatch) -> EventBatch:
    return events


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    kind : noise, missing values and so on; target : the field, feature or scorer; strength : in words
    events : what becomes of the events as they come in
    features : what becomes of the features as they are served
    away : scorers that do not answer
    """

    kind: str
    target: str
    strength: str
    events: Callable[[EventBatch], EventBatch] = _same_events
    features: Callable[[EventBatch, Features], Features] | None = None
    away: frozenset[str] = frozenset()


class _Away:
    """A scorer that does not answer."""

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, features: Features) -> tuple[Float, Float]:
        """Never."""
        raise Unavailable(f"{self.name} is away")


class _Spoilt:
    """A featurizer whose features a fault spoils on their way to the scorers; the windows stay as they are."""

    def __init__(self, inner: Featurizer, spoil: Callable[[EventBatch, Features], Features]) -> None:
        self._inner, self._spoil = inner, spoil

    def features(self, events: EventBatch) -> Features:
        return self._spoil(events, self._inner.features(events))

    def state(self) -> State:
        return self._inner.state()

    def restore(self, state: State) -> None:
        self._inner.restore(state)


# Deciding.


@dataclass(slots=True)
class Run:
    """The decisions of one version, (n,) or (n, columns), in the order of the events.

    fallback : (n,) `Fallback` bits
    features : (n, features) as served, where they were asked for
    """

    version: str
    risk: Float
    action: Int
    rule: Int
    fallback: Bytes
    scores: Float
    propensity: Float
    features: Float | None = None

    def first(self, rows: int) -> Run:
        """The first so many decisions."""
        return Run(
            self.version, self.risk[:rows], self.action[:rows], self.rule[:rows],
            self.fallback[:rows], self.scores[:rows], self.propensity[:rows],
            None if self.features is None else self.features[:rows],
        )  # fmt: skip


def scorers_of(prepared: Prepared, bundle: Bundle | None) -> dict[str, Scorer]:
    """The scorers of a version. Raises NoScorers, and NotTrained where the version lacks any part."""
    made = brain(prepared.app, prepared.features, bundle)
    return dict(zip(prepared.app.scorers, made.scorers, strict=True))


@dataclass(frozen=True, slots=True)
class Decider:
    """A version that decides the window's events as often as it is asked to, each time from the start.

    ready : its scorers, by name; they remember nothing, so all loops ask the same
    """

    prepared: Prepared
    bundle: Bundle | None
    window: Window
    ready: Mapping[str, Scorer]

    def loop(self, fault: Fault | None = None) -> DecisionLoop:
        """A loop at the window's beginning."""
        made = brain(self.prepared.app, self.prepared.features, self.bundle, self.ready)
        if fault is not None and fault.away:
            names = self.prepared.app.scorers
            scorers: list[Scorer] = [
                _Away(name) if name in fault.away else one for name, one in zip(names, made.scorers, strict=True)
            ]
            made = replace(made, scorers=tuple(scorers))
        loop = build(self.prepared.app, self.prepared.features, made, ports_of(self.prepared))
        loop.restore(self.window.state, _PARTS)
        if fault is not None and fault.features is not None:
            loop.stages.featurizer = _Spoilt(loop.stages.featurizer, fault.features)
        return loop

    def run(
        self, fault: Fault | None = None, rows_max: int | None = None, features: bool = False,
        progress: Callable[[float], None] = lambda share: None, seen: Callable[[DecisionBatch], None] | None = None,
    ) -> Run:  # fmt: skip
        """Decide the window's events, or the first of them.

        features : keep those, for the search for segments
        seen : is given each batch of decisions
        """
        loop = self.loop(fault)
        parts = list(_first(self.window.parts, rows_max))
        total, at = sum(len(part.events) for part in parts), 0
        columns: list[tuple[Any, ...]] = []
        for sent, decided in decide_ahead(loop, _fed(loop, parts, fault)):
            fresh = decided.fresh
            assert fresh is not None
            assert len(fresh) == len(sent), "events that had been admitted were not decided"
            columns.append(_columns(fresh, features))
            if seen is not None:
                seen(fresh)
            at += len(sent)
            progress(at / total)
        loop.close()
        whole = [None if column[0] is None else np.concatenate(column) for column in zip(*columns, strict=True)]
        return Run(loop.stages.version, *whole)  # type: ignore[arg-type]  # Only the features may be None.


def _first(parts: tuple[Sent, ...], rows_max: int | None) -> Iterator[Sent]:
    left = rows_max
    for part in parts:
        if left is None or len(part.events) <= left:
            yield part
        elif left > 0:
            events, outcomes = part.events.slice(0, left), part.outcomes
            here = None if outcomes is None else rows_in(events.ids, outcomes.ids) >= 0
            yield Sent(events, outcomes if outcomes is None or here is None else outcomes.rows(here))
        left = None if left is None else max(0, left - len(part.events))


def _fed(loop: DecisionLoop, parts: list[Sent], fault: Fault | None) -> Iterator[EventBatch]:
    for part in parts:
        if part.outcomes is not None:
            loop.learn(part.outcomes)
        yield part.events if fault is None else fault.events(part.events)


def _columns(made: DecisionBatch, features: bool) -> tuple[Any, ...]:
    ruling = made.ruling
    return (
        made.fused.risk, ruling.action.astype(np.int64), ruling.rule.astype(np.int64), made.fallback,
        made.scores.values, made.proposal.propensity, made.features.values.copy() if features else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Truth:
    """The facts of the decided events, (n,), that no version and no fault changes.

    label : 1 or 0 where the outcome counts, NaN elsewhere
    positive, negative : (n, actions) cost of each action under either label; None where the app declares none
    """

    time_ns: Int
    person: Int
    label: Float
    found: Matured
    numbers: Float
    texts: dict[float, str]
    positive: Float | None = None
    negative: Float | None = None

    def __len__(self) -> int:
        return len(self.time_ns)

    def first(self, rows: int) -> Truth:
        """The first so many."""
        positive, negative = (None if one is None else one[:rows] for one in (self.positive, self.negative))
        return Truth(
            self.time_ns[:rows], self.person[:rows], self.label[:rows], self.found, self.numbers[:rows], self.texts,
            positive, negative,
        )  # fmt: skip

    def cost(self, action: Int) -> Float:
        """(n,) the cost of these actions under the label; NaN without one. The app has costs."""
        assert self.positive is not None
        assert self.negative is not None
        at = np.arange(len(self)), action
        priced = np.where(self.label == 1.0, self.positive[at], self.negative[at])
        return np.where(np.isnan(self.label), np.nan, priced)


def truth_of(prepared: Prepared, window: Window) -> Truth:
    """The facts of the window's events."""
    events, costs = [part.events for part in window.parts], costs_of(prepared.app)
    time_ns = np.concatenate([part.time_ns for part in events])
    today_ns = max(int(time_ns.max()), window.newest_ns)
    found = matured(time_ns, window.label, today_ns, final(prepared.app, window.apart))
    priced = [] if costs is None else [costs(part) for part in events]
    texts: dict[float, str] = {}
    for part in events:
        texts.update(part.category_texts)
    return Truth(
        time_ns, np.concatenate([groups_of(part) for part in events]), found.label, found,
        np.concatenate([part.numbers for part in events]), texts,
        None if costs is None else np.concatenate([one for one, _ in priced]),
        None if costs is None else np.concatenate([other for _, other in priced]),
    )  # fmt: skip
