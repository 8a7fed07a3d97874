"""Decides a run's traffic hour by hour, through intake and all stages; goes on from any hour that was kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from homeostat.app import Brain, Ports, brain, build
from homeostat.config.plans import category_literals
from homeostat.decide.admission import admitted
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.assembly import Prepared, bundle_of, prepare
from homeostat.jobs.drill.acting import Acting
from homeostat.jobs.drill.arriving import PIECES, Arrived, Arriving
from homeostat.jobs.drill.stand_ins import PassingJournal, ServedFeatures, StandingClock
from homeostat.models.bundle import Bundle
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, OutcomeBatch
from homeostat.records.rows import decisions_at
from homeostat.records.unknown import letter_of
from homeostat.sim.faults.fault import LogEntry
from homeostat.sim.faults.runs import Laid, lay_out, run_of
from homeostat.sim.faults.scene import Form, Frame, form_of
from homeostat.sim.faults.traffic import HOUR_NS, Traffic
from homeostat.sim.faults.wire import received
from homeostat.sim.faults.worlds import World, access_world, declared_world, infra_world, labels_by_risk, payments_world

START_NS = 1_767_571_200_000_000_000  # Monday, 2026-01-05 00:00 UTC: day 0 of every run.
_TYPICAL_US = 180.0  # Of one decision, by the model of latency.
_SCORING = 0.8  # Of the time of a decision, shared equally by its scorers: a part of the declared model.


@dataclass(frozen=True, slots=True)
class Hour:
    """All that a journal gets in an hour.

    outcomes : those that became known in the hour before; before the hour's decisions
    changes : that were applied at its beginning
    decisions, recorded_ns : entries in order, and when each was written
    computed : of each entry, the features as they are computed, where they were served otherwise
    letters : what intake refused
    log : lines of the change log of the hour, settings and deploys included
    """

    start_ns: int
    end_ns: int
    outcomes: OutcomeBatch | None
    changes: tuple[Change, ...]
    decisions: tuple[DecisionBatch, ...]
    recorded_ns: tuple[int, ...]
    computed: tuple[Float | None, ...]
    letters: list[DeadLetter]
    log: tuple[LogEntry, ...] = ()


class DrillApp:
    """An app made ready for drills: what all runs share.

    bundle : the folder of its trained models; the shipped ones when None
    """

    def __init__(self, app: str | Prepared, world: World | None = None, bundle: Path | None = None) -> None:
        self.trained = bundle
        self.prepared = prepare(app) if not isinstance(app, Prepared) else app
        self.form: Form = form_of(self.prepared.app)
        self.world = world or worlds_of(self.prepared.app.app)
        self.by_risk = self.world is declared_world

    @cached_property
    def bundle(self) -> Bundle | None:
        """The app's trained models, None where it needs none."""
        return bundle_of(self.prepared, self.trained)

    @cached_property
    def first_brain(self) -> Brain:
        """A brain whose scorers all loops share, since they remember nothing."""
        return brain(self.prepared.app, self.prepared.features, self.bundle)

    @property
    def schema(self) -> EventSchema:
        """How its events are read."""
        return self.prepared.schema

    @property
    def literals(self) -> frozenset[str]:
        """The categories that its file names."""
        return frozenset(category_literals(self.prepared.app))


def worlds_of(app: str) -> World:
    """The world that an app has of its own; one by its declared fields where it has none."""
    known: dict[str, World] = {"payments": payments_world, "access": access_world, "infra": infra_world}
    return known.get(app, declared_world)


def frame_of(days: int, past_days: int = 28, warm_days: int = 120) -> Frame:
    """The frame of a run of so many days."""
    return Frame(START_NS, warm_days, past_days, days)


class Deciding:
    """One loop on one traffic. `hour` decides the next hour; `kept` and `resume` fork it."""

    def __init__(self, drill: DrillApp, traffic: Traffic, frame: Frame, seed: int, laid: Laid | None = None) -> None:
        self.drill, self.traffic, self.frame, self.seed = drill, traffic, frame, seed
        prepared = drill.prepared
        self.clock, self.journal = StandingClock(), PassingJournal()
        self.ports = Ports(self.journal, self.clock, prepared.coding, bounded=False)
        first = drill.first_brain
        scorers = dict(zip(prepared.app.scorers, first.scorers, strict=True))
        own = brain(prepared.app, prepared.features, drill.bundle, scorers)
        self.loop: DecisionLoop = build(
            prepared.app, prepared.features, replace(own, scorers=first.scorers), self.ports
        )
        fields = len(prepared.app.events.fields)
        self.served = ServedFeatures(self.loop.stages.featurizer, prepared.features.names, fields)
        self.loop.stages.featurizer = self.served
        self.acting = Acting(drill.prepared, first, drill.bundle, self.ports, () if laid is None else laid.acts)
        self.log = () if laid is None else laid.log
        self._arriving = Arriving(traffic, drill.schema)
        app = prepared.app
        self._censoring = np.array([action in app.outcomes.censoring for action in app.actions])
        n, entities = len(traffic), len(prepared.words.entities)
        self.visible: Bytes = np.zeros(n, np.uint8)
        self.risk: Float = np.full(n, np.nan)
        self.time_ns: Int = np.zeros(n, np.int64)
        self.keys, self.checks = np.zeros((n, entities), np.int64), np.zeros((n, entities), np.int64)
        self._by_known = np.argsort(traffic.known_ns, kind="stable")
        self._known = traffic.known_ns[self._by_known]
        self._row = traffic.since(frame.past_ns)
        self.now_ns = frame.past_ns

    def warm(self) -> None:
        """Let the traffic before the quiet past fill the windows, undecided."""
        batch = self.traffic.rows(slice(0, self._row))
        schema = self.drill.schema
        for start in range(0, len(batch), 65_536):
            part = batch.rows(slice(start, start + 65_536))
            events, _ = received(part, schema, int(part.arrived_ns[-1]), np.arange(len(part)))
            self.loop.absorb(replace(events, label=part.label.astype(np.float64)))

    def hour(self) -> Hour:
        """Decide the next hour."""
        start, end = self.now_ns, self.now_ns + HOUR_NS
        self.clock.set_ns = end
        changes = self._act(start)
        outcomes = self._outcomes(start)
        stop = self.traffic.since(end)
        letters: list[DeadLetter] = []
        entries: list[tuple[DecisionBatch, int, Float | None]] = []
        schema = self.acting.reads(self.loop) or self.drill.schema
        for arrived in self._arriving.between(self._row, stop, end, schema):
            entries += self._decide(arrived, letters)
        letters += [letter_of(one) for one in self._arriving.unknown(self._row, stop, end)]
        self._row, self.now_ns = stop, end
        log = tuple(entry for entry in self.log if start <= entry.at_ns < end)
        return Hour(
            start, end, outcomes, changes, tuple(e[0] for e in entries), tuple(e[1] for e in entries),
            tuple(e[2] for e in entries), letters, log,
        )  # fmt: skip

    def _act(self, start: int) -> tuple[Change, ...]:
        changes = self.acting.until(start, self.loop, self.served, self._recent_risks)
        self.served.away = self.acting.away(start, self.seed)
        self.journal.taken.clear()
        return changes

    def _recent_risks(self) -> Float:
        """The risks of the last week."""
        rows = slice(self.traffic.since(self.now_ns - 7 * 24 * HOUR_NS), self._row)
        risk = self.risk[rows]
        return risk[~np.isnan(risk)]

    def _decide(self, arrived: Arrived, letters: list[DeadLetter]) -> list[tuple[DecisionBatch, int, Float | None]]:
        """Decide what came together; its decisions are cut by the time of arrival."""
        schema, events, now_ns = self.drill.schema, arrived.events, arrived.now_ns
        self.clock.set_ns = now_ns
        letters += arrived.letters
        if not len(events):
            return []
        decided = self.loop.decide(admitted(events, now_ns, schema.skew_ns, schema.ahead_max_ns))
        letters += [DeadLetter(0, "", events.id_text(row), why.value) for row, why in decided.refused.items()]
        self.journal.taken.clear()
        fresh = decided.fresh
        if fresh is None:
            return []
        rows = arrived.rows[decided.row >= 0]
        self._remember(rows, fresh)
        return self._pieces(fresh, rows)

    def _remember(self, rows: Int, fresh: DecisionBatch) -> None:
        """Know of each decided row what its outcome needs."""
        self.visible[rows] = ~self._censoring[fresh.ruling.action]
        self.risk[rows] = fresh.fused.risk
        self.time_ns[rows] = fresh.events.time_ns
        self.keys[rows], self.checks[rows] = fresh.events.keys, fresh.events.key_checks

    def _pieces(self, fresh: DecisionBatch, rows: Int) -> list[tuple[DecisionBatch, int, Float | None]]:
        arrived = self.traffic.arrived_ns[rows]
        span = HOUR_NS // PIECES
        ends = (arrived // span + 1) * span
        edges = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(rows)]
        computed = None if self.served.computed is None else self.served.computed.values[-len(rows) :]
        found = []
        for a, b in pairwise(edges):
            if b > a:
                at = slice(a, b)
                took = self.acting.took_us(int(ends[a]), self.seed, _TYPICAL_US * self._left) * (b - a)
                part = replace(decisions_at(fresh, at), took_us=took)
                found.append((part, int(ends[a]), None if computed is None else computed[at]))
        return found

    @property
    def _left(self) -> float:
        """The share of a decision's time that is left: scorers that are left out take none."""
        panel = self.loop.stages.panel
        return 1.0 - _SCORING * len(panel.shed) / max(1, len(panel.seats))

    def _outcomes(self, start: int) -> OutcomeBatch | None:
        """Deliver what became known in the hour before."""
        a, b = np.searchsorted(self._known, [start - HOUR_NS + 1, start + 1])
        rows = self._by_known[a:b]
        rows = rows[self.visible[rows] == 1]
        if not len(rows):
            return None
        traffic = self.traffic
        made = OutcomeBatch(
            traffic.id[rows], traffic.reported[rows].astype(np.float64), traffic.known_ns[rows],
            np.full(len(rows), np.nan), time_ns=self.time_ns[rows], keys=self.keys[rows],
            key_checks=self.checks[rows], entities=self.drill.prepared.words.entities,
        )  # fmt: skip
        self.loop.learn(made)
        self.journal.taken.clear()
        return made

    @property
    def row(self) -> int:
        """The first row of the traffic that has not come yet."""
        return self._row

    def kept(self) -> Kept:
        """All that another run of the same seed needs to go on from here."""
        done = slice(0, self._row)
        return Kept(
            self.now_ns, self._row, self.loop.state(), self.visible[done].copy(), self.risk[done].copy(),
            self.time_ns[done].copy(), self.keys[done].copy(), self.checks[done].copy(),
        )  # fmt: skip

    def resume(self, kept: Kept) -> None:
        """Go on where another run of the same seed stood; both have the same traffic up to there."""
        assert self.traffic.since(kept.now_ns) == kept.row, "the traffic differs before the fork"
        self.loop.restore(kept.state)
        done = slice(0, kept.row)
        self.visible[done], self.risk[done], self.time_ns[done] = kept.visible, kept.risk, kept.time_ns
        self.keys[done], self.checks[done] = kept.keys, kept.checks
        self.now_ns, self._row = kept.now_ns, kept.row


@dataclass(frozen=True, slots=True)
class Kept:
    """A seed's quiet world at an hour, see `Deciding`."""

    now_ns: int
    row: int
    state: State
    visible: Bytes
    risk: Float
    time_ns: Int
    keys: Int
    checks: Int


def quiet_traffic(drill: DrillApp, frame: Frame, seed: int) -> Traffic:
    """The quiet traffic of a seed; where nothing but a declaration is known, labels follow the app's own risks."""
    traffic = drill.world(drill.form, frame, seed)
    if not drill.by_risk:
        return traffic
    deciding = Deciding(drill, traffic, frame, seed)
    deciding.warm()
    while deciding.now_ns < frame.end_ns:
        deciding.hour()
    return labels_by_risk(traffic, drill.form, deciding.risk, seed)


def bodies(app: str | DrillApp, scenario: str, seed: int, days: int = 30, past_days: int = 28) -> Iterator[Hour]:
    """The entries of a journal in a run and in the quiet past before it, hour by hour."""
    drill = app if isinstance(app, DrillApp) else DrillApp(app)
    frame = frame_of(days, past_days)
    laid = lay_out(run_of(scenario, seed, frame), quiet_traffic(drill, frame, seed), drill.form)
    deciding = Deciding(drill, laid.traffic, frame, seed, laid)
    deciding.warm()
    while deciding.now_ns < frame.end_ns:
        yield deciding.hour()
