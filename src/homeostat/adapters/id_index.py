"""Which event ids have been decided, and in which journal entry: an open-addressing hash table in flat arrays.

12 bytes a slot, 60 to 80 % of the slots in use: 15 to 20 bytes an event. Linear probing: Knuth (1998), The Art of
Computer Programming 3, section 6.4. The slot of a hash h of 32 bits in a table of any size s is h * s / 2^32: Lemire
(2019), ACM Transactions on Modeling and Computer Simulation 29(1), 3.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Int
from homeostat.records.identity import ABSENT

_SIZE_MIN = 1 << 12
_LOAD_MAX = 0.8
_GROWTH = 4 / 3  # A fuller table after growing costs time only then; a doubled one would cost memory all along.


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _slot(code: int, size: int) -> np.int64:
    mixed = np.uint64(code) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return np.int64(((mixed >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _put(codes: Int, entries: NDArray[np.uint32], new: Int, entry: NDArray[np.uint32]) -> int:
    """Put each new code with its entry; a code that is there keeps its first entry. Returns how many were new."""
    size = len(codes)
    added = 0
    for i in range(len(new)):
        code = new[i]
        at = _slot(code, size)
        while codes[at] != ABSENT and codes[at] != code:
            at = at + 1 if at + 1 < size else 0
        if codes[at] == ABSENT:
            codes[at] = code
            entries[at] = entry[i if len(entry) > 1 else 0]
            added += 1
    return added


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _get(codes: Int, entries: NDArray[np.uint32], asked: Int, out: NDArray[np.uint32]) -> None:
    size = len(codes)
    for i in range(len(asked)):
        code = asked[i]
        at = _slot(code, size)
        while codes[at] != ABSENT and codes[at] != code:
            at = at + 1 if at + 1 < size else 0
        out[i] = entries[at] if codes[at] == code else 0


class IdIndex:
    """Event id code -> number of the entry that first decided it, 1 or more. ABSENT is no id."""

    def __init__(self) -> None:
        self._count = 0
        self._one = np.zeros(1, np.uint32)
        self._codes, self._entries = _empty(_SIZE_MIN)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """The memory that the table takes."""
        return int(self._codes.nbytes + self._entries.nbytes)

    def put(self, codes: Int, entry: NDArray[np.uint32]) -> None:
        """Put ids, codes (n,), decided in `entry`, (n,) or (1,) for all; the first entry of an id stays."""
        needed = self._count + len(codes)
        if needed > len(self._codes) * _LOAD_MAX:
            self._grow(needed)
        self._count += _put(self._codes, self._entries, codes, entry)

    def put_all(self, codes: Int, entry: int) -> None:
        """The same for ids that were all decided in one entry."""
        self._one[0] = entry
        self.put(codes, self._one)

    def entries(self, codes: Int) -> NDArray[np.uint32]:
        """(n,) the entry of each code, 0 where there is none."""
        out = np.empty(len(codes), np.uint32)
        _get(self._codes, self._entries, codes, out)
        return out

    def _grow(self, needed: int) -> None:
        size = len(self._codes)
        while needed > size * _LOAD_MAX:
            size = int(size * _GROWTH) + 1
        used = self._codes != ABSENT
        codes, entries = self._codes[used], self._entries[used]
        self._codes, self._entries = _empty(size)
        _put(self._codes, self._entries, codes, entries)


def _empty(size: int) -> tuple[Int, NDArray[np.uint32]]:
    return np.full(size, ABSENT, np.int64), np.zeros(size, np.uint32)
