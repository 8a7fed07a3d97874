"""A shared journal that remembers up to where this process has written it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.ports import Entry
from homeostat.ports.shared import SharedJournal
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch


class AppendedJournal:
    """Hands everything on to `inner`.

    sequence : of the last entry that was appended here, 0 before the first
    """

    def __init__(self, inner: SharedJournal) -> None:
        self.inner = inner
        self.sequence = 0

    def append(self, body: DecisionBatch | OutcomeBatch, places: Sequence[str] | None = None) -> int:
        """See `SharedJournal`."""
        self.sequence = self.inner.append(body, places)
        return self.sequence

    @property
    def last(self) -> int:
        """See `SharedJournal`."""
        return self.inner.last

    def read(self, after: int = 0) -> Iterator[Entry]:
        """See `Journal`."""
        return self.inner.read(after)

    def seen(self, id_code: Int) -> NDArray[np.bool_]:
        """See `Journal`."""
        return self.inner.seen(id_code)

    def find(self, id_code: int) -> tuple[DecisionBatch, int] | None:
        """See `Journal`."""
        return self.inner.find(id_code)

    def places(self, id_code: Int) -> list[str | None]:
        """See `SharedJournal`."""
        return self.inner.places(id_code)

    def locate(self, id_code: Int) -> tuple[NDArray[np.bool_], Int, Int, dict[int, str]]:
        """See `SharedJournal`."""
        return self.inner.locate(id_code)
