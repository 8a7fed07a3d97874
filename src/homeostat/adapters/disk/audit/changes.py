"""Whether the settings still hold the changes that were made: by their own chain of digests, and by the journal.

Each row's digest is of the row and of the digest before it. The journal has every change that was applied, with all its
columns, so that an edit of one is found although the digests were made again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeostat.adapters.disk.audit.findings import Faults
from homeostat.records.bodies import ChangeBatch
from homeostat.records.change_rows import COLUMNS, START, Row, as_row, chained


class AppliedChanges:
    """The changes that a journal holds, gathered while its entries are read."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[int, Row]] = {}  # Number -> the first entry that has it, and its columns.
        self._compared: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, sequence: int, body: ChangeBatch, faults: Faults, where: str) -> None:
        """Those of one entry; several processes may each write down that they applied a change."""
        for change in body.changes:
            entry, row = self._rows.setdefault(change.number, (sequence, as_row(change)))
            if row != as_row(change):
                why = f"has another change {change.number} than entry {entry}"
                faults.add(where, f"entry {sequence}", why, "body")

    def compare(self, where: str, rows: Iterable[tuple[Any, ...]], faults: Faults) -> tuple[int, int, bytes]:
        """Hold the settings against them; returns number, time and digest of the last row.

        where : the table's name in faults
        rows : by rising number, each the columns of a change and its digest
        """
        number, at_ns, digest, beyond = 0, 0, START, list[int]()
        for *row, found in rows:
            if row[0] != number + 1:
                gap = f"change {number + 1}" if row[0] == number + 2 else f"changes {number + 1} to {row[0] - 1}"
                faults.add(where, f"change {row[0]}", f"does not follow the one before it: {gap} is missing")
            if not self._compare_row(where, tuple(row), faults):
                beyond.append(row[0])
            if bytes(found) != _chained(digest, tuple(row)):
                why = "digest is not that of its columns and of the digest before it: one of them was edited"
                faults.add(where, f"change {row[0]}", why, "digest")
            number, at_ns, digest = row[0], row[1], bytes(found)
        for gone in sorted(one for one in self._rows if one not in self._compared):
            entry, _ = self._rows[gone]
            faults.add(where, f"change {gone}", f"is missing, and entry {entry} of the journal applied it")
        if beyond:
            many = f"change {beyond[0]}" if len(beyond) == 1 else f"{len(beyond)} changes"
            faults.notes.append(f"{where}: {many} that no process has applied; covered by the digests alone")
        return number, at_ns, digest

    def _compare_row(self, where: str, row: Row, faults: Faults) -> bool:
        """Whether the journal has the change of a row; each column that differs is a fault."""
        applied = self._rows.get(row[0])
        if applied is None:
            return False
        self._compared.add(row[0])
        entry, expected = applied
        for name, value, own in zip(COLUMNS, row, expected, strict=True):
            if value != own:
                faults.differs(where, f"change {row[0]}", name, value, own, f"as entry {entry} of the journal says")
        return True


def _chained(digest: bytes, row: Row) -> bytes | None:
    try:
        return chained(digest, row)
    except (TypeError, ValueError):  # A damaged page may read as values of other types.
        return None
