"""Reading the columns of an index: some ahead of a search, and the last ones kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from homeostat.adapters.journals.decision_columns import Array, Read
from homeostat.adapters.journals.decision_stores import ColumnName, Shelf

_AHEAD_MAX = 16  # Pages whose column is read at a time.
_KEPT_BYTES = 64 << 20  # Of columns: a column of entities of ten million decisions is 40 MB.
_PLACE = ("time", "entry", "row")  # Columns that are read together.


class Columns:
    """Columns of a shelf, of which the last ones that were read are kept."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._kept: OrderedDict[ColumnName, Array] = OrderedDict()
        self._bytes = 0

    def readers(self, firsts: Sequence[int]) -> list[Read]:
        """Readers of the columns of pages, which a search goes through in this order.

        Where one page's column is read, those of the next pages are read with it, twice as many each time, so that a
        search that goes on waits for the store less often.
        """
        ahead: dict[str, int] = {}

        def read(at: int, name: str) -> Array:
            found = self._kept.get((firsts[at], name))
            if found is not None:
                self._kept.move_to_end((firsts[at], name))
                return found
            if name in _PLACE:
                return self._fetched([(firsts[at], one) for one in _PLACE], (firsts[at], name))
            step = ahead.get(name, 1)
            ahead[name] = min(2 * step, _AHEAD_MAX)
            wanted = [(first, name) for first in firsts[at : at + step] if (first, name) not in self._kept]
            return self._fetched(wanted, (firsts[at], name))

        return [partial(read, at) for at in range(len(firsts))]

    def forget(self) -> None:
        """Pages are gone, or others."""
        self._kept.clear()
        self._bytes = 0

    def _fetched(self, wanted: Sequence[ColumnName], asked: ColumnName) -> Array:
        fetched = dict(zip(wanted, self._shelf.columns(wanted), strict=True))
        for key, column in fetched.items():
            if key not in self._kept:
                self._kept[key] = column
                self._bytes += column.nbytes
        while self._bytes > _KEPT_BYTES and self._kept:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return fetched[asked]
