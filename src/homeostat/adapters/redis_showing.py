"""What entities show to people and other programs: the newest values of each, put up a share at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice, repeat

import numpy as np

from homeostat.adapters.redis_wire import Call
from homeostat.ports.shared import Shown
from homeostat.records.features import Freshness

_SHARE = 8  # One entity is shown for every so many that are exchanged: showing one costs several times as much.
_SHARE_MIN = 32
_WAITING_MAX = 50_000  # More than that are shown at once, lest they fill the memory.
_ROWS_MAX = 100_000  # What waits is copied out of its batches when they have so many.
_FRESHNESS = [one.name.lower() for one in Freshness]

Place = tuple[Shown, int]
Waiting = dict[tuple[str, int], Place]


class Showing:
    """Values that wait to be shown.

    plan : version of the logs
    script : the digest of the script that shows
    every_s : how often what an entity shows is renewed at the most
    chunk : entities of one call
    ttl_s : after how long what nobody renews expires
    """

    def __init__(self, plan: str, script: str, every_s: float, chunk: int) -> None:
        self.ttl_s = 86_400
        self._plan, self._script, self._every_s, self._chunk = plan, script, every_s, chunk
        self._next: Waiting = {}  # Shown in the next round.
        self._now: Waiting = {}  # Shown in this one.
        self._begun = time.monotonic()
        self._rows = 0

    def add(self, shown: Iterable[Shown]) -> None:
        """Let these wait; they replace what waits of the same entities."""
        for one in shown:
            if one.last.min(initial=0) < 0:  # Outcomes have nothing to show.
                rows = np.flatnonzero(one.last >= 0)
                one = replace(one, codes=one.codes[rows], rows=one.rows[rows], last=one.last[rows])
            self._next.update(zip(zip(repeat(one.entity), one.codes.tolist()), zip(repeat(one), range(len(one.codes)))))
            self._rows += len(one.values)
        if self._rows > _ROWS_MAX:
            self._next, self._now, self._rows = _compact(self._next), _compact(self._now), 0

    def due(self, exchanged: int) -> list[Call]:
        """Calls that show a share of what has waited long enough.

        exchanged : entities exchanged along with them
        """
        if not self._now:
            if not self._next or time.monotonic() - self._begun < self._every_s:
                return []
            self._begin()
        share = max(_SHARE_MIN, exchanged // _SHARE)
        waiting = len(self._now) + len(self._next)
        return self._take(waiting if waiting > _WAITING_MAX else share)

    def everything(self) -> list[Call]:
        """Calls that show all that waits."""
        calls = self._take(len(self._now))
        self._begin()
        return calls + self._take(len(self._now))

    def _begin(self) -> None:
        self._now, self._next, self._begun = self._next, {}, time.monotonic()

    def _take(self, count: int) -> list[Call]:
        taken = []
        for entity in list(islice(self._now, count)):
            place = self._now.pop(entity)
            taken.append(self._next.pop(entity, place))
        alike: dict[tuple[str, ...], list[Place]] = {}
        for one in taken:
            alike.setdefault(one[0].names, []).append(one)
        return [
            self._call(names, those[start : start + self._chunk])
            for names, those in alike.items() for start in range(0, len(those), self._chunk)
        ]  # fmt: skip

    def _call(self, names: tuple[str, ...], those: Sequence[Place]) -> Call:
        keys: list[str] = []
        told: list[str] = []
        for shown, g in those:
            text, values, fresh, time_ns = shown.values_of(g)
            keys.append(f"features:{shown.entity}:{text}")
            numbers = [repr(value).removesuffix(".0") for value in values.tolist()]
            told += (str(int(shown.rows[g])), instant(time_ns), _FRESHNESS[fresh], *numbers)
        head = (str(self.ttl_s), self._plan, str(len(names)), *names)
        return Call(keys[0], ("EVALSHA", self._script, str(len(keys)), *keys, *head, *told))


def _compact(waiting: Waiting) -> Waiting:
    """The same with no more of each batch than what waits of it."""
    by_batch: dict[int, list[tuple[tuple[str, int], Place]]] = {}
    for key, place in waiting.items():
        by_batch.setdefault(id(place[0]), []).append((key, place))
    made: Waiting = {}
    for places in by_batch.values():
        shown = places[0][1][0]
        if len(shown.values) <= 2 * len(places):
            made.update(places)
            continue
        rows = np.array([g for _, (_, g) in places])
        last = shown.last[rows]
        small = replace(
            shown, codes=shown.codes[rows], rows=shown.rows[rows], last=np.arange(len(rows)),
            slots=np.arange(len(shown.slots)), values=shown.values[np.ix_(last, shown.slots)],
            freshness=shown.freshness[np.ix_(last, shown.slots)], time_ns=shown.time_ns[last],
        )  # fmt: skip
        made.update((key, (small, k)) for k, (key, _) in enumerate(places))
    return made


def instant(time_ns: int) -> str:
    """An event time as people read it.

    >>> instant(1_500_000_000_250_000_000)
    '2017-07-14T02:40:00.25Z'
    """
    seconds, rest = divmod(time_ns, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else text + "Z"
