"""Whether the journal's tables still hold what an audit trail says, and no more.

The trail is a file elsewhere (`AuditLog.follow`): it names the digest of every entry. Each entry's bytes are digested
anew; each row of the tables that people read is compared with the entry that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters import compression
from homeostat.adapters.audit import DECISIONS, OUTCOMES
from homeostat.adapters.audit_verification import Verification, records, verify_beside
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.copying import told
from homeostat.records import codec
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch, Row
from homeostat.records.identity import text_of
from homeostat.records.reasons import Fallback

_HOURS_S = 24 * 3600.0
_PAGE = 64
_US = 2  # Microseconds that the server's floating point may be off.
_DECISIONS = """SELECT entry, row, event_id, risk, action, rule, fallback, version,
    (extract(epoch FROM time) * 1000000)::bigint FROM decisions ORDER BY entry, row"""
_IDS = "SELECT entry, row, code, time_ns, keys FROM event_ids ORDER BY entry, row"
_OUTCOMES = """SELECT entry, event_id, label, coalesce(amount, 'NaN'), (extract(epoch FROM known_at) * 1000000)::bigint
    FROM outcomes ORDER BY entry"""
_ENTRIES = "SELECT sequence, kind, codec, body FROM entries ORDER BY sequence"


class _Tampered(Exception):
    """Something is not what it should be; the text says what."""


def verify_tables(
    path: Path | str, connections: Connections, now_ns: int, retention_ns: int | None = None
) -> Verification:
    """Verify a trail, and that the tables hold exactly what it names, in order.

    retention_ns : what was audited longer ago may be gone; None where nothing may
    Entries that were written since the trail was are passed over. One transaction sees all tables as they are at one
    moment. Raises Unavailable.
    """
    found = verify_beside(path)
    if not found.ok:
        return found
    oldest_ns = -(1 << 62) if retention_ns is None else now_ns - retention_ns

    def compare(connection: Connection) -> str:
        connection.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        connection.execute("SET enable_seqscan = on")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            with closing(_Tables(connection)) as tables:
                tables.compare(_named(path), oldest_ns)
        except _Tampered as error:
            return str(error)
        finally:
            connection.close()  # Its settings are nobody else's.
        return ""

    why = connections.run(compare, deadline_s=_HOURS_S)
    return replace(found, ok=False, why=why) if why else replace(found, anchored=True)


def _named(path: Path | str) -> Iterator[tuple[int, str, str, int]]:
    """Entry, kind, digest and time of what a trail names."""
    for record in records(path):
        if record["kind"] in (DECISIONS, OUTCOMES):
            yield record["entry"], record["kind"], record["facts"]["sha256"], record["at_ns"] or 0


class _Tables:
    """The tables, read once, in the order of the entries."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursors: list[Any] = []
        self._decisions = _Grouped(self._read(_DECISIONS))
        self._ids = _Grouped(self._read(_IDS))
        self._outcomes = _Grouped(self._read(_OUTCOMES))
        self._words: dict[tuple[str, int], str] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._told: tuple[int, list[tuple[Any, ...]]] = (0, [])  # Outcomes of one append, which may be several entries.

    def close(self) -> None:
        """Read no more."""
        for cursor in self._cursors:
            cursor.close()

    def compare(self, named: Iterator[tuple[int, str, str, int]], oldest_ns: int) -> None:
        """Raises _Tampered at the first thing that is not what it should be."""
        entries = self._read(_ENTRIES)
        entry = next(entries, None)
        for sequence, kind, digest, at_ns in named:
            if entry is not None and entry[0] < sequence:
                raise _Tampered(f"entry {entry[0]} is not in the trail")
            if entry is None or entry[0] > sequence:
                if at_ns >= oldest_ns:
                    raise _Tampered(f"entry {sequence} is in the trail and not in the journal")
                continue
            self._compare(entry, kind, digest)
            entry = next(entries, None)
        self._finish_outcomes()
        for what, table in (("decisions", self._decisions), ("event_ids", self._ids), ("outcomes", self._outcomes)):
            if table.entry is not None and (entry is None or table.entry < entry[0]):
                raise _Tampered(f"{what} holds a row of entry {table.entry}, which has no such row")

    def _compare(self, entry: tuple[Any, ...], kind: str, digest: str) -> None:
        sequence, code, stored_as, stored = entry
        try:
            raw = compression.unpack(stored_as, stored)
            same = codec.verify(raw).digest == digest and (code == codec.DECISIONS) == (kind == DECISIONS)
            body = codec.decode(raw) if same else None
        except ValueError as error:
            raise _Tampered(f"entry {sequence} is damaged: {error}") from None
        if body is None:
            raise _Tampered(f"entry {sequence} is not what the trail says")
        if isinstance(body, DecisionBatch):
            self._compare_decisions(sequence, body)
        else:
            self._compare_outcomes(sequence, body)

    def _compare_decisions(self, sequence: int, body: DecisionBatch) -> None:
        rows = {row[1]: row for row in self._group(self._decisions, "decisions", sequence)}
        ids = {row[1]: row for row in self._group(self._ids, "event_ids", sequence)}
        events = body.events
        for at in np.flatnonzero(events.kind != Row.OUTCOME).tolist():
            event = told(text_of(int(events.id_code[at]), events.texts)).decode()
            row, own = rows.pop(at, None), ids.pop(at, None)
            if row is None and own is None and self._came_before(int(events.id_code[at]), sequence, at):
                continue
            if row is None or not self._is_row(body, at, event, row):
                what = "is missing" if row is None else "is not what was decided"
                raise _Tampered(f"the row of event {event} in decisions {what} (entry {sequence})")
            if own is None or not _is_id(body, at, own):
                what = "is missing" if own is None else "is not what was decided"
                raise _Tampered(f"the row of event {event} in event_ids {what} (entry {sequence})")
        if rows or ids:
            raise _Tampered(f"decisions or event_ids hold rows that entry {sequence} doesn't")

    def _is_row(self, body: DecisionBatch, at: int, event: str, row: tuple[Any, ...]) -> bool:
        _, _, event_id, risk, action, rule, fallback, version, time_us = row
        own = float(body.fused.risk[at])
        return (
            event_id == event and version == body.version and (risk == own or (risk != risk and own != own))
            and fallback == Fallback.text(int(body.fallback[at]))
            and abs(time_us - int(body.events.time_ns[at]) // 1000) <= 1
            and self._is_word("action", body.version, int(body.ruling.action[at]), action)
            and self._is_word("rule", body.version, int(body.ruling.rule[at]), rule)
        )  # fmt: skip

    def _is_word(self, what: str, version: str, number: int, word: str) -> bool:
        """Whether a number's name is the same wherever one version used it, and no other number's."""
        kind = f"{what} {version}"
        return (
            self._words.setdefault((kind, number), word) == word
            and self._numbers.setdefault((kind, word), number) == number
        )

    def _compare_outcomes(self, sequence: int, body: OutcomeBatch) -> None:
        if self._outcomes.entry is not None and self._outcomes.entry <= sequence:
            self._finish_outcomes()
            self._told = sequence, list(self._group(self._outcomes, "outcomes", sequence))
        rows = self._told[1]
        left: dict[tuple[str, float, str], list[tuple[Any, ...]]] = {}
        for row in rows:
            left.setdefault((row[1], row[2], repr(row[3])), []).append(row)
        for at in range(len(body)):
            event = told(text_of(int(body.id_code[at]), body.texts)).decode()
            alike = left.get((event, float(body.label[at]), repr(float(body.amount[at]))), [])
            own = next((row for row in alike if abs(row[4] - int(body.known_ns[at]) // 1000) <= _US), None)
            if own is None:
                raise _Tampered(f"the outcome of event {event} in outcomes is missing or changed (entry {sequence})")
            alike.remove(own)
        self._told = self._told[0], [row for alike in left.values() for row in alike]

    def _finish_outcomes(self) -> None:
        sequence, rows = self._told
        if rows:
            raise _Tampered(f"the outcome of event {rows[0][1]} in outcomes is not in entry {sequence}")

    def _group(self, table: _Grouped, what: str, sequence: int) -> list[tuple[Any, ...]]:
        if table.entry is not None and table.entry < sequence:
            raise _Tampered(f"{what} holds a row of entry {table.entry}, which has no such row")
        return table.take(sequence)

    def _came_before(self, code: int, sequence: int, at: int) -> bool:
        """Whether this is the repeat of an event that comes earlier in the same append."""
        row = self._connection.execute("SELECT entry, row FROM event_ids WHERE code = %s", (code,)).fetchone()
        return row is not None and (int(row[0]), int(row[1])) < (sequence, at)

    def _read(self, sql: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.cursor(f"audit_{len(self._cursors)}")
        cursor.itersize = _PAGE if sql == _ENTRIES else 10_000
        self._cursors.append(cursor)
        cursor.execute(sql, binary=True)
        yield from cursor


def _is_id(body: DecisionBatch, at: int, row: tuple[Any, ...]) -> bool:
    events = body.events
    return bool(
        row[2] == events.id_code[at] and row[3] == events.time_ns[at] and list(row[4]) == events.keys[at].tolist()
    )


class _Grouped:
    """Rows in the order of their first column, taken entry by entry."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    @property
    def entry(self) -> int | None:
        """The entry of the next row; None at the end."""
        return None if self._next is None else int(self._next[0])

    def take(self, entry: int) -> list[tuple[Any, ...]]:
        """The rows of an entry."""
        found = []
        while self._next is not None and self._next[0] == entry:
            found.append(self._next)
            self._next = next(self._rows, None)
        return found
