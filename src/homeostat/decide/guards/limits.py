"""How many events of an entity go their ordinary way: what is beyond a rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float, State
from homeostat.records.events import EventBatch
from homeostat.records.identity import ABSENT

_NEVER = -(1 << 63)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Beyond `count` events of one entity within `per_ns`, a rule holds.

    column : of the entity among `EventBatch.keys`
    """

    column: int
    count: int
    per_ns: int


class Limiter:
    """Remembers the last events of each entity. Not for several threads at once.

    An event is beyond the rate if `count` events of its entity came before it, the first of them less than `per_ns`
    before the newest time of the entity. Events beyond the rate count, too: who goes on gets no further.
    """

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._last: dict[tuple[int, int], deque[int]] = {}
        self._now_ns, self._kept = _NEVER, 0

    def beyond(self, events: EventBatch, asked: Float) -> Float:
        """(n,) 1 where an event is beyond the rate, 0 elsewhere.

        asked : (n,) 1 where an event counts
        """
        limit, found = self.limit, np.zeros(len(events))
        codes, checks = events.keys[:, limit.column].tolist(), events.key_checks[:, limit.column].tolist()
        for row, (time_ns, reach_ns, counts) in enumerate(
            zip(events.time_ns.tolist(), events.reach.tolist(), asked.tolist(), strict=True)
        ):
            self._now_ns = max(self._now_ns, reach_ns)
            if counts != 1.0 or codes[row] == ABSENT:
                continue
            entity = codes[row], checks[row]
            last = self._last.get(entity)
            # An entity that was silent for so long begins again, whether or not it was forgotten by now.
            if last is None or last[-1] <= self._now_ns - limit.per_ns:
                last = self._last[entity] = deque(maxlen=limit.count)
            moment_ns = max(time_ns, last[-1]) if last else time_ns
            found[row] = float(len(last) == limit.count and moment_ns - last[0] < limit.per_ns)
            last.append(moment_ns)
        self._forget()
        return found

    def _forget(self) -> None:
        """Let go of those that were silent for so long, once they may be half of all."""
        if len(self._last) >= 2 * max(512, self._kept):
            oldest_ns = self._now_ns - self.limit.per_ns
            self._last = {one: last for one, last in self._last.items() if last[-1] > oldest_ns}
            self._kept = len(self._last)

    def state(self) -> State:
        """Those that were not silent for so long, in the order in which they came."""
        oldest_ns = self._now_ns - self.limit.per_ns
        living = {one: last for one, last in self._last.items() if last[-1] > oldest_ns}
        return {
            "keys": np.array(list(living), np.int64).reshape(-1, 2),
            "many": np.array([len(last) for last in living.values()], np.int64),
            "times": np.array([one for last in living.values() for one in last], np.int64),
            "now_ns": np.array([self._now_ns]),
        }

    def restore(self, state: State) -> None:
        """Continue from `state()`."""
        times, ends = state["times"].tolist(), np.cumsum(state["many"]).tolist()
        starts = [0, *ends[:-1]]
        self._last = {
            (code, check): deque(times[start:stop], maxlen=self.limit.count)
            for (code, check), start, stop in zip(state["keys"].tolist(), starts, ends)
        }
        self._now_ns, self._kept = int(state["now_ns"][0]), 0
