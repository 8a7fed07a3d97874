"""Batches of decisions that are found by their event ids without asking a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.disk.sqlite.id_index import IdIndex
from homeostat.ports.shared import Located
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, Row, row_of
from homeostat.records.identity import Identity, Ids, IdTexts, texts_of

Held = tuple[DecisionBatch, Sequence[str]]
_STALE_MAX = 65_536  # Ids of forgotten batches that the index may hold before it is rebuilt.
_LOADED = 4  # Batches read lately that are kept.


class Remembered:
    """Decisions by event id; in order of arrival, the oldest go first. Not for use by several threads at once."""

    def __init__(self, rows_max: int) -> None:
        """rows_max : about so many decisions are kept, whole batches at a time; 0 keeps all until they are dropped."""
        self._rows_max = rows_max
        self._index = IdIndex()
        self._batches: dict[int, tuple[Ids, Callable[[], Held]]] = {}
        self._located: dict[int, tuple[Int, Int, Int, IdTexts]] = {}  # Times, keys, their checks, and their texts.
        self._loaded: dict[int, Held] = {}
        self._number = self._rows = 0

    def __len__(self) -> int:
        """How many decisions are known."""
        return self._rows

    def put(self, body: DecisionBatch, places: Sequence[str] | None) -> None:
        """Keep a batch in memory."""
        self._number += 1  # From 1: the index knows no entry 0.
        held = (body, [""] * len(body) if places is None else places)
        self.put_lazily(body.events, self._number, lambda: held)
        while self._rows_max and self._rows > self._rows_max and len(self._batches) > 1:
            self.drop(next(iter(self._batches)))

    def put_lazily(self, events: EventBatch, number: int, load: Callable[[], Held]) -> None:
        """Keep the ids of a batch, which `load` gives when it is asked for; numbers rise."""
        rows = events.kind != Row.OUTCOME
        ids, keys, checks = events.ids[rows], events.keys[rows], events.key_checks[rows]
        texts = texts_of(keys, checks, events.texts)
        self._located[number] = events.time_ns[rows], keys, checks, texts  # Outcomes ask: too often to load each batch.
        self._index.put_all(ids, number)
        self._batches[number] = (ids, load)
        self._rows += len(ids)

    def drop(self, number: int) -> None:
        """Forget a batch, the oldest one; nothing happens where none has that number, as outcomes have not."""
        if number not in self._batches:
            return
        ids, _ = self._batches.pop(number)
        del self._located[number]
        self._loaded.pop(number, None)
        self._rows -= len(ids)
        if len(self._index) > 2 * self._rows + _STALE_MAX:
            self._index = IdIndex()
            for kept, (held, _) in self._batches.items():
                self._index.put_all(held, kept)

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        """(n,) whether each event id is known."""
        first = next(iter(self._batches), None)
        if first is None:
            return np.zeros(len(ids), np.bool_)
        return self._index.entries(ids) >= first  # Dropped rows are still in the index, under lower numbers.

    def batch_of(self, event_id: Identity) -> Held | None:
        """The batch that holds an id, with its places; None where it is not known."""
        number = int(self._index.entries(Ids.of([event_id]))[0])
        if number not in self._batches:
            return None
        held = self._loaded.get(number)
        if held is None:
            held = self._loaded[number] = self._batches[number][1]()
            while len(self._loaded) > _LOADED:
                del self._loaded[next(iter(self._loaded))]
        return held

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        """The decision of an event id as its batch and row; None where it is not known."""
        held = self.batch_of(event_id)
        return None if held is None else (held[0], _row(held[0].events, event_id))

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """The same for each of (n,) event ids; a batch is loaded once."""
        out: list[tuple[DecisionBatch, int] | None] = [None] * len(ids)
        for k in np.argsort(self._index.entries(ids), kind="stable").tolist():
            out[k] = self.find(ids.at(k))
        return out

    def places(self, ids: Ids) -> list[str | None]:
        """(n,) where each known event was read; None for others."""
        out: list[str | None] = [None] * len(ids)
        for k in np.flatnonzero(self.seen(ids)).tolist():
            held = self.batch_of(ids.at(k))
            assert held is not None
            out[k] = held[1][_row(held[0].events, ids.at(k))]
        return out

    def locate(self, ids: Ids) -> Located:
        """When and of whom each event was, where it is known."""
        mask, time_ns = np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.int64)
        keys, checks = np.zeros((2, len(ids), 0), np.int64)
        texts: IdTexts = {}
        numbers = self._index.entries(ids)
        for k in np.flatnonzero(self.seen(ids)).tolist():
            number = int(numbers[k])
            moments, own, own_checks, known = self._located[number]
            row = int(np.flatnonzero(self._batches[number][0].where(ids.at(k)))[0])
            if keys.shape[1] != own.shape[1]:
                keys, checks = np.zeros((2, len(ids), own.shape[1]), np.int64)
            mask[k], time_ns[k], keys[k], checks[k] = True, moments[row], own[row], own_checks[row]
            texts.update(texts_of(own[row], own_checks[row], known))
        return Located(mask, time_ns, keys, checks, texts)


def merge_located(one: Located, rest: Located, rows: Int) -> Located:
    """Two answers to one search as one: the rows located here, and those (m,) located elsewhere."""
    found, time_ns, keys, checks = one.found, one.time_ns, one.keys, one.key_checks
    if keys.shape[1] < rest.keys.shape[1]:
        keys, checks = np.zeros((2, len(found), rest.keys.shape[1]), np.int64)
        assert not found.any(), "events of one app have the same entities"
    found[rows], time_ns[rows] = rest.found, rest.time_ns
    if rest.keys.shape[1]:
        keys[rows], checks[rows] = rest.keys, rest.key_checks
    return Located(found, time_ns, keys, checks, {**one.texts, **rest.texts})


def _row(events: EventBatch, event_id: Identity) -> int:
    row = row_of(events, event_id)
    assert row is not None, "the index names the batch"
    return row
