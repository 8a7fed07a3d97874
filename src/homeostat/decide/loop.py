"""The decision loop: the stages called in order. Start reading at `DecisionLoop._run`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.admission import Admission, Watermark, admit, overlaps
from homeostat.decide.arrivals import Arrivals
from homeostat.decide.contracts import Featurizer, Fusion, Guard, Joiner, Policy, Stateful
from homeostat.decide.decided import Decided, compared, without
from homeostat.decide.learning.schedule import Schedule
from homeostat.decide.meters import Meters
from homeostat.decide.panel import Panel
from homeostat.decide.proposals import checked
from homeostat.decide.splice import joined, pick, pick_decisions
from homeostat.decide.what_if import WhatIf
from homeostat.ports import Clock, Entry, Journal, Unavailable
from homeostat.ports.shared import Repeated
from homeostat.records import codec
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.decisions import DecisionBatch, Experience, Fused, Proposal, Scores
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features
from homeostat.records.identity import Coding, Ids, is_hashed
from homeostat.records.meaning import Meaning
from homeostat.records.reasons import Fallback, Reason
from homeostat.records.renaming import decisions_as, outcomes_as
from homeostat.records.vocabulary import NAMELESS, Vocabulary

T = TypeVar("T")
_MANY_ROWS = 256  # Outcomes due in one batch, from which on the windows take in those before its first event by itself.
_SLICE_ROWS = 4096  # And so many at once.


class Chance(Protocol):
    """(n, 2) numbers uniform in [0, 1), a function of the event ids alone."""

    def __call__(self, ids: Ids) -> Float: ...


@dataclass(frozen=True, slots=True)
class Early:
    """What chance depended on up to an entry of the journal.

    until : that entry's sequence number
    """

    until: int
    chance: Chance


@dataclass(slots=True)
class Stages:
    """The concrete stages of one app, in order.

    thresholds : what proposes where the policy fails; None declares that the guard decides
    early : what chance depended on in the journal's first entries, where that has changed since
    coding : how the texts of ids and keys became codes
    joiner : remembers decisions until their outcomes come; None where nobody learns and no outcome is expected
    words : the names that decisions are made in
    meaning : what the state of each part means, by the part's name
    what_if : what explanations know of the features; without it each is a quantity by itself
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
    coding: Coding
    actions: tuple[str, ...]
    version: str
    words: Vocabulary = NAMELESS
    meaning: Mapping[str, Meaning] = field(default_factory=dict)
    what_if: WhatIf | None = None
    early: Early | None = None

    def chance_in(self, sequence: int) -> Chance:
        """What chance depended on in an entry of the journal."""
        return self.chance if self.early is None or sequence > self.early.until else self.early.chance


@dataclass(frozen=True, slots=True)
class Limits:
    """Wall-clock budgets, in nanoseconds; None waits for ever. Replay has none.

    rows : what a budget is for; a larger batch has in proportion more. None: one budget, however large the batch
    """

    decision_ns: int | None = None
    policy_ns: int | None = None
    rows: int | None = None
    reject_late: bool = False
    learn_fusion: bool = True
    learn_policy: bool = True


@dataclass(frozen=True, slots=True)
class LearningFailure:
    """How many of a learner's steps failed, and how the last of them did."""

    count: int
    last: str


def in_proportion(budget_ns: int | None, n: int, rows: int | None) -> int | None:
    """The budget of a batch of n rows, where one budget is for so many rows.

    >>> in_proportion(100, 64, 32), in_proportion(100, 5, 32), in_proportion(100, 64, None)
    (200, 100, 100)
    """
    return budget_ns if budget_ns is None or rows is None or n <= rows else budget_ns * n // rows


@dataclass(frozen=True, slots=True)
class Recorded:
    """Decisions of the journal that are done again, in the columns and numbers of the present app.

    sequence : of the entry
    stands : they stand as they were made, because another version made them
    """

    sequence: int
    decisions: DecisionBatch
    stands: bool


class Diverged(RuntimeError):
    """A journal entry, decided again by what decided it, comes out otherwise: a plug-in or the program was changed."""


class Stopped(RuntimeError):
    """The loop broke off inside a batch: what its stages remember no longer fits the journal."""


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
        self.meters = Meters(len(stages.actions), clock)
        self.counts: dict[str, int] = dict.fromkeys(
            ("events", "repeated", "differing", "late", "refused", "outcomes", "unknown_outcomes", "failed_learning"), 0
        )
        self.fallbacks: dict[Reason, int] = {}
        self.learning_failures: dict[str, LearningFailure] = {}
        self._journal = journal
        self.clock = clock
        self._limits = limits or Limits()
        self._on_error = on_error
        self._arrivals = Arrivals(
            stages.joiner, journal, stages.watermark.lateness_ns, stages.coding, stages.words.entities
        )
        self._unwritten: DecisionBatch | None = None  # Made, but not shown to anyone yet: the journal failed.
        self._stopped = False
        self._aside_ns = 0  # Time that this batch took for work that was due, and not for its own decisions.
        self.trouble = ""  # Why the journal can't be written, since an append failed and until one succeeds.

    @property
    def stopped(self) -> bool:
        """Whether it broke off inside a batch, so that nothing more is decided until it has begun again."""
        return self._stopped

    def decide(self, events: EventBatch) -> Decided:
        """Decide `n` events; each id once.

        Raises Unavailable, and shows nothing, if the journal can't be written. Then the decisions are kept, and written
        before anything else is done: who asks again gets them, and no other.
        """
        self.flush()
        seen = self.timed("journal", self._journal.seen, events.ids)
        rows = admit(events, seen, self.stages.watermark, self._limits.reject_late)
        earlier = {}
        if np.count_nonzero(seen):
            known = np.flatnonzero(seen)
            earlier = dict(zip(known.tolist(), self._earlier(events.ids[known]), strict=True))
        fresh = pick(events, rows.new)
        decisions = None
        if len(fresh):
            decisions = self._whole(self._run, fresh)
            self._unwritten = decisions
        self.counts["repeated"] += len(earlier) + int(np.count_nonzero(rows.again))
        self.counts["refused"] += int(np.count_nonzero(rows.refused))
        decided = _answered(rows, decisions, *_by_text(events, earlier))
        theirs = self.flush()
        if theirs is not None:
            decided = without(decided, theirs, self._earlier)
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
            self._append(wanted)
            self._whole(self._arrivals.add, wanted)
        self.counts["outcomes"] += len(outcomes)
        self.counts["unknown_outcomes"] = self._arrivals.unknown

    def expect(self, outcomes: OutcomeBatch) -> None:
        """Like `learn`, for outcomes that come along with a recorded stream, and so need no record of their own."""
        self._arrivals.add(outcomes)
        self.counts["outcomes"] += len(outcomes)

    def install(self, panel: Panel, fusion: Fusion, policy: Policy, version: str) -> None:
        """Let newly trained parts decide from the next event on; what the windows and guards remember stays."""
        self.stages.panel.close()
        self.stages.panel, self.stages.fusion, self.stages.policy = panel, fusion, policy
        self.stages.version = version

    def absorb(self, events: EventBatch) -> Features:
        """Let events fill the windows without deciding them; returns their features, from which models are made."""
        self.flush()
        return self._whole(self._absorb, events)

    def recover(self, entries: Iterable[Entry], stand: bool = False) -> int:
        """Do again what the journal says was done since the state was saved; returns the last sequence number.

        What hung on the clock or the world then (a late scorer, say) is taken from the record, not decided again; and
        decisions of another version, or of another program, stand as they were made. Recorded columns and numbers are
        found by the names that they had.

        stand : every decision stands as it was made
        Raises Diverged; renaming.Unnamed where an entry without names does not fit the app.
        """
        sequence = 0
        for entry in entries:
            sequence, body = entry.sequence, entry.body
            if isinstance(body, OutcomeBatch):
                self._arrivals.add(outcomes_as(body, self.stages.words.entities, self.stages.coding))
            elif len(body):
                self._redo(sequence, body, stand)
        return sequence

    def blank(self) -> DecisionLoop:
        """A loop of the same stages, in which no outcome waits."""
        return DecisionLoop(self.stages, self._journal, self.clock, self._limits, self._on_error)

    def begin_again(self, fresh: DecisionLoop) -> None:
        """Continue after a batch that broke off: with all that another loop of the same app remembers.

        fresh : it has come to where the journal ends, and decides nothing itself
        """
        if fresh.stages is not self.stages:
            self.stages.panel.close()
        self.stages, self._arrivals = fresh.stages, fresh._arrivals
        self._unwritten, self._stopped = None, False

    def _redo(self, sequence: int, body: DecisionBatch, stand: bool) -> None:
        stages = self.stages
        if stand or body.version != stages.version or body.words != stages.words:
            was = decisions_as(body, stages.words, stages.panel.names, stages.coding)
            self._whole(self._run, stages.watermark.unmarked(was.events), Recorded(sequence, was, stands=True))
            return
        again = self._whole(self._run, body.events, Recorded(sequence, body, stands=False))
        same = np.array_equal(again.ruling.action, body.ruling.action)
        if not (same and np.array_equal(again.fused.risk, body.fused.risk, equal_nan=True)):
            raise Diverged(
                f"journal entry {sequence} replays to other decisions than it holds: a plug-in or the program was "
                "changed, so all decisions stand as they were made"
            )

    def flush(self) -> NDArray[np.bool_] | None:
        """Write the decisions that a failing journal has left; raises Unavailable while it can't be written.

        Returns the rows among them that other processes decided first, as a mask; None where there are none.
        """
        if self._stopped:
            raise Stopped("the loop broke off inside a batch: start it again from its snapshot and journal")
        theirs: NDArray[np.bool_] | None = None
        while self._unwritten is not None and len(self._unwritten):
            try:
                self._append(self._unwritten)
                break
            except Repeated as error:
                left = np.arange(len(self._unwritten)) if theirs is None else np.flatnonzero(~theirs)
                theirs = np.zeros(len(left), bool) if theirs is None else theirs
                theirs[left[error.rows]] = True
                self._unwritten = pick_decisions(self._unwritten, ~np.isin(np.arange(len(left)), error.rows))
        self._unwritten = None
        return theirs

    def all_new(self, events: EventBatch, in_flight: Sequence[Ids]) -> bool:
        """Whether a batch may be decided ahead: no row repeats an event, and no outcome waits among them."""
        self.flush()
        if self._limits.reject_late or self._arrivals.any or len(events) == 0:
            return False
        seen = self.timed("journal", self._journal.seen, events.ids)
        rows = admit(events, seen, self.stages.watermark, reject_late=False)
        return bool(rows.new.all()) and not overlaps(events.ids, in_flight)

    def land(self, events: EventBatch, running: Int, features: Features, scores: Scores, begun_ns: int) -> Decided:
        """Decide a batch of new events that has been scored ahead."""
        self.flush()
        self._aside_ns = 0
        self._unwritten = self._whole(self._scored, events, running, features, scores, begun_ns)
        decisions = self._unwritten
        self.flush()
        return Decided(decisions, np.arange(len(events)))

    # The stages, in order.

    def _run(self, events: EventBatch, recorded: Recorded | None = None) -> DecisionBatch:
        begun_ns, self._aside_ns = self.clock.monotonic_ns(), 0
        running = self.stages.watermark.advance(events.reach)
        events = self.stages.watermark.mark_late(events, running)
        features = self._featurize(events, running)
        if features.fallback:  # Time lost waiting for a store that is away says nothing against scorers and policy.
            self._aside_ns = self.clock.monotonic_ns() - begun_ns
        if recorded is None:
            scores = self.timed("scorers", self.stages.panel.score, features)
        else:  # Scorers remember nothing, so what they said once need not be asked again.
            was = recorded.decisions.scores
            scores = Scores(was.names, was.values.copy(), was.confidence.copy(), was.fallback)
        return self._scored(events, running, features, scores, begun_ns, recorded)

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
        if self._arrivals.due:
            self._aside("learning", self._arrivals.deliver, rows.start)
        if moment is not None:
            self._aside("learning", self._learn_until, moment)
        if rows.stop - rows.start != len(events):
            events, features = events.slice(rows.start, rows.stop), features.slice(rows.start, rows.stop)
            scores = Scores(scores.names, scores.values[rows], scores.confidence[rows], scores.fallback[rows])
            chance = chance[rows]
        was = None if recorded is None else codec.rows_of(recorded.decisions, rows.start, rows.stop)
        if recorded is not None and recorded.stands and was is not None:
            return self._follow(events, features, was, chance)
        fused = self.timed("fusion", self.stages.fusion.fuse, scores)
        proposal = self.timed("policy", self._propose, fused, events, features, chance, was)
        fallback = scores.fallback | proposal.fallback | self._overdue(len(events), begun_ns, was)
        if features.fallback:
            fallback = fallback | np.uint8(features.fallback)
        ruling = self.timed(
            "guards", self.stages.guard.rule, events, features, scores, fused, proposal, fallback.astype(np.int64)
        )
        version, words = self.stages.version, self.stages.words
        took_us = (self.clock.monotonic_ns() - begun_ns) / 1e3
        part = DecisionBatch(events, features, scores, fused, proposal, ruling, fallback, version, took_us, words)
        if self.stages.joiner is not None:
            self._aside("learning", self.stages.joiner.remember, part)
        return part

    def _follow(self, events: EventBatch, features: Features, was: DecisionBatch, chance: Float) -> DecisionBatch:
        """Take over decisions that another version made, so that policy, guards and learners know of them."""
        with suppress(Exception):  # What it explores is charged as if it had decided; a plug-in may raise anything.
            self.stages.policy.propose(was.fused, events, features, chance)
        self.stages.guard.follow(events, was.ruling.action)
        if self.stages.joiner is not None:
            made, here = replace(was, events=events, features=features), was.ruling.action >= 0
            # An action that is no more teaches nothing about those that there are.
            self.stages.joiner.remember(made if here.all() else pick_decisions(made, here))
        return was

    def _propose(
        self, fused: Fused, events: EventBatch, features: Features, chance: Float, was: DecisionBatch | None
    ) -> Proposal:
        """The policy's proposal, or that of the thresholds where it fails or is late."""
        recorded = 0 if was is None else int(np.bitwise_or.reduce(was.proposal.fallback))
        bit = recorded & Fallback.POLICY_FAILED
        if bit == 0:
            begun_ns = self.clock.monotonic_ns()
            try:
                proposal = self.stages.policy.propose(fused, events, features, chance)
                checked(proposal, len(events), len(self.stages.actions))
            except Exception as error:  # A policy may be a plug-in: whatever it raises, the decision goes on.
                bit = Fallback.POLICY_FAILED
                self._tell("policy", error)
            else:
                # A late proposal is not used, but the policy remembers it; so it is asked again in recovery too.
                limit_ns = in_proportion(self._limits.policy_ns, len(events), self._limits.rows)
                late = limit_ns is not None and self.clock.monotonic_ns() - begun_ns > limit_ns
                bit = recorded & Fallback.POLICY_LATE if was is not None else Fallback.POLICY_LATE * late
                if bit == 0:
                    return proposal
        return self._stand_in(fused, events, features, chance, bit)

    def _stand_in(self, fused: Fused, events: EventBatch, features: Features, chance: Float, bit: int) -> Proposal:
        """The thresholds' proposal; where there are none or they fail too, the first action, which the guard rules."""
        n = len(events)
        flagged = np.full(n, bit, np.uint8)
        if self.stages.thresholds is not None:
            try:
                proposal = self.stages.thresholds.propose(fused, events, features, chance)
                checked(proposal, n, len(self.stages.actions))
                return replace(proposal, fallback=flagged)
            except Exception as error:
                self._tell("thresholds", error)
        propensity = np.zeros((n, len(self.stages.actions)))
        propensity[:, 0] = 1.0
        return Proposal(np.zeros(n, np.int16), propensity, np.zeros(n, np.uint8), flagged)

    def _overdue(self, n: int, begun_ns: int, was: DecisionBatch | None) -> Bytes:
        """(n,) the DEADLINE bit where scorers and policy have used up the decision's budget.

        Work that happened to be due at this event (joining, learning) is not charged to it: it must come before the
        event, wherever that is in a batch, but none of it is the event's own.
        """
        if was is not None:
            return was.fallback & np.uint8(Fallback.DEADLINE)
        limit_ns = in_proportion(self._limits.decision_ns, n, self._limits.rows)
        late = limit_ns is not None and self.clock.monotonic_ns() - begun_ns - self._aside_ns > limit_ns
        overdue = np.zeros(n, np.uint8)
        if late:
            overdue[:] = Fallback.DEADLINE
        return overdue

    def _featurize(self, events: EventBatch, running: Int) -> Features:
        """The events' features; outcomes whose moment has come reach the windows at their places among the events."""
        operations = events
        if self._arrivals.any:
            operations = self._aside("learning", self._arrivals.among, events, running)
            if len(operations) - len(events) >= _MANY_ROWS:
                operations = self._aside("windows", self._caught_up, operations)
        features = self.timed("windows", self.stages.featurizer.features, operations)
        if len(operations) == len(events):
            return features
        rows = operations.kind != Row.OUTCOME
        return Features(features.names, features.values[rows], features.freshness[rows], features.fallback)

    def _caught_up(self, operations: EventBatch) -> EventBatch:
        """What is left once the windows have taken in the outcomes before the first event.

        Rows are the same however they are batched, so these may go first, in slices, and be no part of a decision.
        """
        first = int(np.argmax(operations.kind != Row.OUTCOME))
        for start in range(0, first, _SLICE_ROWS):
            self.stages.featurizer.features(operations.slice(start, min(start + _SLICE_ROWS, first)))
        return operations.slice(first, len(operations)) if first else operations

    def _aside(self, stage: str, call: Callable[..., T], *arguments: Any) -> T:
        """`timed`, for work that is due at this batch without being its own."""
        begun_ns = self.clock.monotonic_ns()
        try:
            return call(*arguments)
        finally:
            spent_ns = self.clock.monotonic_ns() - begun_ns
            self._aside_ns += spent_ns
            self.meters.spent(stage, spent_ns)

    def _learn_until(self, moment_ns: int) -> None:
        joiner = self.stages.joiner
        if joiner is None:
            return
        experience = joiner.due(moment_ns)
        if len(experience) == 0:
            return
        if self._limits.learn_fusion:
            self._teach("fusion", self.stages.fusion, experience)
        if self._limits.learn_policy:
            self._teach("policy", self.stages.policy, experience)

    def _teach(self, name: str, learner: Fusion | Policy, experience: Experience) -> None:
        """A learner that fails keeps what it knew; the decisions go on."""
        try:
            learner.learn(experience)
        except Exception as error:
            self.counts["failed_learning"] += 1
            earlier = self.learning_failures.get(name, LearningFailure(0, ""))
            self.learning_failures[name] = LearningFailure(earlier.count + 1, f"{type(error).__name__}: {error}")
            self._tell(f"learning of the {name}", error)

    # What surrounds the stages.

    def _whole(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call what moves the stages' memories; if it breaks off half-way, nothing more is decided on top of that."""
        self._stopped = True
        result = call(*arguments)
        self._stopped = False
        return result

    def _absorb(self, events: EventBatch) -> Features:
        running = self.stages.watermark.advance(events.reach)
        features = self._featurize(self.stages.watermark.mark_late(events, running), running)
        self._arrivals.deliver(len(events))
        return features

    def _earlier(self, ids: Ids) -> list[tuple[DecisionBatch, int]]:
        """The decisions of events that the journal has seen. Raises Unavailable where it can't find them after all."""
        found = [one for one in self._journal.find_all(ids) if one is not None]
        if len(found) < len(ids):
            raise Unavailable("the journal has seen events that it can't find now")
        return found

    def _append(self, body: DecisionBatch | OutcomeBatch) -> None:
        try:
            self.timed("journal", self._journal.append, body)
        except Unavailable as error:
            self.fallbacks[Reason.JOURNAL_FAILED] = self.fallbacks.get(Reason.JOURNAL_FAILED, 0) + 1
            self.trouble = str(error)
            raise
        except Repeated:
            raise
        except Exception as error:
            self.trouble = f"the journal failed with {type(error).__name__}"
            raise
        self.trouble = ""

    def _tell(self, stage: str, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(stage, error)

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

    def timed(self, stage: str, call: Callable[..., T], *arguments: Any) -> T:
        begun_ns = self.clock.monotonic_ns()
        try:
            return call(*arguments)
        finally:
            self.meters.spent(stage, self.clock.monotonic_ns() - begun_ns)

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent so far, by stage."""
        return {stage: times.total_ns / 1e9 for stage, times in self.meters.stages.items()}

    def troubles(self) -> dict[str, dict[str, Any]]:
        """What failed so far, by part: scorers with their failures by cause and why they are out, learners by step."""
        out = self.stages.panel.out()
        scorers = {
            seat.scorer.name: {
                **{reason.value: n for reason, n in seat.counts.items()},
                "out": out.get(seat.scorer.name),
            }
            for seat in self.stages.panel.seats
            if seat.counts or seat.scorer.name in out
        }
        learners = {
            name: {"failed": failed.count, "last": failed.last} for name, failed in self.learning_failures.items()
        }
        return {"scorers": scorers, "learning": learners}

    def notes(self) -> list[str]:
        """What it decides without at present, and which learner fails: a sentence each."""
        left_out = [f"decides without the scorer {name}: {why}" for name, why in self.stages.panel.out().items()]
        return left_out + [
            f"{failed.count} steps of the {name}'s learning failed, the last with {failed.last}"
            for name, failed in self.learning_failures.items()
        ]

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

    def close(self) -> None:
        """Let go of the scorers' threads."""
        self.stages.panel.close()


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
