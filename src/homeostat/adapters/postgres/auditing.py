"""Whether the journal's tables still hold what an audit trail says, and no more.

The trail is a file elsewhere (`AuditLog.follow`): it names the digest of every entry. Each entry's body is digested
again; each column of each row of the other tables is worked out of the entry that the row came from, and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from operator import itemgetter
from typing import Any

from homeostat.adapters.disk.audit.changes import AppliedChanges
from homeostat.adapters.disk.audit.entries import COLUMNS, Entries, said_by
from homeostat.adapters.disk.audit.findings import Faults
from homeostat.adapters.disk.audit.statements import compare_statements
from homeostat.adapters.disk.audit.verification import Named, Said, compare_about, paired
from homeostat.adapters.postgres.auditing_rows import KNOWN, DecisionRows, Grouped, OutcomeRows
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.settings import SELECT_CHANGES
from homeostat.adapters.postgres.statements import SELECT_STATEMENTS
from homeostat.records.bodies import ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch

_HOURS_S = 24 * 3600.0
_PAGE = 64
_BEHIND_NS = 60_000_000_000
_ENTRIES = f"""SELECT sequence, codec, body, (extract(epoch FROM recorded_at) * 1000000)::bigint, places,
    {", ".join(COLUMNS)}
    FROM entries ORDER BY sequence, recorded_at"""  # noqa: S608


@contextmanager
def open_tables(url: str, *, now_ns: int, retention_ns: int | None, behind_ns: int) -> Iterator[PostgresTables]:
    """The tables of the journal at an address. Raises Unavailable."""
    with Connections(url, most=1) as connections:
        yield PostgresTables(connections, now_ns, retention_ns, behind_ns)


class PostgresTables:
    """The tables of a journal in PostgreSQL, as at one moment."""

    def __init__(
        self, connections: Connections, now_ns: int, retention_ns: int | None = None, behind_ns: int = _BEHIND_NS
    ) -> None:
        """now_ns : the present, nanoseconds since 1970
        retention_ns : what was recorded longer ago may be gone; None where nothing may
        behind_ns : what was recorded more recently need not be in the trail yet
        """
        self._connections = connections
        self._oldest_us = -(1 << 62) if retention_ns is None else (now_ns - retention_ns) // 1000
        self._newest_us = (now_ns - behind_ns) // 1000
        self._applied = AppliedChanges()

    def compare(self, named: Iterator[Named], said: Said, faults: Faults) -> None:
        """See `Tables`. One transaction sees all tables as they are at one moment. Raises Unavailable."""

        def look(connection: Connection) -> None:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                self.compare_within(connection, named, said, faults)
            finally:
                connection.execute("ROLLBACK")

        self._connections.run(look, deadline_s=_HOURS_S)
        faults.checked.append(self._connections.where)

    def compare_within(self, connection: Connection, named: Iterator[Named], said: Said, faults: Faults) -> None:
        """The same within the transaction that a connection is in."""
        connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute("SET LOCAL enable_seqscan = on")
        if not _compare_columns(connection, faults):
            return
        cursors = [connection.cursor(f"audit_{number}") for number in range(4)]
        try:
            tables = [_rows(cursor, sql) for cursor, sql in zip(cursors, (_ENTRIES, *Grouped.SQL), strict=True)]
            decisions, ids, outcomes = (Grouped(rows) for rows in tables[1:])
            schemas = connection.execute("SELECT hash, text, number FROM schemas").fetchall()
            entries = Entries("", said, faults, [(digest, text) for digest, text, _ in schemas], _secret(connection))
            numbers = {bytes(digest): int(number) for digest, _, number in schemas}
            rows = DecisionRows(connection, decisions, ids, self._oldest_us, faults, numbers)
            outcome_rows = OutcomeRows(outcomes, self._oldest_us, faults)
            self._compare_entries(entries, tables[0], named, said, rows, outcome_rows, faults)
        finally:
            for cursor in cursors:
                cursor.close()
        self._compare_settings(connection, faults)
        with connection.cursor("audit_statements") as cursor:
            cursor.execute(SELECT_STATEMENTS)
            compare_statements("statements", cursor, said.statements, faults)
        about = connection.execute("SELECT name, value FROM about").fetchall()
        compare_about("about", {name: sha256(value.encode()).hexdigest() for name, value in about}, said, faults)

    def _compare_settings(self, connection: Connection, faults: Faults) -> None:
        with connection.cursor("audit_changes") as cursor:
            cursor.execute(SELECT_CHANGES)
            last = self._applied.compare("settings_changes", cursor, faults)
        heads = connection.execute("SELECT number, at_ns, digest FROM settings_head").fetchall()
        if len(heads) != 1:
            faults.add("settings_head", "", f"has {len(heads)} rows instead of one")
        for name, found, expected in zip(("number", "at_ns", "digest"), heads[0] if heads else (), last):
            if found != expected:
                faults.differs("settings_head", "", name, found, expected, "as the last change says")

    def _compare_entries(
        self, entries: Entries, rows: Iterator[tuple[Any, ...]], named: Iterator[Named], said: Said,
        decisions: DecisionRows, outcomes: OutcomeRows, faults: Faults,
    ) -> None:  # fmt: skip
        last, beyond = 0, 0
        for line, row, older in paired(named, rows, itemgetter(0)):
            if row is None:
                assert line is not None
                at_us = line.recorded_us if line.recorded_us is not None else (line.at_ns or 0) // 1000
                if at_us >= self._oldest_us:
                    entries.add(line.entry, f"is missing, and line {line.line} of the trail names it")
                continue
            sequence, recorded_us, places = int(row[0]), int(row[3]), row[4]
            if sequence == last:
                entries.add(sequence, "is there twice")
                continue
            if line is None and older:
                entries.add(sequence, "is not in the trail")
            elif line is None:
                faults.unaudited += 1
                beyond = beyond or (sequence if recorded_us < self._newest_us else 0)
            elif line.recorded_us is not None:
                entries.expect(sequence, "recorded_at", recorded_us, line.recorded_us, said_by(line))
                named_places = None if line.places is None else bytes.fromhex(line.places)
                entries.expect(sequence, "places", places, named_places, said_by(line))
            elif 0 < said.about_line < line.line:
                entries.add(sequence, f"is named by line {line.line}, which does not say when it was recorded")
            last = sequence
            body = entries.compare(line, sequence, row[1], row[2], dict(zip(COLUMNS, row[5:], strict=True)))
            if isinstance(body, DecisionBatch):
                decisions.compare(sequence, recorded_us, body, places)
            elif isinstance(body, OutcomeBatch):
                outcomes.compare(sequence, recorded_us, body, places)
            elif isinstance(body, ChangeBatch):
                self._applied.add(sequence, body, faults, "entries")
            else:
                decisions.skip(sequence)
                outcomes.skip(sequence)
        entries.finish()
        decisions.finish()
        outcomes.finish()
        if beyond and not said.broken:
            why = (
                f"and what follows is not in the trail, which ends with entry {said.entry}: homeostat audit follow has "
                "not run for a while (--behind says how long it may not), or the trail was cut off"
            )
            entries.add(beyond, why)


def _secret(connection: Connection) -> str | None:
    row = connection.execute("SELECT value FROM about WHERE name = 'secret'").fetchone()
    return None if row is None else str(row[0])


def _compare_columns(connection: Connection, faults: Faults) -> bool:
    """Whether the tables are there with the columns that are compared, and with no other; a fault for each."""
    whole = True
    for table, known in KNOWN.items():
        sql = """SELECT attname FROM pg_attribute
            WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"""
        found = {name for (name,) in connection.execute(sql, (table,)).fetchall()}
        for column in sorted(known - found):
            faults.add(table, "", f"has no column {column}", column)
            whole = False
        for column in sorted(found - known):
            faults.add(table, "", f"has a column {column}, which is not of a journal, and nothing covers it", column)
    return whole


def _rows(cursor: Any, sql: str) -> Iterator[tuple[Any, ...]]:
    cursor.itersize = _PAGE if sql is _ENTRIES else 10_000
    cursor.execute(sql, binary=True)
    yield from cursor
