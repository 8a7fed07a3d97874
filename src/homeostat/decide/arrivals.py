"""Outcomes on their way to the windows and to the learners: each at its moment, never before its own event.

An outcome waits in one place for its moment in the stream. Its decision is looked up once: as it comes in where it
counts at once, at its moment where it is scheduled. Then the windows take it in as a row among the events, and
`Teaching` hands it to the learners before the same event.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.decide.admission import Watermark
from homeostat.decide.contracts import Featurizer
from homeostat.decide.lookup import LookUp
from homeostat.decide.outcome_rows import located, outcome_rows
from homeostat.decide.waiting import Waiting
from homeostat.decide.withheld import Withheld
from homeostat.records.arrays import Int, State
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.identity import rows_in
from homeostat.records.rows import inserted

_SLICE_ROWS = 4096  # Of outcomes that the windows take in at once, while an event waits.
_LAST_NS = np.iinfo(np.int64).max
_NO_ROWS = np.empty(0, np.int64)


class Placed:
    """The outcomes whose moments lie in one batch of events, for the learners to take before the rows of that batch.

    before : (m,) the row before which each counts, never falling
    """

    def __init__(self, before: Int = _NO_ROWS, outcomes: OutcomeBatch | None = None) -> None:
        self._before, self._outcomes = before, outcomes
        self._taken = 0

    def upto(self, row: int) -> OutcomeBatch | None:
        """Those that count before a row and were not asked for yet; None where there are none."""
        if self._outcomes is None or self._taken == len(self._before):
            return None
        start, stop = self._taken, int(np.searchsorted(self._before, row, "right"))
        self._taken = stop
        return self._outcomes.rows(slice(start, stop)) if stop > start else None


class Arrivals:
    """See the module.

    watermark : says how far events may arrive out of order
    withheld : finds the events whose outcomes count nowhere
    unknown : outcomes whose event was not decided in time for them
    """

    def __init__(self, look_up: LookUp, watermark: Watermark, withheld: Withheld | None = None) -> None:
        self.unknown = 0
        self._withheld = withheld
        self._look_up, self._watermark = look_up, watermark
        self._waiting = Waiting()

    def add(self, outcomes: OutcomeBatch) -> None:
        """Let outcomes wait for their moment."""
        self._waiting.add(outcomes)

    def located(self, outcomes: OutcomeBatch) -> OutcomeBatch:
        """The outcomes of decided events, with when and of whom these were: nobody needs to look for them again.

        The others are counted as unknown.
        """
        if len(outcomes) == 0:
            return outcomes
        found, here = self._look_up(outcomes)
        self.unknown += int((~found).sum())
        return here.rows(np.flatnonzero(found))

    def take(self, outcomes: OutcomeBatch) -> OutcomeBatch | None:
        """Outcomes that count at once, with when and of whom their events were; None where they wait for their moment.

        The scheduled wait, and all do while earlier ones at once wait for their events.
        """
        if outcomes.scheduled or len(outcomes) == 0 or self._waiting.at_once:
            self._waiting.add(outcomes)
            return None
        if located(outcomes).all():
            return self._counted(outcomes)
        found, here = self._look_up(outcomes)
        if not found.all():
            self._waiting.add(outcomes)
            return None
        return self._counted(here)

    def _counted(self, outcomes: OutcomeBatch) -> OutcomeBatch | None:
        """Those whose events are in no quarantine; None where all are."""
        if self._withheld is None or self._withheld.quarantine() is None:
            return outcomes
        held = self._withheld.among(outcomes.ids)
        return None if held.all() else outcomes.rows(~held)

    @property
    def any(self) -> bool:
        """Whether an outcome waits for its moment."""
        return len(self._waiting) > 0

    def among(self, events: EventBatch, running_ns: Int) -> tuple[EventBatch, Placed]:
        """The events with the outcomes whose moment has come at their places among them; and these outcomes.

        running_ns : (n,) the watermark as each event arrives
        """
        due = self._waiting.due(running_ns)
        if due is None:
            return events, Placed()
        position, outcomes = self._placed(events, running_ns, *due)
        if len(outcomes) == 0:
            return events, Placed()
        operations = inserted(events, outcome_rows(outcomes, events.numbers.shape[1]), position)
        return operations, Placed(position, outcomes)

    def _placed(
        self, events: EventBatch, running_ns: Int, position: Int, outcomes: OutcomeBatch
    ) -> tuple[Int, OutcomeBatch]:
        """The due outcomes with when and of whom their events were, and the rows before which they count.

        One whose event is still to come waits for it, until no event of its time would count any more; then it is
        unknown. So it makes no difference in which batch the event comes.
        """
        row = rows_in(events.ids, outcomes.ids)
        inside, ahead = row >= 0, row >= position
        found, here = self._look_up(outcomes)
        time_ns, keys, checks = here.time_ns, here.keys, here.key_checks
        assert time_ns is not None and keys is not None and checks is not None
        if keys.shape[1] != events.keys.shape[1]:
            keys, checks = np.zeros((2, len(outcomes), events.keys.shape[1]), np.int64)
        time_ns = np.where(inside, events.time_ns[row], time_ns)
        keys = np.where(inside[:, None], events.keys[row], keys)
        checks = np.where(inside[:, None], events.key_checks[row], checks)
        position = np.where(ahead, row + 1, position)
        lateness_ns = self._watermark.lateness_ns
        until_ns = np.minimum(outcomes.known_ns, _LAST_NS - lateness_ns) + lateness_ns
        closed = np.searchsorted(running_ns, until_ns, "right")  # The row from which on it no longer waits.
        known = found | inside
        dropped = np.where(known, ahead & (closed <= row), closed < len(events))
        waits = ~dropped & (~known | (position == len(events)))
        self.unknown += int(dropped.sum())
        quarantine = None if self._withheld is None else self._withheld.quarantine()
        if self._withheld is not None and quarantine is not None:
            held = np.where(inside, quarantine.holds(events)[row], self._withheld.among(outcomes.ids))
            dropped |= held & ~waits
        if waits.any():
            self._waiting.add(replace(outcomes.rows(waits), scheduled=True))
        now = np.flatnonzero(~dropped & ~waits)
        now = now[np.argsort(position[now], kind="stable")]
        due = outcomes.rows(now)
        return position[now], replace(due, time_ns=time_ns[now], keys=keys[now], key_checks=checks[now])

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
