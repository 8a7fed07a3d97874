"""Which event ids have been decided, and in which journal entry: an open-addressing hash table in flat arrays.

Where ids are integers, 12 bytes a slot, 60 to 80 % of the slots in use: 15 to 20 bytes an event. Texts have a check of
8 bytes beside their code, and a table that holds any is kept fuller, 74 to 87 %: 23 to 27 bytes an event. Linear
probing: Knuth (1998), The Art of Computer Programming 3, section 6.4. The slot of a hash h of 32 bits in a table of any
size s is h * s / 2^32: Lemire (2019), ACM Transactions on Modeling and Computer Simulation 29(1), 3.
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Int
from homeostat.records.compiled import compiled, inlined
from homeostat.records.identity import ABSENT, Ids

_SIZE_MIN = 1 << 12
# How full a table may be, and how much it grows then: a fuller table after growing costs time only then, a doubled one
# would cost memory all along. First without checks, then with them.
_LOAD_MAX = (0.8, 0.87)
_GROWTH = (4 / 3, 1.17)

Entries = NDArray[np.uint32]


@inlined
def _slot(code: int, size: int, places: int) -> int:
    mixed = np.uint64(code) * np.uint64(places)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return int(np.int64(((mixed >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)))


@inlined
def _place(codes: Int, checks: Int, code: int, check: int, places: int) -> np.int64:
    """Where the table has an id, or the free place where it would.

    places : see `Coding.places`; each index draws its own
    """
    size = len(codes)
    at = _slot(code, size, places)
    while codes[at] != ABSENT:
        if codes[at] == code and checks[at] == check:
            break
        at = at + 1 if at + 1 < size else 0
    return np.int64(at)


@compiled
def _put(codes: Int, checks: Int, entries: Entries, new: Int, new_checks: Int, entry: Entries, places: int) -> int:
    """Put each new id with its entry; an id that is there keeps its first entry. Returns how many were new.

    new_checks : empty where every check is 0
    """
    added = 0
    for i in range(len(new)):
        at = _place(codes, checks, new[i], new_checks[i] if len(new_checks) else 0, places)
        if codes[at] == ABSENT:
            codes[at] = new[i]
            checks[at] = new_checks[i] if len(new_checks) else 0
            entries[at] = entry[i if len(entry) > 1 else 0]
            added += 1
    return added


@compiled
def _put_integers(codes: Int, entries: Entries, new: Int, entry: Entries, places: int) -> int:
    """`_put` where every check is 0: a loop of its own takes half the time."""
    size, added = len(codes), 0
    for i in range(len(new)):
        code = new[i]
        at = _slot(code, size, places)
        while codes[at] != ABSENT and codes[at] != code:
            at = at + 1 if at + 1 < size else 0
        if codes[at] == ABSENT:
            codes[at] = code
            entries[at] = entry[i if len(entry) > 1 else 0]
            added += 1
    return added


@compiled
def _get(codes: Int, checks: Int, entries: Entries, asked: Int, asked_checks: Int, out: Entries, places: int) -> None:
    for i in range(len(asked)):
        at = _place(codes, checks, asked[i], asked_checks[i], places)
        out[i] = entries[at] if codes[at] != ABSENT else 0


@compiled
def _get_integers(codes: Int, entries: Entries, asked: Int, asked_checks: Int, out: Entries, places: int) -> None:
    """`_get` where the table has no checks; an id that has one is not in it."""
    size = len(codes)
    for i in range(len(asked)):
        code = asked[i]
        at = _slot(code, size, places)
        while codes[at] != ABSENT and codes[at] != code:
            at = at + 1 if at + 1 < size else 0
        out[i] = entries[at] if codes[at] == code and asked_checks[i] == 0 else 0


class IdIndex:
    """Event id -> number of the entry that first decided it, 1 or more. ABSENT is no id."""

    def __init__(self) -> None:
        self._count, self._places = 0, secrets.randbits(62) | 1
        self._one = np.zeros(1, np.uint32)
        self._codes, self._checks, self._entries = _empty(_SIZE_MIN, False)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """The memory that the table takes."""
        return int(self._codes.nbytes + self._checks.nbytes + self._entries.nbytes)

    def put(self, ids: Ids, entry: Entries) -> None:
        """Put ids (n,), decided in `entry`, (n,) or (1,) for all; the first entry of an id stays."""
        codes = ids.code
        if not len(self._checks) and np.count_nonzero(ids.check):
            self._rebuild(len(self._codes), True)
        needed = self._count + len(codes)
        if needed > len(self._codes) * self._load_max:
            self._grow(needed)
        self._count += self._put(codes, ids.check, entry)

    def put_all(self, ids: Ids, entry: int) -> None:
        """The same for ids that were all decided in one entry."""
        self._one[0] = entry
        self.put(ids, self._one)

    def entries(self, ids: Ids) -> Entries:
        """(n,) the entry of each id, 0 where there is none."""
        out = np.empty(len(ids.code), np.uint32)
        if len(self._checks):
            _get(self._codes, self._checks, self._entries, ids.code, ids.check, out, self._places)
        else:
            _get_integers(self._codes, self._entries, ids.code, ids.check, out, self._places)
        return out

    @property
    def _load_max(self) -> float:
        return _LOAD_MAX[len(self._checks) > 0]

    def _grow(self, needed: int) -> None:
        size = len(self._codes)
        while needed > size * self._load_max:
            size = int(size * _GROWTH[len(self._checks) > 0]) + 1
        self._rebuild(size, len(self._checks) > 0)

    def _rebuild(self, size: int, checked: bool) -> None:
        used = self._codes != ABSENT
        codes, entries = self._codes[used], self._entries[used]
        checks = self._checks[used] if len(self._checks) else self._checks
        self._codes, self._checks, self._entries = _empty(size, checked)
        self._put(codes, checks, entries)

    def _put(self, codes: Int, checks: Int, entry: Entries) -> int:
        if len(self._checks):
            return _put(self._codes, self._checks, self._entries, codes, checks, entry, self._places)
        return _put_integers(self._codes, self._entries, codes, entry, self._places)


def _empty(size: int, checked: bool) -> tuple[Int, Int, Entries]:
    return np.full(size, ABSENT, np.int64), np.zeros(size if checked else 0, np.int64), np.zeros(size, np.uint32)
