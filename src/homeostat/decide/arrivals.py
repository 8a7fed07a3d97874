"""Outcomes on their way to the windows and to the joiner: each at its moment, never before its own event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.contracts import Featurizer, Joiner
from homeostat.decide.outcome_rows import located, outcome_rows
from homeostat.decide.waiting import Waiting
from homeostat.ports import Journal
from homeostat.records.arrays import Int, State
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.identity import Coding, rows_in
from homeostat.records.renaming import Entities, keys_as
from homeostat.records.rows import inserted

_SLICE_ROWS = 4096  # Of outcomes that the windows take in at once, while an event waits.
_LAST_NS = np.iinfo(np.int64).max


class Arrivals:
    """See the module.

    lateness_ns : how far events may arrive out of order
    entities : what the columns of keys are here, wherever a decision was made
    unknown : outcomes whose event was not decided in time for them
    """

    def __init__(
        self, joiner: Joiner | None, journal: Journal, lateness_ns: int, coding: Coding, entities: Entities = ()
    ) -> None:
        self.unknown = 0
        self.joiner = joiner
        self._journal = journal
        self.lateness_ns, self._coding, self._entities = lateness_ns, coding, entities
        self._waiting = Waiting()
        self._due: tuple[Int, OutcomeBatch] | None = None  # Due in this batch: before which rows.

    def add(self, outcomes: OutcomeBatch) -> None:
        """Let outcomes wait for their moment."""
        self._waiting.add(outcomes)

    def take(self, outcomes: OutcomeBatch, fields: int) -> EventBatch | None:
        """Hand the joiner outcomes that count at once; returns their rows for the windows.

        The others wait for their moment: the scheduled, and all while earlier ones at once wait for their events.
        fields : how many declared fields an event of this app has
        """
        if outcomes.scheduled or len(outcomes) == 0:
            self._waiting.add(outcomes)
            return None
        found, time_ns, keys, checks = self._locate(outcomes)
        if self._waiting.at_once or not found.all():
            self._waiting.add(outcomes)
            return None
        if self.joiner is not None:
            self.joiner.deliver(outcomes)
        return outcome_rows(replace(outcomes, time_ns=time_ns, keys=keys, key_checks=checks), fields)

    @property
    def any(self) -> bool:
        """Whether an outcome waits for its moment."""
        return len(self._waiting) > 0

    @property
    def due(self) -> bool:
        """Whether outcomes are due in this batch that have not been handed on."""
        return self._due is not None

    def among(self, events: EventBatch, running_ns: Int) -> EventBatch:
        """The events, and the outcomes whose moment has come at their places among them.

        running_ns : (n,) the watermark as each event arrives
        """
        self._due = None
        due = self._waiting.due(running_ns)
        if due is None:
            return events
        self._due = position, outcomes = self._placed(events, running_ns, *due)
        if len(outcomes) == 0:
            return events
        return inserted(events, outcome_rows(outcomes, events.numbers.shape[1]), position)

    def deliver(self, before: int) -> None:
        """Hand the joiner the outcomes that count before row `before` of the batch, and have not been handed on."""
        if self._due is None:
            return
        position, outcomes = self._due
        split = int(np.searchsorted(position, before, "right"))
        self._due = None
        if split < len(position):
            self._due = position[split:], outcomes.rows(np.arange(split, len(position)))
            outcomes = outcomes.rows(np.arange(split))
        if self.joiner is not None and split:
            self.joiner.deliver(outcomes)

    def located(self, outcomes: OutcomeBatch) -> OutcomeBatch:
        """The outcomes of decided events, with when and of whom these were: so that a recovery need not look for them.

        The others are counted as unknown.
        """
        if len(outcomes) == 0:
            return outcomes
        found, time_ns, keys, checks = self._locate(outcomes)
        self.unknown += int((~found).sum())
        located = replace(outcomes, time_ns=time_ns, keys=keys, key_checks=checks, entities=self._entities)
        return located.rows(np.flatnonzero(found))

    def _placed(
        self, events: EventBatch, running_ns: Int, position: Int, outcomes: OutcomeBatch
    ) -> tuple[Int, OutcomeBatch]:
        """The due outcomes with when and of whom their events were, and the rows before which they count.

        One whose event is still to come waits for it, until no event of its time would count any more; then it is
        unknown. So it makes no difference in which batch the event comes.
        """
        row = rows_in(events.ids, outcomes.ids)
        inside, ahead = row >= 0, row >= position
        found, time_ns, keys, checks = self._locate(outcomes)
        if keys.shape[1] != events.keys.shape[1]:
            keys, checks = np.zeros((2, len(outcomes), events.keys.shape[1]), np.int64)
        time_ns = np.where(inside, events.time_ns[row], time_ns)
        keys = np.where(inside[:, None], events.keys[row], keys)
        checks = np.where(inside[:, None], events.key_checks[row], checks)
        position = np.where(ahead, row + 1, position)
        until_ns = np.minimum(outcomes.known_ns, _LAST_NS - self.lateness_ns) + self.lateness_ns
        closed = np.searchsorted(running_ns, until_ns, "right")  # The row from which on it no longer waits.
        known = found | inside
        dropped = np.where(known, ahead & (closed <= row), closed < len(events))
        waits = ~dropped & (~known | (position == len(events)))
        self.unknown += int(dropped.sum())
        if waits.any():
            self._waiting.add(replace(outcomes.rows(waits), scheduled=True))
        now = np.flatnonzero(~dropped & ~waits)
        now = now[np.argsort(position[now], kind="stable")]
        due = outcomes.rows(now)
        return position[now], replace(due, time_ns=time_ns[now], keys=keys[now], key_checks=checks[now])

    def _locate(self, outcomes: OutcomeBatch) -> tuple[NDArray[np.bool_], Int, Int, Int]:
        """Whether each outcome's event was decided (m,), when (m,) and of whom (m, entities): keys and their checks.

        The joiner knows, and whoever read the outcomes may; the journal is asked only for what is left.
        """
        m = len(outcomes)
        if self.joiner is not None:
            mask, time_ns, keys, checks = self.joiner.locate(outcomes.ids)
            found = mask.astype(bool)
        else:
            entities = 0 if outcomes.keys is None else outcomes.keys.shape[1]
            found, time_ns = np.zeros(m, bool), np.zeros(m, np.int64)
            keys, checks = np.zeros((2, m, entities), np.int64)
        fill = located(outcomes) & ~found
        if fill.any():
            assert outcomes.time_ns is not None and outcomes.keys is not None and outcomes.key_checks is not None
            time_ns[fill], keys[fill], found = outcomes.time_ns[fill], outcomes.keys[fill], found | fill
            checks[fill] = outcomes.key_checks[fill]
        rest = np.flatnonzero(~found)
        decided = self._journal.find_all(outcomes.ids[rest]) if len(rest) else []
        for k, earlier in zip(rest.tolist(), decided, strict=True):
            if earlier is not None:
                batch, row = earlier
                events, was, at = batch.events, batch.words.entities, slice(row, row + 1)
                now = self._entities or was
                own, own_checks = keys_as(events.keys[at], events.key_checks[at], was, now, self._coding)
                if keys.shape[1] != own.shape[1]:
                    keys, checks = np.zeros((2, m, own.shape[1]), np.int64)
                time_ns[k], keys[k], checks[k], found[k] = events.time_ns[row], own[0], own_checks[0], True
        return found, time_ns, keys, checks

    def state(self) -> State:
        """The outcomes that wait."""
        return self._waiting.state()

    def restore(self, state: State) -> None:
        """Continue from `state()`."""
        self._waiting.restore(state)


def caught_up(featurizer: Featurizer, operations: EventBatch) -> EventBatch:
    """The rest, once the windows have taken in the outcomes before the first event.

    Rows are the same however they are batched, so these may go first, in slices, and be no part of a decision.
    """
    first = int(np.argmax(operations.kind != Row.OUTCOME))
    for start in range(0, first, _SLICE_ROWS):
        featurizer.features(operations.slice(start, min(start + _SLICE_ROWS, first)))
    return operations.slice(first, len(operations)) if first else operations
