"""Entities as people and other programs see them: the newest values of each, put up a share at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from homeostat.adapters.redis.wire import Call
from homeostat.ports.shared import Shown
from homeostat.records.arrays import Int
from homeostat.records.features import Freshness
from homeostat.records.identity import Identity, Ids

_SHARE = 8  # One entity is shown for every so many that are exchanged: showing one costs several times as much.
_SHARE_MIN = 32
_WAITING_MAX = 50_000  # More than that are shown at once, so that they don't fill the memory.
_ROWS_MAX = 100_000  # Waiting rows are copied out of their batches when they have so many.
_BATCH_ROWS = 20  # As many as a batch of one takes memory for.
_FRESHNESS = [one.name.lower() for one in Freshness]

_PLACES = 1 << 20  # A place is a batch's number times this, and the entity's in the batch.

Waiting = dict[tuple[str, ...], dict[Identity, int]]
"""By kind of entity and the names of its values: the place of each entity's newest values, by its identity."""


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
        self._batches: dict[int, Shown] = {}
        self._last = 0
        self._rows = 0

    def add(self, shown: Iterable[Shown]) -> None:
        """Let these wait; they replace what waits of the same entities."""
        for one in shown:
            if one.last.min(initial=0) < 0:  # Outcomes have nothing to show.
                rows = np.flatnonzero(one.last >= 0)
                one = replace(one, ids=one.ids[rows], rows=one.rows[rows], last=one.last[rows])
            assert len(one.ids) < _PLACES, "a batch has too many entities"
            first = self._keep(one)
            waiting = self._next.setdefault((one.entity, *one.names), {})
            waiting.update(zip(one.ids.tolist(), range(first, first + len(one.ids))))
            self._rows += len(one.values) + _BATCH_ROWS
        if self._rows > _ROWS_MAX:
            self._compact()

    def _keep(self, one: Shown) -> int:
        self._last += 1
        self._batches[self._last] = one
        return self._last * _PLACES

    def due(self, exchanged: int) -> list[Call]:
        """Calls that show a share of what has waited long enough.

        exchanged : entities exchanged along with them
        """
        if not self._now:
            if not self._next or time.monotonic() - self._begun < self._every_s:
                return []
            self._begin()
        share = max(_SHARE_MIN, exchanged // _SHARE)
        waiting = sum(map(len, self._now.values())) + sum(map(len, self._next.values()))
        return self._take(waiting if waiting > _WAITING_MAX else share)

    def everything(self) -> list[Call]:
        """Calls that show all that waits."""
        calls = self._take(_PLACES * _PLACES)
        self._begin()
        return calls + self._take(_PLACES * _PLACES)

    def _begin(self) -> None:
        self._now, self._next, self._begun = self._next, {}, time.monotonic()

    def _take(self, count: int) -> list[Call]:
        calls = []
        for kind in list(self._now):
            places, newer = self._now[kind], self._next.get(kind, {})
            first = list(islice(places, count))
            count -= len(first)
            taken = [newer.pop(one, place) for one, place in [(one, places.pop(one)) for one in first]]
            if not places:
                del self._now[kind]
            those = [(self._batches[place // _PLACES], place % _PLACES) for place in taken]
            calls += [self._call(kind[1:], those[at : at + self._chunk]) for at in range(0, len(those), self._chunk)]
        return calls

    def _compact(self) -> None:
        """Keep no more of each batch than what waits of it."""
        old, self._batches, self._rows = self._batches, {}, 0
        for waiting in (self._now, self._next):
            for places in waiting.values():
                ids, held = Ids.of(list(places)), np.array(list(places.values()), np.int64)
                numbers, counts = np.unique(held // _PLACES, return_counts=True)
                for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
                    batch = old[number]
                    if len(batch.values) <= 2 * count:  # It stays as it is: a copy would take no less.
                        self._batches[number] = batch
                        continue
                    mine = np.flatnonzero(held // _PLACES == number)
                    first = self._keep(_part(batch, held[mine] % _PLACES))
                    places.update(zip(ids[mine].tolist(), range(first, first + count)))

    def _call(self, names: tuple[str, ...], those: Sequence[tuple[Shown, int]]) -> Call:
        keys: list[str] = []
        arguments: list[str] = []
        for shown, g in those:
            text, values, fresh, time_ns = shown.values_of(g)
            keys.append(f"features:{shown.entity}:{text}")
            numbers = [repr(value).removesuffix(".0") for value in values.tolist()]
            arguments += (str(int(shown.rows[g])), instant(time_ns), _FRESHNESS[fresh], *numbers)
        head = (str(self.ttl_s), self._plan, str(len(names)), *names)
        return Call(keys[0], ("EVALSHA", self._script, str(len(keys)), *keys, *head, *arguments))


def _part(shown: Shown, those: Int) -> Shown:
    """Some entities of a batch, and no more of its values than theirs."""
    last = shown.last[those]
    return replace(
        shown, ids=shown.ids[those], rows=shown.rows[those], last=np.arange(len(those)),
        slots=np.arange(len(shown.slots)), values=shown.values[np.ix_(last, shown.slots)],
        freshness=shown.freshness[np.ix_(last, shown.slots)], time_ns=shown.time_ns[last],
    )  # fmt: skip


def instant(time_ns: int) -> str:
    """An event time as people read it.

    >>> instant(1_500_000_000_250_000_000)
    '2017-07-14T02:40:00.25Z'
    """
    seconds, rest = divmod(time_ns, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else text + "Z"
