"""Outcomes that wait for the tick in which they become known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import AnyArray, Bytes, Float, Int, State
from homeostat.records.identity import ABSENT, Ids


@dataclass(frozen=True, slots=True)
class Reported:
    """Outcomes as columns, (m,) each; keys (m, entities).

    time_ns : of the event, ABSENT where nobody says
    whole : 1 where both kinds are known at this time, as of a label that came along with its event
    """

    id_code: Int
    id_check: Int
    label: Float
    amount: Float
    known_ns: Int
    time_ns: Int
    keys: Int
    whole: Bytes

    def __len__(self) -> int:
        return len(self.id_code)

    @property
    def ids(self) -> Ids:
        """(m,) of their events."""
        return Ids(self.id_code, self.id_check)

    def rows(self, at: Int | slice) -> Reported:
        """Some of them."""
        return Reported(*(getattr(self, name)[at] for name in _COLUMNS))


_COLUMNS = ("id_code", "id_check", "label", "amount", "known_ns", "time_ns", "keys", "whole")


def all_of(parts: Sequence[Reported]) -> Reported:
    """Several, one after the other; at least one."""
    if len(parts) == 1:
        return parts[0]
    return Reported(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))


class OutcomesDue:
    """See the module. Those beyond `rows_max` are dropped, the last come first, and counted in `dropped`."""

    def __init__(self, entities: int, rows_max: int) -> None:
        self.dropped = 0
        self._entities, self._rows_max, self._rows = entities, rows_max, 0
        self._waiting: dict[int, list[Reported]] = {}

    def __len__(self) -> int:
        return self._rows

    def add(self, outcomes: Reported, bins: Int) -> None:
        """Let outcomes wait; bins : (m,) the number of the span in which each counts."""
        room = self._rows_max - self._rows
        if len(outcomes) > room:
            self.dropped += len(outcomes) - room
            outcomes, bins = outcomes.rows(slice(0, room)), bins[:room]
        if not len(outcomes):
            return
        self._rows += len(outcomes)
        first = int(bins[0])
        if (bins == first).all():
            self._waiting.setdefault(first, []).append(outcomes)
            return
        order = np.argsort(bins, kind="stable")
        edges = np.flatnonzero(np.diff(bins[order])) + 1
        for at in np.split(order, edges):
            self._waiting.setdefault(int(bins[at[0]]), []).append(outcomes.rows(at))

    def take(self, number: int) -> Reported | None:
        """Those of one span, in the order in which they came; they wait no longer."""
        parts = self._waiting.pop(number, None)
        if parts is None:
            return None
        found = all_of(parts)
        self._rows -= len(found)
        return found

    def state(self) -> State:
        """All that wait, by span."""
        numbers = sorted(self._waiting)
        parts = [all_of(self._waiting[number]) for number in numbers]
        empty = np.zeros(0, np.int64)
        nothing = Reported(
            empty, empty, np.zeros(0), np.zeros(0), empty, empty, np.zeros((0, self._entities), np.int64),
            np.zeros(0, np.uint8),
        )  # fmt: skip
        together = all_of([*parts, nothing])
        found: State = {name: getattr(together, name) for name in _COLUMNS}
        found["bin"] = np.repeat(np.array(numbers, np.int64), [len(part) for part in parts])
        found["dropped"] = np.array([self.dropped])
        return found

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        self._waiting, self._rows = {}, 0
        columns: dict[str, AnyArray] = {name: state[name] for name in _COLUMNS}
        self.add(Reported(**columns), np.asarray(state["bin"], np.int64))
        self.dropped = int(state["dropped"][0])


def unplaced(m: int, entities: int) -> tuple[Int, Int]:
    """The times (m,) and keys (m, entities) of outcomes that don't say when and of whom their events were."""
    return np.full(m, ABSENT), np.full((m, entities), ABSENT)
