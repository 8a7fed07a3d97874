"""Ticks -> blocks: the columns of consecutive ticks one after the other, so that a stage takes many ticks in one call.

A NumPy call costs about as much for a tick of 70 rows as for a week of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.maintain.contracts import Block, Known, Tick
from homeostat.records.arrays import Int
from homeostat.records.changes import Change
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.features import Features
from homeostat.records.signals import Measured

T = TypeVar("T")
_PLAIN = (
    "scores", "risk", "proposed", "action", "rule", "hits", "explored", "fallback", "propensity", "settings",
    "took_us", "arrived_ns",
)  # fmt: skip
_KNOWN = tuple(one.name for one in fields(Known))


def block_of(ticks: Sequence[Tick]) -> Block:
    """The block of consecutive ticks, one at least."""
    whole = ticks[0] if len(ticks) == 1 else _whole(ticks)
    offsets, known = _offsets([len(one) for one in ticks]), _offsets([len(one.known.label) for one in ticks])
    facts = [(one.number, one.start_ns, one.end_ns, one.events_n, one.letters_n, one.repeats) for one in ticks]
    number, start_ns, end_ns, events_n, letters_n, repeats = np.ascontiguousarray(np.array(facts, np.int64).T)
    changes, letters = [one.changes for one in ticks], [one.letters for one in ticks]
    return Block(whole, ticks, offsets, known, number, start_ns, end_ns, events_n, letters_n, repeats, changes, letters)


def shared(block: Block, name: str, of: Callable[[Block], T]) -> T:
    """A result that several monitors need: computed for the first of them."""
    if name not in block.shared:
        block.shared[name] = of(block)
    found: T = block.shared[name]
    return found


def of_tick(measured: Measured) -> Measured:
    """The values of a block of one tick, as those of the tick."""
    return Measured(measured.value[0], measured.n[0], measured.spread[0])


def _offsets(sizes: Sequence[int]) -> Int:
    found = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=found[1:])
    return found


def _whole(ticks: Sequence[Tick]) -> Tick:
    first, last = ticks[0], ticks[-1]
    some = [one for one in ticks if len(one)] or [first]
    versions, version = _versions(some)
    columns: dict[str, Any] = {name: _column([getattr(one, name) for one in some]) for name in _PLAIN}
    changes: list[Change] = [change for one in ticks for change in one.changes]
    letters: list[DeadLetter] = [letter for one in ticks for letter in one.letters]
    return Tick(
        first.number, first.start_ns, last.end_ns, events_together([one.events for one in some]),
        Features(
            first.features.names, _column([one.features.values for one in some]),
            _column([one.features.freshness for one in some]),
        ),
        **columns, version=version, versions=versions, known=_known([one.known for one in ticks]),
        changes=tuple(changes), letters=tuple(letters), letters_n=sum(one.letters_n for one in ticks),
        repeats=sum(one.repeats for one in ticks), events_n=sum(one.events_n for one in ticks),
    )  # fmt: skip


def _column(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def events_together(parts: list[EventBatch]) -> EventBatch:
    """The events of several batches, one after the other."""
    texts = parts[0].texts
    if any(one.texts is not texts for one in parts):
        texts = {name: text for one in parts for name, text in one.texts.items()}
    reaching = any(one.reach_ns is not None for one in parts)
    return EventBatch(
        _column([one.id_code for one in parts]), _column([one.time_ns for one in parts]),
        _column([one.keys for one in parts]), _column([one.numbers for one in parts]),
        _column([one.label for one in parts]), _column([one.kind for one in parts]), texts,
        _column([one.id_check for one in parts]), _column([one.key_checks for one in parts]),
        _column([one.reach for one in parts]) if reaching else None,
    )  # fmt: skip


def _known(parts: list[Known]) -> Known:
    some = [one for one in parts if len(one.label)]
    if len(some) <= 1:
        return some[0] if some else parts[0]
    return Known(*(np.concatenate([getattr(one, name) for one in some]) for name in _KNOWN))


def _versions(ticks: Sequence[Tick]) -> tuple[tuple[str, ...], Int]:
    """The makers of all decisions in the order in which they first appear, and each row's index into them."""
    place: dict[str, int] = {}
    rows: list[Int] = []
    for tick in ticks:
        index = np.array([place.setdefault(one, len(place)) for one in tick.versions], np.int64)
        rows.append(index[tick.version] if len(tick) else np.zeros(0, np.int64))
    return tuple(place), _column(rows)
