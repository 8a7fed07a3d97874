"""Which rows of a batch are new, which repeat an earlier event, and which come too late to count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Int, State
from homeostat.records.events import EventBatch, Row

_NEVER = np.iinfo(np.int64).min


def first_rows(id_code: Int) -> Int:
    """For each row, the first row of the batch with the same id.

    id_code : (n,) event id codes
    Returns (n,) row numbers; a row whose id is new to the batch names itself.

    >>> first_rows(np.array([5, 7, 5])).tolist()
    [0, 1, 0]
    """
    if len(id_code) < 2 or bool(np.all(id_code[1:] > id_code[:-1])):  # Ids that only grow can't repeat.
        return np.arange(len(id_code))
    _, first, inverse = np.unique(id_code, return_index=True, return_inverse=True)
    return first[inverse]


class Watermark:
    """The latest event time seen, and what is later than the declared bound behind it.

    lateness_ns : how far events may arrive out of order
    """

    def __init__(self, lateness_ns: int) -> None:
        self._lateness_ns = lateness_ns
        self.now_ns = _NEVER

    def advance(self, time_ns: Int) -> Int:
        """The watermark as each row arrives, the row itself included: (n,), never falling."""
        running = np.maximum.accumulate(np.maximum(time_ns, self.now_ns))
        self.now_ns = int(running[-1]) if len(running) else self.now_ns
        return running

    def late(self, time_ns: Int) -> NDArray[np.bool_]:
        """Which rows would come later than the bound; the watermark stays where it is."""
        running = np.maximum.accumulate(np.maximum(time_ns, self.now_ns))
        return np.asarray(time_ns < running - self._lateness_ns)

    def mark_late(self, events: EventBatch, running: Int) -> EventBatch:
        """The batch with its late rows marked, so that the windows leave them out."""
        late = events.time_ns < running - self._lateness_ns
        if not late.any():
            return events
        kind = np.where(late & (events.kind == Row.EVENT), np.uint8(Row.LATE_EVENT), events.kind)
        return replace(events, kind=kind)

    def state(self) -> State:
        return {"now_ns": np.array([self.now_ns])}

    def restore(self, state: State) -> None:
        self.now_ns = int(state["now_ns"][0])
