"""A worker's journal, timed, with its failures counted, where the threads of the worker use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.meters import Meters
from homeostat.ports import Clock, Entry, Unavailable
from homeostat.ports.shared import Backlog, Located, SharedJournal
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Coding, Identity, Ids
from homeostat.records.reasons import Reason

T = TypeVar("T")


class WatchedJournal:
    """A SharedJournal whose appends and look-ups of events are timed as the stage `journal`, and its failures counted.

    To a worker's loop that stage is but the note that a batch is on its way: other threads append.
    """

    def __init__(self, inner: SharedJournal, meters: Meters, clock: Clock) -> None:
        self._inner, self._meters, self._clock = inner, meters, clock

    def append(self, body: Body, places: Sequence[str] | None = None) -> int:
        """See `SharedJournal`; so for the others."""
        return self._timed(lambda: self._inner.append(body, places))

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        return self._timed(lambda: self._inner.seen(ids))

    def places(self, ids: Ids) -> list[str | None]:
        return self._counted(lambda: self._inner.places(ids))

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        return self._counted(lambda: self._inner.find_all(ids))

    def locate(self, ids: Ids) -> Located:
        return self._counted(lambda: self._inner.locate(ids))

    # Calls that are neither timed nor counted.

    @property
    def appended(self) -> int:
        return self._inner.appended

    @property
    def coding(self) -> Coding:
        return self._inner.coding

    @property
    def identity(self) -> str:
        return self._inner.identity

    @property
    def last(self) -> int:
        return self._inner.last

    @property
    def degraded(self) -> bool:
        return self._inner.degraded

    @property
    def reason(self) -> str:
        return self._inner.reason

    @property
    def backlog(self) -> Backlog | None:
        return self._inner.backlog

    def read(self, after: int = 0) -> Iterator[Entry]:
        return self._inner.read(after)

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        return self._inner.find(event_id)

    def find_text(self, event_id: str) -> tuple[DecisionBatch, int] | None:
        return self._inner.find_text(event_id)

    def sequence_of(self, event_id: Identity) -> int | None:
        return self._inner.sequence_of(event_id)

    def newest(self, rows: int) -> list[DecisionBatch]:
        return self._inner.newest(rows)

    def recall(self) -> None:
        self._inner.recall()

    def wait_until_written(self, wait_s: float) -> bool:
        return self._inner.wait_until_written(wait_s)

    def retire(self) -> object:
        return self._inner.retire()

    def close(self) -> None:
        self._inner.close()

    def _timed(self, ask: Callable[[], T]) -> T:
        began_ns = self._clock.monotonic_ns()
        try:
            return self._counted(ask)
        finally:
            self._meters.spent_aside("journal", self._clock.monotonic_ns() - began_ns)

    def _counted(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except Unavailable:
            self._meters.failed("journal", "journal", Reason.JOURNAL_FAILED)
            raise
