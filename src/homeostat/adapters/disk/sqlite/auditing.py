"""Whether a journal in SQLite still holds what its audit trail says, and no more.

Each entry's body is digested again; each other column of its row is worked out of the body, and compared. The file is
read by SQL of its own, since the journal's own reader trusts some of what is verified here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from operator import itemgetter
from pathlib import Path

from homeostat.adapters.disk.audit.changes import AppliedChanges
from homeostat.adapters.disk.audit.entries import COLUMNS, Entries
from homeostat.adapters.disk.audit.findings import Faults
from homeostat.adapters.disk.audit.verification import Named, Said, compare_about, paired
from homeostat.adapters.disk.file_lock import is_held
from homeostat.adapters.disk.sqlite.settings import FILE as SETTINGS
from homeostat.adapters.disk.sqlite.settings_auditing import compare_settings
from homeostat.adapters.disk.sqlite.statements import FILE as STATEMENTS
from homeostat.adapters.disk.sqlite.statements_auditing import compare_statement_file
from homeostat.adapters.disk.sqlite.tables import (
    APP,
    FORMATS,
    READS,
    REPLAYED,
    SECRET,
    about,
    decided_ids,
    id_bytes,
    keeps_schemas,
    keeps_times,
    structure,
)
from homeostat.ports import Unavailable
from homeostat.records.bodies import ChangeBatch
from homeostat.records.decisions import DecisionBatch

_COLUMNS = f"sequence, codec, body, ids, {{checks}}, {{times}}, {', '.join(COLUMNS)}"
_ENTRIES = f"SELECT {_COLUMNS} FROM entries ORDER BY sequence"  # noqa: S608


def tables_beside(path: Path) -> SqliteTables | None:
    """The journal beside a trail; None where none is there."""
    beside = path.with_name("journal.db")
    return SqliteTables(beside) if beside.is_file() else None


class SqliteTables:
    """The tables of a journal file, as at one moment."""

    def __init__(self, path: Path) -> None:
        self._path, self._where = path, path.name
        self._beyond: list[int] = []  # The first and the last entry that the trail does not name yet.
        self._applied = AppliedChanges()

    def compare(self, named: Iterator[Named], said: Said, faults: Faults) -> None:
        """See `Tables`."""
        live = is_held(self._path.with_name(self._path.name + ".lock"))
        try:
            with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
                db.execute("BEGIN")
                self._compare_structure(db, faults)
                self._compare_entries(db, named, said, faults)
                compare_about(f"{self._where}, about", _about(db), said, faults)
                owner, replayed = about(db, APP) or "", about(db, REPLAYED) is not None
        except (sqlite3.Error, ValueError, TypeError, AttributeError, OverflowError) as error:
            # A damaged page may read as rows of other types than the tables allow.
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
                raise Unavailable(f"{self._path} can't be read: {error}") from error
            faults.add(self._where, "", f"is damaged or is not a journal ({error})")
        else:  # A damaged journal says nothing about the settings.
            needed = bool(self._applied) and not replayed  # A replay passes through changes, and keeps none.
            compare_settings(self._path.with_name(SETTINGS), self._applied, owner, needed, faults)
            compare_statement_file(self._path.with_name(STATEMENTS), said.statements, faults)
        if self._beyond and not said.broken:
            self._say_beyond(live, said, faults)
        faults.checked.append(self._where)

    def _compare_structure(self, db: sqlite3.Connection, faults: Faults) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in FORMATS:
            faults.add(self._where, "", f"has format {version}; {READS}")
        expected, found = structure(None, version), structure(db)
        for name in expected.keys() | found.keys():
            if name not in found:
                faults.add(self._where, name, "is missing")
            elif name not in expected:
                faults.add(self._where, name, "is not of a journal, and nothing covers it")
            elif found[name] != expected[name]:
                faults.add(self._where, name, "is not as a journal has it")

    def _compare_entries(self, db: sqlite3.Connection, named: Iterator[Named], said: Said, faults: Faults) -> None:
        schemas = db.execute("SELECT hash, text FROM schemas").fetchall() if keeps_schemas(db) else []
        entries, expected = Entries(self._where, said, faults, schemas, about(db, SECRET)), 1
        column = "checks" if about(db, SECRET) is not None else "x''"  # An old journal has none.
        times = "recorded_us" if keeps_times(db) else "NULL"
        rows = iter(db.execute(_ENTRIES.format(checks=column, times=times)))
        for line, row, older in paired(named, rows, itemgetter(0)):
            if row is None:
                assert line is not None
                self._fault(faults, line.entry, f"is missing, and line {line.line} of the trail names it")
                continue
            sequence = row[0]
            if sequence != expected:
                gap = f"{expected} to {sequence - 1}" if sequence - 1 > expected else f"{expected}"
                if line is None:  # Else the missing ones have been reported.
                    self._fault(faults, sequence, f"does not follow the one before it: {gap} is missing")
            expected = sequence + 1
            if line is None and older:
                self._fault(faults, sequence, "is not in the trail")
            elif line is None:
                self._beyond = [*self._beyond[:1], sequence]
                faults.unaudited += 1
            body = entries.compare(line, sequence, row[1], row[2], dict(zip(COLUMNS, row[6:], strict=True)))
            if isinstance(body, ChangeBatch):
                self._applied.add(sequence, body, faults, f"{self._where}, entries")
            if body is not None:
                ids, checks = id_bytes(decided_ids(body)) if isinstance(body, DecisionBatch) else (b"", b"")
                entries.expect(sequence, "ids", row[3], ids)
                entries.expect(sequence, "checks", row[4], checks)
            if line is not None:
                entries.expect(sequence, "recorded_us", row[5], line.recorded_us)
        entries.finish()

    def _say_beyond(self, live: bool, said: Said, faults: Faults) -> None:
        first, last = self._beyond[0], self._beyond[-1]
        row = f"entry {first}" if first == last else f"entries {first} to {last}"
        if live:
            faults.notes.append(f"{row}: not in the trail yet; a process that is running writes them within a second")
            return
        why = (
            f"not in the trail, which ends with entry {said.entry}: a process was killed before it wrote that (the "
            "next start does), or the trail was cut off, or the journal was added to"
        )
        faults.add(f"{self._where}, entries", row, why)

    def _fault(self, faults: Faults, sequence: int, why: str, column: str = "") -> None:
        faults.add(f"{self._where}, entries", f"entry {sequence}", why, column)


def _about(db: sqlite3.Connection) -> dict[str, str]:
    rows = db.execute("SELECT name, value FROM about").fetchall()
    return {name: sha256(value.encode("utf-8", "surrogatepass")).hexdigest() for name, value in rows}
