"""The journal as the loop of a worker sees it: what is decided is journalled a moment later, in another thread.

Nothing is published before it is journalled; so the loop may go on with the next batch meanwhile, as long as it is told
that what is on its way was decided.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from homeostat.ports import Entry
from homeostat.ports.shared import SharedJournal
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch, row_of


class InFlightJournal:
    """A `Journal` that only notes decisions; who writes them calls `landed` then."""

    def __init__(self, inner: SharedJournal) -> None:
        self.inner = inner
        self._flying: list[DecisionBatch] = []
        self._lock = threading.Lock()

    def append(self, body: DecisionBatch | OutcomeBatch) -> int:
        """Note decisions as being on their way."""
        assert isinstance(body, DecisionBatch), "a worker journals outcomes itself"
        with self._lock:
            self._flying.append(body)
        return 0

    def landed(self, body: DecisionBatch) -> None:
        """Forget decisions that are in the journal now."""
        with self._lock:
            self._flying = [one for one in self._flying if one is not body]

    def seen(self, id_code: Int) -> NDArray[np.bool_]:
        """(n,) whether each event was decided, or is being journalled."""
        found: NDArray[np.bool_] = np.zeros(len(id_code), bool)
        for batch in self._batches():  # First what is on its way: it may land before the journal is asked.
            found |= np.isin(id_code, batch.events.id_code)
        return found | self.inner.seen(id_code)

    def find(self, id_code: int) -> tuple[DecisionBatch, int] | None:
        """The decision of an event id as its batch and row; None if never decided."""
        return self.find_all(np.array([id_code], np.int64))[0]

    def find_all(self, id_code: Int) -> list[tuple[DecisionBatch, int] | None]:
        """The same for each of (n,) event ids."""
        out: list[tuple[DecisionBatch, int] | None] = [None] * len(id_code)
        for batch in self._batches():  # First what is on its way: it may land before the journal is asked.
            for k in np.flatnonzero(np.isin(id_code, batch.events.id_code)).tolist():
                row = row_of(batch.events, int(id_code[k]))
                out[k] = out[k] if row is None else (batch, row)
        rest = [k for k, one in enumerate(out) if one is None]
        if rest:
            for k, one in zip(rest, self.inner.find_all(id_code[rest]), strict=True):
                out[k] = one
        return out

    def locate(self, id_code: Int) -> tuple[NDArray[np.bool_], Int, Int, dict[int, str]]:
        """Whether each event was decided (n,), its time (n,), its keys (n, entities), and the texts of hashed keys."""
        found, time_ns, keys, texts = self.inner.locate(id_code)
        for batch in self._batches():
            events = batch.events
            at = np.flatnonzero(~found & np.isin(id_code, events.id_code))
            if not len(at):
                continue
            codes, first = np.unique(events.id_code, return_index=True)
            rows = first[np.searchsorted(codes, id_code[at])]
            if keys.shape[1] != events.keys.shape[1]:
                keys = np.zeros((len(id_code), events.keys.shape[1]), np.int64)
            found[at], time_ns[at], keys[at] = True, events.time_ns[rows], events.keys[rows]
            if events.texts:
                own = np.unique(events.keys[rows]).tolist()
                texts |= {code: events.texts[code] for code in own if code in events.texts}
        return found, time_ns, keys, texts

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry above `after` that is in the journal."""
        return self.inner.read(after)

    def _batches(self) -> list[DecisionBatch]:
        with self._lock:
            return list(self._flying)
