"""Which rows of a batch are new, which repeat an earlier event, and which come too late to count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Int, State
from homeostat.records.events import EventBatch, Row
from homeostat.records.identity import Identity, Ids, first_rows, rows_in

_NEVER = np.iinfo(np.int64).min


def admitted(events: EventBatch, now_ns: int, skew_ns: int, ahead_max_ns: int) -> EventBatch:
    """The events as they come in at `now_ns`, with how far they reach where that is not their own time.

    Clocks differ a little: up to `skew_ns` ahead of this one, an event's time is taken for the time that it is. One
    further ahead says nothing of that, and must not make all others late. It reaches `ahead_max_ns`, as far
    as an event may be ahead at all, behind the clock: so it hides nobody, and time goes on even where each event is
    ahead because it is this clock that is slow.

    >>> import numpy as np
    >>> one = np.zeros(3, np.int64)
    >>> times = np.array([99, 101, 150])
    >>> batch = EventBatch(one, times, one[:, None], np.zeros((3, 0)), one * 1.0, one.astype(np.uint8))
    >>> admitted(batch, 100, 1, 60).reach.tolist(), admitted(batch, 100, 50, 60).reach_ns
    ([99, 101, 40], None)
    """
    trusted_ns = now_ns + skew_ns
    if newest(events) <= trusted_ns:
        return events
    return replace(events, reach_ns=np.where(events.time_ns <= trusted_ns, events.time_ns, now_ns - ahead_max_ns))


def newest(events: EventBatch) -> int:
    """The latest event time of a batch; the earliest time there is where it is empty."""
    return events.time_ns.item() if len(events) == 1 else int(events.time_ns.max(initial=_NEVER))


class Watermark:
    """The latest time that events have reached, and what is later than the declared bound behind it.

    lateness_ns : how far events may arrive out of order
    """

    def __init__(self, lateness_ns: int) -> None:
        self.lateness_ns = lateness_ns
        self.now_ns = _NEVER

    def advance(self, reach_ns: Int) -> Int:
        """The watermark as each row arrives, the row itself included: (n,), never falling.

        reach_ns : (n,) see `EventBatch.reach`
        """
        running = self.running(reach_ns)
        self.now_ns = int(running[-1]) if len(running) else self.now_ns
        return running

    def running(self, reach_ns: Int) -> Int:
        """The result that `advance` would return; the watermark stays where it is."""
        if len(reach_ns) == 1:
            return np.array([max(int(reach_ns[0]), self.now_ns)])
        return np.maximum.accumulate(np.maximum(reach_ns, self.now_ns))

    def mark_late(self, events: EventBatch, running: Int) -> EventBatch:
        """The batch with its late rows marked, so that the windows leave them out."""
        if len(events) == 1 and int(events.time_ns[0]) >= int(running[0]) - self.lateness_ns:
            return events  # One event at a time is what a server decides: spared the arrays.
        late = events.time_ns < running - self.lateness_ns
        if not late.any():
            return events
        kind = np.where(late & (events.kind == Row.EVENT), np.uint8(Row.LATE_EVENT), events.kind)
        return replace(events, kind=kind)

    @staticmethod
    def unmarked(events: EventBatch) -> EventBatch:
        """The batch as it arrived: another lateness may mark other rows."""
        late = events.kind == Row.LATE_EVENT
        if events.came is not None:
            late &= events.came.copy == 0  # A copy is one by whatever lateness.
        if not late.any():
            return events
        return replace(events, kind=np.where(late, np.uint8(Row.EVENT), events.kind))

    def state(self) -> State:
        return {"now_ns": np.array([self.now_ns])}

    def restore(self, state: State) -> None:
        self.now_ns = int(state["now_ns"][0])


@dataclass(frozen=True, slots=True)
class Admission:
    """The rows of a batch by kind, each mask (n,): new, or the repetition of an earlier row, or refused, or none.

    first : (n,) for a repetition, the row that it repeats; for any other row, itself
    Rows that are none of the three were decided in an earlier batch.
    """

    new: NDArray[np.bool_]
    again: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    first: Int


_NONE, _FIRST = np.zeros(1, bool), np.zeros(1, np.int64)


def admit(events: EventBatch, seen: NDArray[np.bool_], watermark: Watermark, reject_late: bool) -> Admission:
    """Part the rows of a batch; `seen` (n,) marks those decided in an earlier one.

    The answer for each row is the same as if the rows had come one by one: what is refused neither counts as the first
    of its id nor moves the watermark, and nor does what is repeated.
    """
    if len(events) == 1 and not reject_late:
        return Admission(~seen, _NONE, _NONE, _FIRST)
    first = first_rows(events.ids)
    refused = np.zeros(len(events), bool)
    again = (first != np.arange(len(events))) & ~seen
    if reject_late and again.any():
        first, refused = _one_by_one(events, seen, watermark)
        again = first != np.arange(len(events))
    elif reject_late:
        reach_ns = events.reach if not seen.any() else np.where(seen, _NEVER, events.reach)
        refused = (events.time_ns < watermark.running(reach_ns) - watermark.lateness_ns) & ~seen
    return Admission(~(seen | again | refused), again, refused, first)


def _one_by_one(events: EventBatch, seen: NDArray[np.bool_], watermark: Watermark) -> tuple[Int, NDArray[np.bool_]]:
    """(n,) first rows and (n,) refusals: whether a row is the first of its id hangs on whether others were refused."""
    first, refused = np.arange(len(events)), np.zeros(len(events), bool)
    taken: dict[Identity, int] = {}
    now_ns = watermark.now_ns
    columns = (events.ids.tolist(), events.time_ns.tolist(), events.reach.tolist())
    for row, (one, time_ns, reach_ns) in enumerate(zip(*columns, strict=True)):
        if seen[row]:
            continue
        if one in taken:
            first[row] = taken[one]
        elif time_ns < now_ns - watermark.lateness_ns:
            refused[row] = True
        else:
            taken[one] = row
            now_ns = max(now_ns, reach_ns)
    return first, refused


def overlaps(ids: Ids, others: Iterable[Ids]) -> bool:
    """Whether an id is among those of other batches."""
    return any(
        len(other) > 0 and ids.code.min() <= other.code.max() and bool((rows_in(other, ids) >= 0).any())
        for other in others
    )
