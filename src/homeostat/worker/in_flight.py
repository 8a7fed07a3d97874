"""The journal as the loop of a worker sees it: what is decided is journalled a moment later, in another thread.

Nothing is published before it is journalled; so the loop may go on with the next batch meanwhile, as long as it knows
that what is on its way was decided.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from homeostat.ports import Entry
from homeostat.ports.shared import SharedJournal
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import row_of
from homeostat.records.identity import Identity, Ids, rows_in


class InFlightJournal:
    """A `Journal` that only notes decisions; who writes them calls `landed` then."""

    def __init__(self, inner: SharedJournal) -> None:
        self.inner = inner
        self._flying: list[DecisionBatch] = []
        self._lock = threading.Lock()

    def append(self, body: Body) -> int:
        """Note decisions as being on their way; changes are written before anything is decided under them.

        Raises Unavailable.
        """
        if isinstance(body, ChangeBatch):
            return self.inner.append(body)
        assert isinstance(body, DecisionBatch), "a worker journals outcomes itself"
        with self._lock:
            self._flying.append(body)
        return 0

    def landed(self, body: DecisionBatch) -> None:
        """Forget decisions that are in the journal now."""
        with self._lock:
            self._flying = [one for one in self._flying if one is not body]

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        """(n,) whether each event was decided, or is being journalled."""
        found: NDArray[np.bool_] = np.zeros(len(ids), bool)
        for batch in self._batches():  # First what is on its way: it may land before the journal is asked.
            found |= rows_in(batch.events.ids, ids) >= 0
        return found | self.inner.seen(ids)

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        """The decision of an event id as its batch and row; None if never decided."""
        return self.find_all(Ids.of([event_id]))[0]

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """The same for each of (n,) event ids."""
        out: list[tuple[DecisionBatch, int] | None] = [None] * len(ids)
        for batch in self._batches():  # First what is on its way: it may land before the journal is asked.
            for k in np.flatnonzero(rows_in(batch.events.ids, ids) >= 0).tolist():
                row = row_of(batch.events, ids.at(k))
                out[k] = out[k] if row is None else (batch, row)
        rest = [k for k, one in enumerate(out) if one is None]
        if rest:
            for k, one in zip(rest, self.inner.find_all(ids[rest]), strict=True):
                out[k] = one
        return out

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry above `after` that is in the journal."""
        return self.inner.read(after)

    def _batches(self) -> list[DecisionBatch]:
        with self._lock:
            return list(self._flying)
