"""The decision loop: the stages called in order. Start reading at `DecisionLoop._run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.admission import Watermark, first_rows
from homeostat.decide.contracts import Featurizer, Fusion, Guard, Joiner, Policy, Stateful
from homeostat.decide.learning.schedule import Schedule
from homeostat.decide.panel import Panel
from homeostat.decide.splice import joined, outcome_rows, pick, pick_outcomes, splice
from homeostat.decide.waiting import Waiting
from homeostat.ports import Clock, Entry, Journal
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Scores
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback, Reason

T = TypeVar("T")


class Chance(Protocol):
    """(n, 2) numbers uniform in [0, 1), a function of the event ids alone."""

    def __call__(self, id_code: Int) -> Float: ...


@dataclass(slots=True)
class Stages:
    """The concrete stages of one app, in order.

    thresholds : what proposes where the policy fails; None declares that the guard decides
    joiner : remembers decisions until their outcomes come; None where nobody learns and no outcome is expected
    """

    featurizer: Featurizer
    panel: Panel
    fusion: Fusion
    policy: Policy
    thresholds: Policy | None
    guard: Guard
    joiner: Joiner | None
    schedule: Schedule
    watermark: Watermark
    chance: Chance
    actions: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Wall-clock budgets, in nanoseconds; None waits for ever. Replay has none."""

    decision_ns: int | None = None
    policy_ns: int | None = None
    reject_late: bool = False
    learn_fusion: bool = True
    learn_policy: bool = True


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a batch.

    fresh : the new decisions, None if there were none
    row : (n,) for each event its row in `fresh`; -1 where it repeats an earlier event, -2 where it was refused
    repeated : for each -1, the earlier decision as its batch and row
    refused : for each -2, why
    """

    fresh: DecisionBatch | None
    row: Int
    repeated: dict[int, tuple[DecisionBatch, int]] = field(default_factory=dict)
    refused: dict[int, Reason] = field(default_factory=dict)


class DecisionLoop:
    """Loop 1 of one app. Not for several threads at once.

    journal : what `decide` returned is in it
    clock : times the stages; also bounds them where `limits` says so
    """

    def __init__(
        self,
        stages: Stages,
        journal: Journal,
        clock: Clock,
        limits: Limits | None = None,
        on_error: Callable[[str, Exception], None] | None = None,
    ) -> None:
        self.stages = stages
        self.seconds: dict[str, float] = dict.fromkeys(
            ("windows", "scorers", "fusion", "policy", "guards", "journal", "learning"), 0.0
        )
        self.counts: dict[str, int] = dict.fromkeys(("events", "repeated", "late", "outcomes", "unknown_outcomes"), 0)
        self.fallbacks: dict[Reason, int] = {}
        self._journal = journal
        self._clock = clock
        self._limits = limits or Limits()
        self._on_error = on_error
        self._outcomes: list[OutcomeBatch] = []  # Journalled, and applied when their moment comes.
        self._arrived: list[tuple[Int, OutcomeBatch]] = []  # Applied to the windows in this batch: before which row.
        self._unwritten: DecisionBatch | None = None  # Made, but not shown to anyone yet: the journal failed.

    def decide(self, events: EventBatch) -> Decided:
        """Decide `n` events; each id once. Raises Unavailable, and shows nothing, if the journal can't be written."""
        self._write_unwritten()
        fresh, decided = self._admit(events)
        if len(fresh) == 0:
            return decided
        decisions = self._run(fresh)
        self._unwritten = decisions
        self._write_unwritten()
        return replace(decided, fresh=decisions)

    def learn(self, outcomes: OutcomeBatch) -> None:
        """Take outcomes in; they count for every event decided from now on (or from their `position` on)."""
        self._write_unwritten()
        self._timed("journal", self._journal.append, outcomes)
        self._outcomes.append(outcomes)
        self.counts["outcomes"] += len(outcomes)

    def absorb(self, events: EventBatch) -> Features:
        """Let events fill the windows without deciding them; returns their features, from which models are made."""
        operations = self._operations(events, self.stages.watermark.advance(events.time_ns))
        return self._featurize(operations)

    def recover(self, entries: Iterable[Entry]) -> int:
        """Do again what the journal says was done since the state was saved; returns the last sequence number.

        What the clock decided then (a late scorer, say) is taken from the record, not decided anew.
        """
        sequence = 0
        for entry in entries:
            if isinstance(entry.body, OutcomeBatch):
                self._outcomes.append(entry.body)
            else:
                again = self._run(entry.body.events, entry.body)
                same = np.array_equal(again.ruling.action, entry.body.ruling.action)
                assert same, f"journal entry {entry.sequence} replays to other decisions: was the app file changed?"
            sequence = entry.sequence
        return sequence

    # The stages, in order.

    def _run(self, events: EventBatch, recorded: DecisionBatch | None = None) -> DecisionBatch:
        begun_ns = self._clock.monotonic_ns()
        running = self.stages.watermark.advance(events.time_ns)
        operations = self._operations(events, running)
        features = self._featurize(operations)
        events = pick(operations, operations.kind != Row.OUTCOME)
        missing = None if recorded is None else np.isnan(recorded.scores.values).all(axis=0).tolist()
        scores = self._timed("scorers", self.stages.panel.score, features, missing)
        chance = self.stages.chance(events.id_code)
        spent = self._overdue(begun_ns, scores.fallback, recorded)
        parts = [
            self._conclude(events, features, scores, spent, chance, slice(start, stop), moment, recorded)
            for start, stop, moment in self.stages.schedule.cuts(running)
        ]
        took_us = (self._clock.monotonic_ns() - begun_ns) / 1e3
        decisions = joined(parts, events, features, scores, took_us)
        self._deliver(len(events))
        self._count(decisions)
        return decisions

    def _conclude(
        self,
        events: EventBatch,
        features: Features,
        scores: Scores,
        spent: Bytes,
        chance: Float,
        rows: slice,
        moment: int | None,
        recorded: DecisionBatch | None,
    ) -> DecisionBatch:
        """Fusion, policy and guards of one slice, after learning what was known at its `moment`."""
        self._deliver(rows.start)
        if moment is not None:
            self._timed("learning", self._learn_until, moment)
        whole = rows.stop - rows.start == len(events)
        if not whole:
            events, features = events.slice(rows.start, rows.stop), features.slice(rows.start, rows.stop)
            scores = Scores(scores.names, scores.values[rows], scores.confidence[rows], scores.fallback[rows])
        fused = self._timed("fusion", self.stages.fusion.fuse, scores)
        was = None if recorded is None else int(np.bitwise_or.reduce(recorded.proposal.fallback[rows]))
        proposal = self._timed("policy", self._propose, fused, events, features, chance[rows], was)
        fallback = scores.fallback | proposal.fallback | spent[rows]
        ruling = self._timed(
            "guards", self.stages.guard.rule, events, features, scores, fused, proposal, fallback.astype(np.int64)
        )
        part = DecisionBatch(events, features, scores, fused, proposal, ruling, fallback, self.stages.version, 0.0)
        if self.stages.joiner is not None:
            self._timed("learning", self.stages.joiner.remember, part)
        return part

    def _propose(
        self, fused: Fused, events: EventBatch, features: Features, chance: Float, recorded: int | None
    ) -> Proposal:
        """The policy's proposal, or that of the thresholds where it fails or is late."""
        bit = 0 if recorded is None else recorded & (Fallback.POLICY_FAILED | Fallback.POLICY_LATE)
        if bit == 0:
            begun_ns = self._clock.monotonic_ns()
            try:
                proposal = self.stages.policy.propose(fused, events, features, chance)
            except Exception as error:  # A policy may be a plug-in: whatever it raises, the decision goes on.
                bit = Fallback.POLICY_FAILED
                if self._on_error is not None:
                    self._on_error("policy", error)
            else:
                limit_ns = self._limits.policy_ns
                late = limit_ns is not None and self._clock.monotonic_ns() - begun_ns > limit_ns
                if recorded is not None or not late:
                    return proposal
                bit = Fallback.POLICY_LATE
        return self._by_thresholds(fused, events, features, chance, bit)

    def _by_thresholds(self, fused: Fused, events: EventBatch, features: Features, chance: Float, bit: int) -> Proposal:
        n = len(events)
        flagged = np.full(n, bit, np.uint8)
        if self.stages.thresholds is not None:
            return replace(self.stages.thresholds.propose(fused, events, features, chance), fallback=flagged)
        propensity = np.zeros((n, len(self.stages.actions)))
        propensity[:, 0] = 1.0
        return Proposal(np.zeros(n, np.int16), propensity, np.zeros(n, np.uint8), flagged)

    # What surrounds the stages.

    def _admit(self, events: EventBatch) -> tuple[EventBatch, Decided]:
        """Part the new events from those that were decided before and those that come too late."""
        n = len(events)
        first = first_rows(events.id_code)
        again = first != np.arange(n)
        seen = self._journal.seen(events.id_code)
        refused = np.zeros(n, bool)
        if self._limits.reject_late:
            refused = self.stages.watermark.late(events.time_ns) & ~seen & ~again
        if not (again.any() or seen.any() or refused.any()):
            return events, Decided(None, np.arange(n))
        fresh = ~(again | seen | refused)
        row = np.where(fresh, np.cumsum(fresh) - 1, -1)
        row = np.where(again & ~seen, row[first], row)
        row[refused | refused[first]] = -2
        repeated = {int(k): self._earlier(int(events.id_code[k])) for k in np.flatnonzero(row == -1)}
        self.counts["repeated"] += int((again | seen).sum())
        reasons = {int(k): Reason.TOO_LATE for k in np.flatnonzero(row == -2)}
        return pick(events, fresh), Decided(None, row, repeated, reasons)

    def _earlier(self, id_code: int) -> tuple[DecisionBatch, int]:
        found = self._journal.find(id_code)
        assert found is not None, f"the journal has seen event {id_code} but can't find it"
        return found

    def _operations(self, events: EventBatch, running: Int) -> EventBatch:
        """The events with late ones marked, and the outcomes whose moment has come at their places among them."""
        events = self.stages.watermark.mark_late(events, running)
        self._arrived = []
        if not self._outcomes:
            return events
        waiting, operations = [], events
        for outcomes in self._outcomes:
            position = np.zeros(len(outcomes), np.int64)
            if outcomes.scheduled:
                position = np.searchsorted(running, outcomes.known_ns)
            now = position < len(events)
            if not now.all():
                waiting.append(pick_outcomes(outcomes, ~now))
            if now.any():
                self._arrived.append((position[now], pick_outcomes(outcomes, now)))
        self._outcomes = waiting
        if self._arrived:
            rows, position = self._locate(events)
            operations = splice(events, rows, position)
        return operations

    def _locate(self, events: EventBatch) -> tuple[EventBatch, Int]:
        """The arrived outcomes as rows, and their positions; those of events never decided are counted and left out."""
        position = np.concatenate([place for place, _ in self._arrived])
        id_code = np.concatenate([outcomes.id_code for _, outcomes in self._arrived])
        label = np.concatenate([outcomes.label for _, outcomes in self._arrived])
        found, time_ns, keys = self._among(events, id_code)
        self._as_told(found, time_ns, keys)
        if self.stages.joiner is not None and not found.all():
            joined, joined_ns, joined_keys = self.stages.joiner.locate(id_code)
            fill = ~found & joined.astype(bool)
            time_ns[fill], keys[fill], found = joined_ns[fill], joined_keys[fill], found | fill
        for k in np.flatnonzero(~found).tolist():
            earlier = self._journal.find(int(id_code[k]))
            if earlier is not None:
                batch, row = earlier
                time_ns[k], keys[k], found[k] = batch.events.time_ns[row], batch.events.keys[row], True
        self.counts["unknown_outcomes"] += int((~found).sum())
        rows = outcome_rows(id_code[found], time_ns[found], keys[found], label[found], events.numbers.shape[1])
        return rows, position[found]

    def _as_told(self, found: NDArray[np.bool_], time_ns: Int, keys: Int) -> None:
        """Fill in the places of outcomes that came with them."""
        start = 0
        for _, outcomes in self._arrived:
            stop = start + len(outcomes)
            if outcomes.time_ns is not None and outcomes.keys is not None:
                found[start:stop], time_ns[start:stop], keys[start:stop] = True, outcomes.time_ns, outcomes.keys
            start = stop

    @staticmethod
    def _among(events: EventBatch, id_code: Int) -> tuple[NDArray[np.bool_], Int, Int]:
        """Whether, when and of whom each id is in the batch itself: an outcome may come soon after its event."""
        order = np.argsort(events.id_code, kind="stable")
        place = np.searchsorted(events.id_code, id_code, sorter=order)
        row = order[np.minimum(place, len(order) - 1)]
        found = events.id_code[row] == id_code
        return found, np.where(found, events.time_ns[row], 0), events.keys[row].copy()

    def _deliver(self, before: int) -> None:
        """Hand the joiner the outcomes that arrived before row `before` of the batch."""
        later = []
        for position, outcomes in self._arrived:
            now = position <= before
            if self.stages.joiner is not None and now.any():
                self.stages.joiner.deliver(pick_outcomes(outcomes, now))
            if not now.all():
                later.append((position[~now], pick_outcomes(outcomes, ~now)))
        self._arrived = later

    def _featurize(self, operations: EventBatch) -> Features:
        features = self._timed("windows", self.stages.featurizer.features, operations)
        rows = operations.kind != Row.OUTCOME
        if rows.all():
            return features
        return Features(features.names, features.values[rows], features.freshness[rows])

    def _learn_until(self, moment_ns: int) -> None:
        joiner = self.stages.joiner
        if joiner is None:
            return
        experience = joiner.due(moment_ns)
        if len(experience) == 0:
            return
        if self._limits.learn_fusion:
            self.stages.fusion.learn(experience)
        if self._limits.learn_policy:
            self.stages.policy.learn(experience)

    def _overdue(self, begun_ns: int, fallback: Bytes, recorded: DecisionBatch | None) -> Bytes:
        """(n,) the DEADLINE bit where the scorers have used up the decision's budget."""
        if recorded is not None:
            return recorded.fallback & np.uint8(Fallback.DEADLINE)
        limit_ns = self._limits.decision_ns
        late = limit_ns is not None and self._clock.monotonic_ns() - begun_ns > limit_ns
        return np.full(len(fallback), Fallback.DEADLINE if late else 0, np.uint8)

    def _write_unwritten(self) -> None:
        if self._unwritten is not None:
            self._timed("journal", self._journal.append, self._unwritten)
            self._unwritten = None

    def _count(self, decisions: DecisionBatch) -> None:
        self.counts["events"] += len(decisions)
        self.counts["late"] += int((decisions.events.kind == Row.LATE_EVENT).sum())
        if decisions.fallback.any():
            for bit, reason in Fallback.NAMES.items():
                hit = int((decisions.fallback & bit != 0).sum())
                self.fallbacks[reason] = self.fallbacks.get(reason, 0) + hit

    def _timed(self, stage: str, call: Callable[..., T], *arguments: Any) -> T:
        begun_ns = self._clock.monotonic_ns()
        try:
            return call(*arguments)
        finally:
            self.seconds[stage] += (self._clock.monotonic_ns() - begun_ns) / 1e9

    # What outlives the process.

    def state(self) -> State:
        """Everything that the past left behind, as flat arrays."""
        waiting = [("waiting", Waiting(self._outcomes))]
        parts = [*self._parts(), *waiting]
        return {f"{name}/{key}": value for name, part in parts for key, value in part.state().items()}

    def restore(self, state: State) -> None:
        """Continue from a state, bit for bit."""
        for name, part in [*self._parts(), ("waiting", Waiting(self._outcomes))]:
            own = {key[len(name) + 1 :]: value for key, value in state.items() if key.startswith(f"{name}/")}
            part.restore(own)

    def _parts(self) -> list[tuple[str, Stateful]]:
        stages = self.stages
        parts: list[tuple[str, Stateful]] = [
            ("windows", stages.featurizer), ("fusion", stages.fusion), ("policy", stages.policy),
            ("guards", stages.guard), ("schedule", stages.schedule), ("watermark", stages.watermark),
        ]  # fmt: skip
        return parts if stages.joiner is None else [*parts, ("joiner", stages.joiner)]

    def close(self) -> None:
        """Let go of the scorers' threads."""
        self.stages.panel.close()
