"""Batches of decisions that are found by their event ids without asking a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.id_index import IdIndex
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, Row, row_of
from homeostat.records.identity import is_hashed

Held = tuple[DecisionBatch, Sequence[str]]
Located = tuple[NDArray[np.bool_], Int, Int, dict[int, str]]
_STALE_MAX = 65_536  # Ids of forgotten batches that the index may hold before it is made anew.
_LOADED = 4  # Batches read lately that are kept.


class Remembered:
    """Decisions by event id; in order of arrival, the oldest go first. Not for use by several threads at once."""

    def __init__(self, rows_max: int) -> None:
        """rows_max : about so many decisions are kept, whole batches at a time; 0 keeps all until they are dropped."""
        self._rows_max = rows_max
        self._index = IdIndex()
        self._batches: dict[int, tuple[Int, Callable[[], Held]]] = {}
        self._located: dict[int, tuple[Int, Int, dict[int, str]]] = {}  # Times, keys, and the keys' texts.
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
        codes, keys = events.id_code[rows], events.keys[rows]
        texts = {key: events.texts[key] for key in np.unique(keys).tolist() if is_hashed(key) and key in events.texts}
        self._located[number] = events.time_ns[rows], keys, texts  # Outcomes ask: too often to load a batch for each.
        self._index.put_all(codes, number)
        self._batches[number] = (codes, load)
        self._rows += len(codes)

    def drop(self, number: int) -> None:
        """Forget a batch, the oldest one; nothing happens where none has that number, as outcomes have not."""
        if number not in self._batches:
            return
        codes, _ = self._batches.pop(number)
        del self._located[number]
        self._loaded.pop(number, None)
        self._rows -= len(codes)
        if len(self._index) > 2 * self._rows + _STALE_MAX:
            self._index = IdIndex()
            for kept, (held, _) in self._batches.items():
                self._index.put_all(held, kept)

    def seen(self, id_code: Int) -> NDArray[np.bool_]:
        """(n,) whether each event id is known."""
        first = next(iter(self._batches), None)
        if first is None:
            return np.zeros(len(id_code), np.bool_)
        return self._index.entries(id_code) >= first  # What was dropped is still in the index, under lower numbers.

    def batch_of(self, id_code: int) -> Held | None:
        """The batch that holds an id, with its places; None where it is not known."""
        number = int(self._index.entries(np.array([id_code], np.int64))[0])
        if number not in self._batches:
            return None
        held = self._loaded.get(number)
        if held is None:
            held = self._loaded[number] = self._batches[number][1]()
            while len(self._loaded) > _LOADED:
                del self._loaded[next(iter(self._loaded))]
        return held

    def find(self, id_code: int) -> tuple[DecisionBatch, int] | None:
        """The decision of an event id as its batch and row; None where it is not known."""
        held = self.batch_of(id_code)
        return None if held is None else (held[0], _row(held[0].events, id_code))

    def find_all(self, id_code: Int) -> list[tuple[DecisionBatch, int] | None]:
        """The same for each of (n,) event ids; a batch is loaded once."""
        out: list[tuple[DecisionBatch, int] | None] = [None] * len(id_code)
        for k in np.argsort(self._index.entries(id_code), kind="stable").tolist():
            out[k] = self.find(int(id_code[k]))
        return out

    def places(self, id_code: Int) -> list[str | None]:
        """(n,) where each known event was read; None for others."""
        out: list[str | None] = [None] * len(id_code)
        for k in np.flatnonzero(self.seen(id_code)).tolist():
            held = self.batch_of(int(id_code[k]))
            assert held is not None
            out[k] = held[1][_row(held[0].events, int(id_code[k]))]
        return out

    def locate(self, id_code: Int) -> Located:
        """Whether each event is known (n,), its time (n,), its keys (n, entities), and the texts of hashed keys."""
        mask, time_ns = np.zeros(len(id_code), np.bool_), np.zeros(len(id_code), np.int64)
        keys, texts = np.zeros((len(id_code), 0), np.int64), dict[int, str]()
        numbers = self._index.entries(id_code)
        for k in np.flatnonzero(self.seen(id_code)).tolist():
            number = int(numbers[k])
            moments, own, told = self._located[number]
            row = int(np.flatnonzero(self._batches[number][0] == id_code[k])[0])
            if keys.shape[1] != own.shape[1]:
                keys = np.zeros((len(id_code), own.shape[1]), np.int64)
            mask[k], time_ns[k], keys[k] = True, moments[row], own[row]
            texts.update({key: told[key] for key in own[row].tolist() if key in told})
        return mask, time_ns, keys, texts


def merge_located(one: Located, rest: Located, rows: Int) -> Located:
    """What was located, and what was located of its rows (m,) elsewhere."""
    mask, time_ns, keys, texts = one
    if keys.shape[1] < rest[2].shape[1]:
        keys = np.zeros((len(mask), rest[2].shape[1]), np.int64)
        assert not mask.any(), "events of one app have the same entities"
    mask[rows], time_ns[rows] = rest[0], rest[1]
    if rest[2].shape[1]:
        keys[rows] = rest[2]
    return mask, time_ns, keys, {**texts, **rest[3]}


def _row(events: EventBatch, id_code: int) -> int:
    row = row_of(events, id_code)
    assert row is not None, "the index names the batch"
    return row
