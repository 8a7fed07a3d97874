"""A worker's journal, timed, with its failures counted, where the threads of the worker use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.meters import Meters
from homeostat.ports import Clock, Unavailable
from homeostat.ports.shared import Located, SharedJournal
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import Ids
from homeostat.records.reasons import Reason

T = TypeVar("T")


class WatchedJournal:
    """A SharedJournal whose appends and look-ups of events are timed as the stage `journal`, and its failures counted.

    To a worker's loop that stage is but the note that a batch is on its way: other threads append.
    """

    def __init__(self, inner: SharedJournal, meters: Meters, clock: Clock) -> None:
        self._inner, self._meters, self._clock = inner, meters, clock

    def __getattr__(self, name: str) -> Any:
        """All that is neither timed nor counted."""
        return getattr(self._inner, name)

    def append(self, body: DecisionBatch | OutcomeBatch, places: Sequence[str] | None = None) -> int:
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
