"""Remembers the contents of recent events, so that a repeat under another id is found."""

from __future__ import annotations

import numpy as np

from homeostat.decide.repairing.plan import CopyPlan
from homeostat.records.arrays import Int, Mask, State
from homeostat.records.events import EventBatch, Row


class Copies:
    """Contents, each with the time of the first event that had it. Not for several threads at once."""

    def __init__(self, plan: CopyPlan) -> None:
        self._plan = plan
        self._first: dict[bytes, int] = {}

    def among(self, events: EventBatch, running: Int, asked: Mask) -> Mask:
        """(n,) which events are copies of one before them. Late events and outcomes are left alone.

        running : (n,) the watermark as each event arrives
        asked : (n,) which events may be copies or originals
        An original that is further back than `keep_ns` behind the watermark is forgotten at once, so that the answer
        is the same however events are batched.
        """
        plan, first = self._plan, self._first
        copy = np.zeros(len(events), bool)
        contents = self._contents(events)
        for row in np.flatnonzero(asked & (events.kind == Row.EVENT)).tolist():
            content, time_ns, oldest_ns = (
                contents[row].tobytes(),
                int(events.time_ns[row]),
                int(running[row]) - plan.keep_ns,
            )
            was_ns = first.get(content)
            if was_ns is not None and was_ns >= oldest_ns and abs(time_ns - was_ns) <= plan.within_ns:
                copy[row] = True
            else:
                first[content] = time_ns
        if len(events):
            oldest_ns = int(running[-1]) - plan.keep_ns
            for content in [content for content, time_ns in first.items() if time_ns < oldest_ns]:
                del first[content]
        return copy

    def _contents(self, events: EventBatch) -> Int:
        """(n, k) the bits of what makes an event's content, as it came."""
        plan, numbers = self._plan, events.as_came.numbers
        parts = [events.keys[:, list(plan.keys)], events.key_checks[:, list(plan.keys)]]
        parts.append(np.ascontiguousarray(numbers[:, list(plan.numbers)]).view(np.int64))
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def state(self) -> State:
        width = 2 * len(self._plan.keys) + len(self._plan.numbers)
        contents = np.frombuffer(b"".join(self._first), np.int64).reshape(-1, width).copy()
        return {"contents": contents, "time_ns": np.array(list(self._first.values()), np.int64)}

    def restore(self, state: State) -> None:
        contents = np.ascontiguousarray(state["contents"], np.int64)
        self._first = {row.tobytes(): int(time_ns) for row, time_ns in zip(contents, state["time_ns"], strict=True)}
