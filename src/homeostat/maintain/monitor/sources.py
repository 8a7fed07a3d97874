"""Sources that fall silent while the rest of the stream goes on: the busiest entities, each against its usual share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.maintain.monitor.figures import Memory
from homeostat.maintain.monitor.youth import DAY_NS
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.identity import ABSENT

_KEPT = 256
_FADES = 0.998  # A tick's weight: half of it is left after two weeks of hours.
_EXPECTED = 16.0  # So many events were to be expected: none is a chance of 1 in 9 million, at every tick and source.
_DAYS_LEAST = 4  # A source that was there for a day was a visitor.
_LONGER = 2.0  # People come in visits: a silence is longer than the longest so far.
_KNOWN = 30.0  # Events without which nobody knows a source's share.


class Sources:
    """The busiest entities by a summary of fixed size (space saving; Metwally, Agrawal, El Abbadi 2005).

    memory : `key` (k,), `count` (k,) faded, `missed` (k,) events of all since its own last, `longest`
        (k,) of these so far, `days` (k,) on
        which it was seen, `day` (k,) the last of these, `total` (1,) faded
    """

    def __init__(self) -> None:
        self.memory: Memory = {
            "key": np.full(_KEPT, ABSENT), "count": np.zeros(_KEPT), "missed": np.zeros(_KEPT),
            "longest": np.zeros(_KEPT), "total": np.zeros(1),
            "days": np.zeros(_KEPT, np.int64), "day": np.zeros(_KEPT, np.int64),
        }  # fmt: skip

    def silent(self, keys: Int, end_ns: int) -> tuple[float, Int]:
        """The share of the known sources' traffic that is missing, NaN while none is known; and those sources.

        keys : (n,) of a tick that ends at `end_ns`
        """
        share, gone = self.silent_of_ticks(keys, np.array([0, len(keys)]), np.array([end_ns]))
        return float(share[0]), gone[0]

    def silent_of_ticks(self, keys: Int, offsets: Int, end_ns: Int) -> tuple[Float, list[Int]]:
        """The same for each tick of a block: (k,) shares, and the sources. A tick without rows says nothing."""
        ordered, edges, k = np.array(keys, np.int64), offsets.tolist(), len(end_ns)
        for at in range(k):
            ordered[edges[at] : edges[at + 1]].sort()
        share, silent, silent_of = np.full(k, np.nan), np.empty(k * _KEPT, np.int64), np.zeros(k + 1, np.int64)
        memory = Busiest(*self.memory.values())
        _follow(memory, ordered, offsets, end_ns // DAY_NS, share, silent, silent_of)
        of = silent_of.tolist()
        return share, [silent[of[at] : of[at + 1]] for at in range(k)]


class Busiest(NamedTuple):
    """The memory of `Sources`, in its order; `often` is its `count`."""

    key: Int
    often: Float
    missed: Float
    longest: Float
    total: Float
    days: Int
    day: Int


@compiled
def _follow(
    memory: Busiest, keys: Int, offsets: Int, day: Int, share: Float, silent: Int, silent_of: Int
) -> None:  # fmt: skip
    """Take ticks in whose keys are in order; the silent sources of tick k are those from `silent_of[k]` on."""
    most = 1
    for k in range(len(day)):
        most = max(most, offsets[k + 1] - offsets[k])
    found, counts, strange = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.bool_)
    for k in range(len(day)):
        silent_of[k + 1] = silent_of[k]
        if offsets[k] == offsets[k + 1]:
            continue
        m, n = 0, 0
        for i in range(offsets[k], offsets[k + 1]):
            if keys[i] == ABSENT:
                continue
            n += 1
            if m and found[m - 1] == keys[i]:
                counts[m - 1] += 1
            else:
                found[m], counts[m], strange[m] = keys[i], 1, True
                m += 1
        memory.total[0] = memory.total[0] * _FADES + n
        for j in range(len(memory.key)):
            memory.often[j] *= _FADES
            memory.missed[j] += n
            place = np.searchsorted(found[:m], memory.key[j])
            if place < m and found[place] == memory.key[j]:
                strange[place] = False
                memory.often[j] += counts[place]
                memory.longest[j] = max(_FADES * memory.longest[j], memory.missed[j])
                memory.missed[j] = 0.0
                memory.days[j] += memory.day[j] != day[k]
                memory.day[j] = day[k]
        if m:
            _admit(memory, found[:m][strange[:m]], counts[:m][strange[:m]])
        _judge(memory, k, share, silent, silent_of)


@compiled
def _admit(memory: Busiest, keys: Int, counts: Int) -> None:
    """Let the busiest strangers in, at the places of the least. keys : in order"""
    if not len(keys):
        return
    order = np.argsort(-counts, kind="mergesort")
    # A stranger takes the place of one that it may have outdone by now: those known well are not pushed out.
    places = np.flatnonzero(memory.often <= max(counts[order[0]] + 1.0, 2.0))
    places = places[np.argsort(memory.key[places], kind="mergesort")]
    places = places[np.argsort(memory.often[places], kind="mergesort")]
    for i in range(min(len(order), len(places))):
        place, count = places[i], counts[order[i]]
        if memory.often[place] > max(count + 1.0, 2.0):
            return
        memory.key[place] = keys[order[i]]
        memory.often[place] += count
        memory.missed[place] = memory.longest[place] = 0.0
        memory.days[place] = memory.day[place] = 0


@compiled
def _judge(memory: Busiest, k: int, share: Float, silent: Int, silent_of: Int) -> None:
    """Which of the known sources are silent, and their share of the traffic of all that are known."""
    known, gone = 0.0, 0.0
    for j in range(len(memory.key)):
        if memory.often[j] < _KNOWN or memory.days[j] < _DAYS_LEAST or memory.total[0] <= 0.0:
            continue
        known += memory.often[j]
        expected = memory.often[j] / memory.total[0] * memory.missed[j]
        if expected > _EXPECTED and memory.missed[j] > _LONGER * memory.longest[j]:
            gone += memory.often[j]
            silent[silent_of[k + 1]] = memory.key[j]
            silent_of[k + 1] += 1
    if known > 0.0:
        share[k] = gone / known
