"""A journal's memory of its entries, so that neither a repeated event nor an append has to read the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import sha256

import numpy as np

from homeostat.adapters.disk.sqlite.entry_file import EntryFile
from homeostat.adapters.disk.sqlite.id_index import IdIndex
from homeostat.adapters.disk.sqlite.tables import decided_ids, id_bytes
from homeostat.adapters.journals.entries import JournalError
from homeostat.ports import EntryFacts
from homeostat.records import codec
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Ids, is_hashed

_RECENT = 256  # Entries whose facts are kept for the audit trail, which follows more closely than that.
_READ_ENTRIES = 65536

Facts = tuple[int, int, int, int, int, bytes, float, int | None]
"""As EntryFacts, with the digest's own bytes."""


class EntryMemory:
    """The index of ids, the number of the last entry, the hash of the history, and which entries hold changes.

    behind : after a failed append, whether it was written is asked of the file itself
    """

    def __init__(self, file: EntryFile) -> None:
        self._file = file
        self.ids = IdIndex()
        self.last, self.behind = 0, False
        self._history = sha256()  # Over the digests of all entries, in order.
        self._changes: list[int] = []  # The entries that hold changes, in order.
        self._recent: deque[Facts] = deque(maxlen=_RECENT)  # Of the appended entries, without a gap.

    def add(self, facts: Facts, ids: Ids | None) -> None:
        """Take in an entry that was appended, and the ids that it decides."""
        if ids is not None:
            self.ids.put_all(ids, facts[0])
        self._recent.append(facts)
        self._history.update(facts[5])
        if facts[1] == codec.CHANGES:
            self._changes.append(facts[0])
        self.last = facts[0]

    def recent(self, after: int) -> Iterable[EntryFacts] | None:
        """The facts of the entries above `after`; None where they must be read in the file."""
        missing = self.last - after
        if self.behind or not 0 <= missing <= len(self._recent):
            return None
        asked = (self._recent[at] for at in range(-missing, 0))  # From its end, where a deque is quick.
        return [EntryFacts(*facts[:5], facts[5].hex(), *facts[6:]) for facts in asked]

    def history(self, sequence: int) -> str | None:
        """See `SqliteJournal.history`; None where the digests must be read in the file."""
        return self._history.hexdigest() if sequence == self.last and not self.behind else None

    def changes(self, until: int | None) -> list[int]:
        """The entries that hold changes, up to one."""
        return [sequence for sequence in self._changes if until is None or sequence <= until]

    def catch_up(self, is_old: bool) -> None:
        """Read what the entries say that are not known yet. Raises JournalError."""
        where = self._file.path
        entries: list[int] = []
        blobs: list[tuple[bytes, bytes]] = []
        last, history = self.last, self._history.copy()
        checks_column = "x''" if is_old else "checks"
        sql = f"SELECT sequence, kind, ids, {checks_column}, digest FROM entries WHERE sequence > ? ORDER BY sequence"  # noqa: S608
        changes: list[int] = []
        for sequence, kind, ids, checks, digest in self._file.all(sql, last):
            if sequence != last + 1:
                raise JournalError(f"{where}: entry {last + 1} is missing")
            last = sequence
            history.update(digest)
            if kind == codec.CHANGES:
                changes.append(sequence)
            entries.append(sequence)
            blobs.append(self._renamed(sequence, ids) if is_old else (ids, checks))
            if len(entries) >= _READ_ENTRIES:
                self._index(entries, blobs)
                entries, blobs = [], []
        self._index(entries, blobs)
        if last != self.last:
            self._recent.clear()  # Rows found in the file are not in it, so it would have a gap.
        self._changes += changes
        self.last, self._history, self.behind = last, history, False

    def _index(self, entries: list[int], blobs: list[tuple[bytes, bytes]]) -> None:
        if any(len(ids) % 8 or len(checks) not in (0, len(ids)) for ids, checks in blobs):
            raise JournalError(f"{self._file.path}: the ids of an entry are damaged")
        counts = np.fromiter((len(ids) // 8 for ids, _ in blobs), np.int64, len(blobs))
        codes = np.frombuffer(bytearray().join(ids for ids, _ in blobs), np.int64)
        checks = np.frombuffer(bytearray().join(its or bytes(len(ids)) for ids, its in blobs), np.int64)
        if len(codes):
            self.ids.put(Ids(codes, checks), np.repeat(np.asarray(entries, np.uint32), counts))

    def _renamed(self, sequence: int, ids: bytes) -> tuple[bytes, bytes]:
        """The ids of an entry of an old journal that is only read, by the coding that its bodies are read in."""
        if len(ids) % 8 or not is_hashed(int(np.frombuffer(ids, np.int64).max(initial=0))):
            return ids, b""
        body = self._file.body(sequence)
        assert isinstance(body, DecisionBatch), "an entry of outcomes has ids"
        return id_bytes(decided_ids(body))
