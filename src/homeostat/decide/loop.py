"""The decision loop: the stages called in order. Start reading at `DecisionLoop.run`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from homeostat.decide.admission import admit, overlaps
from homeostat.decide.arrivals import Arrivals, Placed, caught_up
from homeostat.decide.canary import Sides, fuse, propose, score, sides_of
from homeostat.decide.changing import Setup, put_in_force
from homeostat.decide.contracts import Fusion, Policy
from homeostat.decide.deadlines import overdue
from homeostat.decide.decided import Decided, Recorded, answered, by_text, compared, without
from homeostat.decide.due import DueWork
from homeostat.decide.handover import Handover
from homeostat.decide.lookup import LookUp
from homeostat.decide.meters import Meters
from homeostat.decide.notices import count, notes, troubles
from homeostat.decide.outcome_rows import outcome_rows
from homeostat.decide.panel import Panel
from homeostat.decide.proposing import Proposing
from homeostat.decide.rebuilding import asks_to_rebuild, blank_stages, feed
from homeostat.decide.recording import Recording
from homeostat.decide.stages import Limits, Stages
from homeostat.decide.standing import Parts, remembering, restore, state_of, taken
from homeostat.decide.teaching import Teaching
from homeostat.decide.withheld import Withheld, remember
from homeostat.errors import HomeostatError
from homeostat.ports import Clock, Journal
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch, Scores
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features
from homeostat.records.identity import Ids
from homeostat.records.reasons import Fallback, Reason
from homeostat.records.rows import decisions_at, joined, pick, rows_of, scores_at

T = TypeVar("T")
_MANY_ROWS = 256  # Outcomes due in one batch, from which on the windows take in those before its first event by itself.


class Stopped(HomeostatError, RuntimeError):
    """The loop broke off inside a batch: what its stages remember no longer fits the journal."""

    why = "an error inside a batch left the windows half updated"
    remedy = "Open the engine again: it recovers from its journal"


class DecisionLoop:
    """Loop 1 of one app. Not for several threads at once.

    journal : what `decide` returned is in it
    rebuilds : whether a change that asks for it makes windows again; not while a snapshot brings its own
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
        self._withheld = Withheld(journal, stages.coding, stages.words, lambda: stages.quarantine)
        look_up = LookUp(journal, stages.coding, stages.words.entities, lambda: stages.joiner)
        self._arrivals = Arrivals(look_up, stages.watermark, self._withheld)
        self._stopped = False
        self.rebuilds = True
        self._handover = Handover()

    # Events and outcomes come in.

    def decide(self, events: EventBatch) -> Decided:
        """Decide `n` events; each id once.

        Raises Unavailable, and shows nothing, if the journal can't be written. Then the decisions are kept, and written
        before anything else is done: who asks again gets them, and no other.
        """
        if self._handover.coming is not None:
            self.change()
        self.flush()
        if self.stages.repairing is not None:
            events = self.stages.repairing.repaired(events)
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
        decided = answered(rows, decisions, *by_text(events, earlier))
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
            self.whole(self.remember, wanted)
        self.counts["outcomes"] += len(outcomes)
        self.counts["unknown_outcomes"] = self._arrivals.unknown

    def expect(self, outcomes: OutcomeBatch) -> None:
        """Like `learn`, for outcomes that come along with a recorded stream, and so need no record of their own."""
        self.remember(outcomes)
        self.counts["outcomes"] += len(outcomes)

    def remember(self, outcomes: OutcomeBatch) -> None:
        """Like `learn`, for outcomes that are in the journal already.

        Those that count at once are taken in here and not before the next event, whose caller would wait for it.
        """
        located = self._arrivals.take(outcomes)
        if located is not None:
            self.teaching.step(self.stages, located, None)
            with self.meters.timed("windows"):
                self.stages.featurizer.features(outcome_rows(located, len(self.stages.words.fields)))

    def absorb(self, events: EventBatch) -> Features:
        """Let events fill the windows without deciding them; returns their features, from which models are made."""
        self.flush()
        return self.whole(self._absorb, events)

    @property
    def withheld(self) -> Callable[[Ids], Mask] | None:
        """Tells which decided events are in a quarantine; None where there is none."""
        return None if self.stages.quarantine is None else self._withheld.among

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
        if self.stages.repairing is not None:
            stand = recorded is not None and recorded.stands
            events = self.stages.repairing.without_copies(events, running, stand)
        features, placed = self._featurize(events, running)
        if features.fallback:  # Time lost waiting for a store that is away says nothing against scorers and policy.
            self._due.spent_ns = self.clock.monotonic_ns() - begun_ns
        sides = sides_of(self.stages, events)
        if recorded is None:
            with self.meters.timed("scorers"):
                scores = score(self.stages, features, sides, self.clock)
        else:  # Scorers remember nothing, so they need not be asked twice.
            was = recorded.decisions.scores
            scores = Scores(was.names, was.values.copy(), was.confidence.copy(), was.fallback)
        return self._scored(events, running, features, scores, begun_ns, sides, placed, recorded)

    def _featurize(self, events: EventBatch, running: Int) -> tuple[Features, Placed]:
        """The events' features; outcomes whose moment has come reach the windows at their places among the events."""
        operations, placed = events, Placed()
        if self._arrivals.any:
            with self._due.timed("learning"):
                operations, placed = self._arrivals.among(events, running)
            if len(operations) - len(events) >= _MANY_ROWS:
                with self._due.timed("windows"):
                    operations = caught_up(self.stages.featurizer, operations)
        with self.meters.timed("windows"):
            features = self.stages.featurizer.features(operations)
        if len(operations) == len(events):
            return features, placed
        rows = operations.kind != Row.OUTCOME
        return features.rows(rows), placed

    def _scored(
        self,
        events: EventBatch,
        running: Int,
        features: Features,
        scores: Scores,
        begun_ns: int,
        sides: Sides | None,
        placed: Placed,
        recorded: Recorded | None = None,
    ) -> DecisionBatch:
        """The stages after the scorers."""
        draw = self.stages.chance if recorded is None else self.stages.chance_in(recorded.sequence)
        chance = draw(events.ids)
        parts = [
            self._conclude(events, features, scores, begun_ns, chance, rows, sides, recorded)
            for rows in self._taught(running, placed)
        ]
        decisions = joined(parts, events, features, scores)
        self._teach_rest(placed, len(events))
        if recorded is None:
            self._count(decisions)
        return decisions

    def _taught(self, running: Int, placed: Placed) -> Iterator[slice]:
        """Slices of a batch, each when all is learned that comes before its first row."""
        schedule = self.stages.schedule
        for start, stop, moment in schedule.cuts(running):
            schedule.owed_ns = schedule.owed_ns if moment is None else moment
            while start < stop:
                owes = self._learn_before(start, placed)
                upto = start + 1 if owes else stop  # Before the next row comes the next step.
                yield slice(start, upto)
                start = upto

    def _learn_before(self, row: int, placed: Placed) -> bool:
        """Learn what comes before a row, one step of it at most; returns whether more is owed."""
        schedule, outcomes = self.stages.schedule, placed.upto(row)
        if outcomes is None and schedule.owed_ns is None:
            return False
        with self._due.timed("learning"):
            owes = self.teaching.step(self.stages, outcomes, schedule.owed_ns)
        self.counts["failed_learning"] = self.teaching.failed
        schedule.owed_ns = schedule.owed_ns if owes else None
        return owes

    def _teach_rest(self, placed: Placed, n: int) -> None:
        """Give the joiner the outcomes that count from the last of `n` rows on."""
        outcomes = placed.upto(n)
        if outcomes is not None:
            self.teaching.step(self.stages, outcomes, None)

    def _conclude(
        self,
        events: EventBatch,
        features: Features,
        scores: Scores,
        begun_ns: int,
        chance: Float,
        rows: slice,
        sides: Sides | None,
        recorded: Recorded | None,
    ) -> DecisionBatch:
        """Fusion, policy and guards of one slice."""
        stages = self.stages
        if rows.stop - rows.start != len(events):
            events, features = events.slice(rows.start, rows.stop), features.slice(rows.start, rows.stop)
            scores = scores_at(scores, rows)
            chance = chance[rows]
        was = None if recorded is None else rows_of(recorded.decisions, rows.start, rows.stop)
        if recorded is not None and recorded.stands and was is not None:
            return self._follow(events, features, was, chance)
        arm = None if sides is None else sides.arm[rows]
        with self.meters.timed("fusion"):
            fused = fuse(stages, scores, arm)
        with self.meters.timed("policy"):
            before = None if was is None else was.proposal
            proposal = propose(self._proposing, stages, fused, events, features, chance, before, arm)
        if was is None:
            late = overdue(
                self._limits, len(events), lambda: self.clock.monotonic_ns() - begun_ns - self._due.spent_ns, sides, arm
            )
        else:
            late = was.fallback & np.uint8(Fallback.DEADLINE)
        fallback = scores.fallback | proposal.fallback | late
        if features.fallback:
            fallback = fallback | np.uint8(features.fallback)
        with self.meters.timed("guards"):
            ruling = stages.guard.rule(events, features, scores, fused, proposal, fallback.astype(np.int64))
        took_us = (self.clock.monotonic_ns() - begun_ns) / 1e3
        part = DecisionBatch(
            events, features, scores, fused, proposal, ruling, fallback, stages.version, took_us, stages.words,
            stages.settings, "" if stages.canary is None else stages.canary.version, arm,
        )  # fmt: skip
        if stages.joiner is not None:
            with self._due.timed("learning"):
                remember(stages, part)
        return part

    def _follow(self, events: EventBatch, features: Features, was: DecisionBatch, chance: Float) -> DecisionBatch:
        """Take over decisions that another version made, so that policy, guards and learners know of them."""
        with suppress(Exception):  # Its exploration is charged as if it had decided; a plug-in may raise anything.
            self.stages.policy.propose(was.fused, events, features, chance)
        self.stages.guard.follow(events, was.ruling.action)
        if self.stages.joiner is not None:
            made, here = replace(was, events=events, features=features), was.ruling.action >= 0
            # An action that is no more teaches nothing about those that there are.
            remember(self.stages, made if here.all() else decisions_at(made, here))
        return was

    def _absorb(self, events: EventBatch) -> Features:
        running = self.stages.watermark.advance(events.reach)
        events = self.stages.watermark.mark_late(events, running)
        if self.stages.repairing is not None:
            events = self.stages.repairing.without_copies(events, running)
        features, placed = self._featurize(events, running)
        self._teach_rest(placed, len(events))
        return features

    # Batches whose windows and scorers ran ahead, in threads of their own.

    def all_new(self, events: EventBatch, in_flight: Sequence[Ids]) -> bool:
        """Whether a batch may be decided ahead: no row repeats an event, and no outcome waits among them."""
        self.flush()
        if self._limits.reject_late or self._arrivals.any or len(events) == 0 or self.stages.repairing is not None:
            return False
        seen = self.recording.seen(events.ids)
        rows = admit(events, seen, self.stages.watermark, reject_late=False)
        return bool(rows.new.all()) and not overlaps(events.ids, in_flight)

    def land(
        self, events: EventBatch, running: Int, features: Features, scores: Scores, begun_ns: int, sides: Sides | None
    ) -> Decided:
        """Decide a batch of new events that has been scored ahead."""
        self.flush()
        self._due.spent_ns = 0
        decisions = self.whole(self._scored, events, running, features, scores, begun_ns, sides, Placed())
        self.recording.keep(decisions)
        self.flush()
        return Decided(decisions, np.arange(len(events)))

    # The surroundings of the stages.

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

    def hand_over(self, setup: Setup) -> bool:
        """Let parts decide from the next batch on, in place of others that wait; called by any thread.

        Returns whether they do: they must be of a later change than those that decide. The changes of those that waited
        go into the journal with theirs, which were made on top of them.
        """
        return self._handover.offer(setup, lambda: self.stages.settings)

    def next_settings(self) -> tuple[int, tuple[Change, ...]]:
        """The settings number of the next batch, and the changes that are in force then; asked by any thread."""
        with self._handover.lock:
            at = self._handover.coming
            return (self.stages.settings, self.stages.in_force) if at is None else (at.number, at.in_force)

    @property
    def coming(self) -> Setup | None:
        """The setup from the next batch on, where that is another."""
        return self._handover.coming

    def change(self) -> None:
        """Put what was handed over in force, once the journal holds its changes; nothing where nothing waits.

        Raises Unavailable, and goes on as before, if the journal can't be written.
        """
        self.flush()
        self._handover.take(
            lambda: self.stages.settings, lambda changes: self.recording.append(ChangeBatch(changes)), self.put_in_force
        )

    def pass_moment(self, moment_ns: int) -> None:
        """Learn what is due at a moment of the grid, as before an event that says that it has come."""
        for _ in self._taught(np.array([moment_ns]), Placed()):
            pass

    def put_in_force(self, setup: Setup) -> None:
        """The same for changes that are in the journal already."""
        was = self.stages.quarantine
        self.whole(put_in_force, setup, self.stages)
        self.whole(self._withheld.mute_remembered, self.stages, was)
        number = asks_to_rebuild(setup.changes)
        if number is not None and self.rebuilds:
            self.whole(self._rebuild, number)

    def _rebuild(self, number: int) -> None:
        """Make the windows again of all that the journal holds before a change."""
        stages = blank_stages(self.stages)
        feed(DecisionLoop(stages, self.recording.journal, self.clock, self._limits, self._on_error), number)
        self.stages.featurizer = stages.featurizer
        if self.stages.repairing is not None and stages.repairing is not None:
            self.stages.repairing.restore(stages.repairing.state())

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
            self.stages.close()
        with self._handover.lock:
            self.stages, self._arrivals, self._withheld = fresh.stages, fresh._arrivals, fresh._withheld
            self._handover.drop(self.stages.settings)
        self.recording.keep(None)
        self._stopped = False

    def close(self) -> None:
        """Let go of the scorers' threads."""
        self.stages.close()

    # Figures and troubles.

    def _count(self, decisions: DecisionBatch) -> None:
        self.meters.decided(decisions)
        count(self.counts, self.fallbacks, decisions, self.stages.shed)
        self.counts["unknown_outcomes"] = self._arrivals.unknown

    def _tell(self, part: str, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(part, error)

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent so far, by stage."""
        return {stage: times.total_ns / 1e9 for stage, times in self.meters.stages.items()}

    def troubles(self) -> dict[str, dict[str, Any]]:
        """The failures so far, by part: scorers with their failures by cause and why they are out, learners by step."""
        return troubles(self.stages, self.teaching)

    def notes(self) -> list[str]:
        """The parts that it decides without at present, and the learners that fail: a sentence each."""
        return notes(self.stages, self.teaching)

    # The state that outlives the process.

    def state(self) -> State:
        """Everything that the past left behind, as flat arrays.

        Raises Unavailable while decisions wait to be written: a state must not know more than the journal.
        """
        self.flush()
        return state_of(self._parts())

    def taken(self) -> Callable[[], State]:
        """Take the state. The call that is returned puts it in order, which any thread may do while decisions go on.

        Raises Unavailable as `state` does.
        """
        self.flush()
        return taken(self._parts())

    def restore(self, state: State, only: Collection[str] | None = None) -> None:
        """Continue from a state, bit for bit; with `only`, just these parts do."""
        restore(self._parts(), state, only)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what remembers."""
        return tuple(name for name, _ in self._parts())

    def _parts(self) -> Parts:
        return remembering(self.stages, self._arrivals)
