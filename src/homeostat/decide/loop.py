"""The decision loop: the stages called in order. Start reading at `DecisionLoop.run`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from homeostat.decide.admission import Admission, admit, overlaps
from homeostat.decide.arrivals import Arrivals
from homeostat.decide.contracts import Fusion, Policy, Stateful
from homeostat.decide.decided import Decided, compared, without
from homeostat.decide.due import DueWork
from homeostat.decide.meters import Meters
from homeostat.decide.panel import Panel
from homeostat.decide.proposing import Proposing
from homeostat.decide.recording import Recording
from homeostat.decide.stages import Limits, Stages, in_proportion
from homeostat.decide.teaching import Teaching
from homeostat.errors import HomeostatError
from homeostat.ports import Clock, Journal
from homeostat.records.arrays import Bytes, Float, Int, Mask, State
from homeostat.records.decisions import DecisionBatch, Scores
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features
from homeostat.records.identity import Ids, is_hashed
from homeostat.records.reasons import Fallback, Reason
from homeostat.records.rows import decisions_at, joined, pick, rows_of, scores_at

T = TypeVar("T")
_MANY_ROWS = 256  # Outcomes due in one batch, from which on the windows take in those before its first event by itself.
_SLICE_ROWS = 4096  # And so many at once.


@dataclass(frozen=True, slots=True)
class Recorded:
    """Decisions of the journal that are done again, in the columns and numbers of the present app.

    sequence : of the entry
    stands : they stand as they were made, because another version made them
    """

    sequence: int
    decisions: DecisionBatch
    stands: bool


class Stopped(HomeostatError, RuntimeError):
    """The loop broke off inside a batch: what its stages remember no longer fits the journal."""

    why = "an error inside a batch left the windows half updated"
    remedy = "Open the engine again: it recovers from its journal"


class DecisionLoop:
    """Loop 1 of one app. Not for several threads at once.

    journal : what `decide` returned is in it
    clock : times the stages; also bounds them where `limits` says so
    on_error : is given the name of a part that failed, and the exception
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
        self.clock = clock
        self.meters = Meters(len(stages.actions), clock)
        self.counts: dict[str, int] = dict.fromkeys(
            ("events", "repeated", "differing", "late", "refused", "outcomes", "unknown_outcomes", "failed_learning"), 0
        )
        self.fallbacks: dict[Reason, int] = {}
        self._limits = limits or Limits()
        self._on_error = on_error
        self.recording = Recording(journal, self.meters, self.fallbacks)
        self.teaching = Teaching(self._limits, self._tell)
        self._proposing = Proposing(clock, self._limits, self._tell)
        self._due = DueWork(self.meters)
        self._arrivals = Arrivals(
            stages.joiner, journal, stages.watermark.lateness_ns, stages.coding, stages.words.entities
        )
        self._stopped = False

    # Events and outcomes come in.

    def decide(self, events: EventBatch) -> Decided:
        """Decide `n` events; each id once.

        Raises Unavailable, and shows nothing, if the journal can't be written. Then the decisions are kept, and written
        before anything else is done: who asks again gets them, and no other.
        """
        self.flush()
        seen = self.recording.seen(events.ids)
        rows = admit(events, seen, self.stages.watermark, self._limits.reject_late)
        earlier = {}
        if np.count_nonzero(seen):
            known = np.flatnonzero(seen)
            earlier = dict(zip(known.tolist(), self.recording.earlier(events.ids[known]), strict=True))
        fresh = pick(events, rows.new)
        decisions = None
        if len(fresh):
            decisions = self.whole(self.run, fresh)
            self.recording.keep(decisions)
        self.counts["repeated"] += len(earlier) + int(np.count_nonzero(rows.again))
        self.counts["refused"] += int(np.count_nonzero(rows.refused))
        decided = _answered(rows, decisions, *_by_text(events, earlier))
        theirs = self.flush()
        if theirs is not None:
            decided = without(decided, theirs, self.recording.earlier)
        decided = compared(decided, events, self.stages.words)
        self.counts["differing"] += len(decided.differing)
        return decided

    def learn(self, outcomes: OutcomeBatch) -> None:
        """Take outcomes in. They count for every event decided from now on, or from their moment on if scheduled.

        Raises Unavailable, having taken none in, if the journal can't be written.
        """
        self.flush()
        wanted = outcomes if outcomes.scheduled else self._arrivals.located(outcomes)
        if wanted.keys is not None and wanted.entities != self.stages.words.entities:
            wanted = replace(wanted, entities=self.stages.words.entities)
        if len(wanted):
            self.recording.append(wanted)
            self.whole(self._arrivals.add, wanted)
        self.counts["outcomes"] += len(outcomes)
        self.counts["unknown_outcomes"] = self._arrivals.unknown

    def expect(self, outcomes: OutcomeBatch) -> None:
        """Like `learn`, for outcomes that come along with a recorded stream, and so need no record of their own."""
        self.remember(outcomes)
        self.counts["outcomes"] += len(outcomes)

    def remember(self, outcomes: OutcomeBatch) -> None:
        """Like `learn`, for outcomes that are in the journal already."""
        self._arrivals.add(outcomes)

    def absorb(self, events: EventBatch) -> Features:
        """Let events fill the windows without deciding them; returns their features, from which models are made."""
        self.flush()
        return self.whole(self._absorb, events)

    def flush(self) -> Mask | None:
        """Write the decisions that a failing journal has left; see `Recording.flush`. Raises Stopped, Unavailable."""
        if self._stopped:
            raise Stopped("the loop broke off inside a batch: start it again from its snapshot and journal")
        return self.recording.flush()

    # The stages, in order.

    def run(self, events: EventBatch, recorded: Recorded | None = None) -> DecisionBatch:
        """Decide new events; nothing is written.

        recorded : the decisions as they were made, where these are made again
        """
        begun_ns, self._due.spent_ns = self.clock.monotonic_ns(), 0
        running = self.stages.watermark.advance(events.reach)
        events = self.stages.watermark.mark_late(events, running)
        features = self._featurize(events, running)
        if features.fallback:  # Time lost waiting for a store that is away says nothing against scorers and policy.
            self._due.spent_ns = self.clock.monotonic_ns() - begun_ns
        if recorded is None:
            with self.meters.timed("scorers"):
                scores = self.stages.panel.score(features)
        else:  # Scorers remember nothing, so what they said once need not be asked again.
            was = recorded.decisions.scores
            scores = Scores(was.names, was.values.copy(), was.confidence.copy(), was.fallback)
        return self._scored(events, running, features, scores, begun_ns, recorded)

    def _featurize(self, events: EventBatch, running: Int) -> Features:
        """The events' features; outcomes whose moment has come reach the windows at their places among the events."""
        operations = events
        if self._arrivals.any:
            with self._due.timed("learning"):
                operations = self._arrivals.among(events, running)
            if len(operations) - len(events) >= _MANY_ROWS:
                with self._due.timed("windows"):
                    operations = self._caught_up(operations)
        with self.meters.timed("windows"):
            features = self.stages.featurizer.features(operations)
        if len(operations) == len(events):
            return features
        rows = operations.kind != Row.OUTCOME
        return features.rows(rows)

    def _caught_up(self, operations: EventBatch) -> EventBatch:
        """The rest, once the windows have taken in the outcomes before the first event.

        Rows are the same however they are batched, so these may go first, in slices, and be no part of a decision.
        """
        first = int(np.argmax(operations.kind != Row.OUTCOME))
        for start in range(0, first, _SLICE_ROWS):
            self.stages.featurizer.features(operations.slice(start, min(start + _SLICE_ROWS, first)))
        return operations.slice(first, len(operations)) if first else operations

    def _scored(
        self,
        events: EventBatch,
        running: Int,
        features: Features,
        scores: Scores,
        begun_ns: int,
        recorded: Recorded | None = None,
    ) -> DecisionBatch:
        """The stages after the scorers."""
        draw = self.stages.chance if recorded is None else self.stages.chance_in(recorded.sequence)
        chance = draw(events.ids)
        parts = [
            self._conclude(events, features, scores, begun_ns, chance, slice(start, stop), moment, recorded)
            for start, stop, moment in self.stages.schedule.cuts(running)
        ]
        decisions = joined(parts, events, features, scores)
        self._arrivals.deliver(len(events))
        if recorded is None:
            self._count(decisions)
        return decisions

    def _conclude(
        self,
        events: EventBatch,
        features: Features,
        scores: Scores,
        begun_ns: int,
        chance: Float,
        rows: slice,
        moment: int | None,
        recorded: Recorded | None,
    ) -> DecisionBatch:
        """Fusion, policy and guards of one slice, after learning what was known at its `moment`."""
        stages = self.stages
        if self._arrivals.due:
            with self._due.timed("learning"):
                self._arrivals.deliver(rows.start)
        if moment is not None:
            with self._due.timed("learning"):
                self.teaching.learn_until(stages, moment)
            self.counts["failed_learning"] = self.teaching.failed
        if rows.stop - rows.start != len(events):
            events, features = events.slice(rows.start, rows.stop), features.slice(rows.start, rows.stop)
            scores = scores_at(scores, rows)
            chance = chance[rows]
        was = None if recorded is None else rows_of(recorded.decisions, rows.start, rows.stop)
        if recorded is not None and recorded.stands and was is not None:
            return self._follow(events, features, was, chance)
        with self.meters.timed("fusion"):
            fused = stages.fusion.fuse(scores)
        with self.meters.timed("policy"):
            before = None if was is None else was.proposal
            proposal = self._proposing.propose(stages, fused, events, features, chance, before)
        fallback = scores.fallback | proposal.fallback | self._overdue(len(events), begun_ns, was)
        if features.fallback:
            fallback = fallback | np.uint8(features.fallback)
        with self.meters.timed("guards"):
            ruling = stages.guard.rule(events, features, scores, fused, proposal, fallback.astype(np.int64))
        took_us = (self.clock.monotonic_ns() - begun_ns) / 1e3
        part = DecisionBatch(
            events, features, scores, fused, proposal, ruling, fallback, stages.version, took_us, stages.words
        )
        if stages.joiner is not None:
            with self._due.timed("learning"):
                stages.joiner.remember(part)
        return part

    def _overdue(self, n: int, begun_ns: int, was: DecisionBatch | None) -> Bytes:
        """(n,) the DEADLINE bit where scorers and policy have used up the decision's budget.

        Work that happened to be due at this event (joining, learning) is not charged to it: it must come before the
        event, wherever that is in a batch, but none of it is the event's own.
        """
        if was is not None:
            return was.fallback & np.uint8(Fallback.DEADLINE)
        limit_ns = in_proportion(self._limits.decision_ns, n, self._limits.rows)
        late = limit_ns is not None and self.clock.monotonic_ns() - begun_ns - self._due.spent_ns > limit_ns
        overdue = np.zeros(n, np.uint8)
        if late:
            overdue[:] = Fallback.DEADLINE
        return overdue

    def _follow(self, events: EventBatch, features: Features, was: DecisionBatch, chance: Float) -> DecisionBatch:
        """Take over decisions that another version made, so that policy, guards and learners know of them."""
        with suppress(Exception):  # What it explores is charged as if it had decided; a plug-in may raise anything.
            self.stages.policy.propose(was.fused, events, features, chance)
        self.stages.guard.follow(events, was.ruling.action)
        if self.stages.joiner is not None:
            made, here = replace(was, events=events, features=features), was.ruling.action >= 0
            # An action that is no more teaches nothing about those that there are.
            self.stages.joiner.remember(made if here.all() else decisions_at(made, here))
        return was

    def _absorb(self, events: EventBatch) -> Features:
        running = self.stages.watermark.advance(events.reach)
        features = self._featurize(self.stages.watermark.mark_late(events, running), running)
        self._arrivals.deliver(len(events))
        return features

    # Batches whose windows and scorers ran ahead, in threads of their own.

    def all_new(self, events: EventBatch, in_flight: Sequence[Ids]) -> bool:
        """Whether a batch may be decided ahead: no row repeats an event, and no outcome waits among them."""
        self.flush()
        if self._limits.reject_late or self._arrivals.any or len(events) == 0:
            return False
        seen = self.recording.seen(events.ids)
        rows = admit(events, seen, self.stages.watermark, reject_late=False)
        return bool(rows.new.all()) and not overlaps(events.ids, in_flight)

    def land(self, events: EventBatch, running: Int, features: Features, scores: Scores, begun_ns: int) -> Decided:
        """Decide a batch of new events that has been scored ahead."""
        self.flush()
        self._due.spent_ns = 0
        decisions = self.whole(self._scored, events, running, features, scores, begun_ns)
        self.recording.keep(decisions)
        self.flush()
        return Decided(decisions, np.arange(len(events)))

    # What surrounds the stages.

    def whole(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call what moves the stages' memories; if it breaks off half-way, nothing more is decided on top of that."""
        self._stopped = True
        result = call(*arguments)
        self._stopped = False
        return result

    @property
    def stopped(self) -> bool:
        """Whether it broke off inside a batch, so that nothing more is decided until it has begun again."""
        return self._stopped

    def install(self, panel: Panel, fusion: Fusion, policy: Policy, version: str) -> None:
        """Let newly trained parts decide from the next event on; what the windows and guards remember stays."""
        self.stages.panel.close()
        self.stages.panel, self.stages.fusion, self.stages.policy = panel, fusion, policy
        self.stages.version = version

    def blank(self) -> DecisionLoop:
        """A loop of the same stages, in which no outcome waits."""
        return DecisionLoop(self.stages, self.recording.journal, self.clock, self._limits, self._on_error)

    def begin_again(self, fresh: DecisionLoop) -> None:
        """Continue after a batch that broke off: with all that another loop of the same app remembers.

        fresh : it has come to where the journal ends, and decides nothing itself
        """
        if fresh.stages is not self.stages:
            self.stages.panel.close()
        self.stages, self._arrivals = fresh.stages, fresh._arrivals
        self.recording.keep(None)
        self._stopped = False

    def close(self) -> None:
        """Let go of the scorers' threads."""
        self.stages.panel.close()

    # Figures and troubles.

    def _count(self, decisions: DecisionBatch) -> None:
        self.meters.decided(decisions)
        self.counts["events"] += len(decisions)
        self.counts["unknown_outcomes"] = self._arrivals.unknown
        if np.count_nonzero(decisions.events.kind):
            self.counts["late"] += int(np.count_nonzero(decisions.events.kind == Row.LATE_EVENT))
        if np.count_nonzero(decisions.fallback):
            for bit, reason in Fallback.NAMES.items():
                hit = int((decisions.fallback & bit != 0).sum())
                self.fallbacks[reason] = self.fallbacks.get(reason, 0) + hit

    def _tell(self, part: str, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(part, error)

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent so far, by stage."""
        return {stage: times.total_ns / 1e9 for stage, times in self.meters.stages.items()}

    def troubles(self) -> dict[str, dict[str, Any]]:
        """What failed so far, by part: scorers with their failures by cause and why they are out, learners by step."""
        return {"scorers": self.stages.panel.troubles(), "learning": self.teaching.troubles()}

    def notes(self) -> list[str]:
        """What it decides without at present, and which learner fails: a sentence each."""
        left_out = [f"decides without the scorer {name}: {why}" for name, why in self.stages.panel.out().items()]
        return left_out + self.teaching.notes()

    # What outlives the process.

    def state(self) -> State:
        """Everything that the past left behind, as flat arrays.

        Raises Unavailable while decisions wait to be written: a state must not know more than the journal.
        """
        self.flush()
        return {f"{name}/{key}": value for name, part in self._parts() for key, value in part.state().items()}

    def restore(self, state: State, only: Collection[str] | None = None) -> None:
        """Continue from a state, bit for bit; with `only`, just these parts do."""
        for name, part in self._parts():
            if only is not None and name not in only:
                continue
            own = {key[len(name) + 1 :]: value for key, value in state.items() if key.startswith(f"{name}/")}
            part.restore(own)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what remembers."""
        return tuple(name for name, _ in self._parts())

    def _parts(self) -> list[tuple[str, Stateful]]:
        stages = self.stages
        parts: list[tuple[str, Stateful]] = [
            ("windows", stages.featurizer), ("fusion", stages.fusion), ("policy", stages.policy),
            ("guards", stages.guard), ("schedule", stages.schedule), ("watermark", stages.watermark),
            ("waiting", self._arrivals),
        ]  # fmt: skip
        return parts if stages.joiner is None else [*parts, ("joiner", stages.joiner)]


def _by_text(
    events: EventBatch, earlier: dict[int, tuple[DecisionBatch, int]]
) -> tuple[dict[int, tuple[DecisionBatch, int]], dict[int, Reason]]:
    """What was found under the events' ids, parted into what is theirs and what is of another text of the same hash."""
    if not earlier:
        return {}, {}
    others = {
        k: Reason.AMBIGUOUS
        for k, (batch, row) in earlier.items()
        if is_hashed(events.id_code.item(k)) and batch.events.id_text(row) != events.id_text(k)
    }
    return {k: found for k, found in earlier.items() if k not in others}, others


def _answered(
    rows: Admission,
    decisions: DecisionBatch | None,
    earlier: dict[int, tuple[DecisionBatch, int]],
    others: dict[int, Reason],
) -> Decided:
    """What became of each row of a batch whose new rows are `decisions`."""
    if np.count_nonzero(rows.new) == len(rows.new):
        return Decided(decisions, np.arange(len(rows.new)))
    row = np.where(rows.new, np.cumsum(rows.new) - 1, -1)
    repeated = dict(earlier)
    if decisions is not None:
        repeated |= {k: (decisions, int(row[rows.first[k]])) for k in np.flatnonzero(rows.again).tolist()}
    refused = {**dict.fromkeys(np.flatnonzero(rows.refused).tolist(), Reason.TOO_LATE), **others}
    row[list(refused)] = -2
    return Decided(decisions, row, repeated, refused)
