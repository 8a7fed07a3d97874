"""The rows that people read, and those that find events, compared with the entries that they came from."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from homeostat.adapters.disk.audit.findings import Faults, shown
from homeostat.adapters.postgres.connections import Connection
from homeostat.adapters.postgres.copying import storable
from homeostat.adapters.postgres.retention import DAY_NS
from homeostat.adapters.postgres.writing import digest_of_outcomes, digest_of_places, key_texts
from homeostat.records.change_rows import COLUMNS
from homeostat.records.codec import schema_of
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch, Row
from homeostat.records.identity import Identity, text_of
from homeostat.records.reasons import Fallback
from homeostat.records.statements import COLUMNS as STATEMENT_COLUMNS

_Row = tuple[Any, ...]
_BY_ENTRY = "as its entry says"
_DAY_US = DAY_NS // 1000
_RULES = {-1: "", -2: "breaker", -3: "fallback"}
_DECISION = ("event_id", "time", "recorded_at", "risk", "action", "rule", "fallback", "version", "settings", "place")
_ID = ("code", "code_check", "time_ns", "day", "keys", "key_checks", "key_texts", "schema", "place")
_OUTCOME = ("event_id", "label", "amount", "known_at", "recorded_at", "place")
_DECISIONS = """SELECT entry, row, event_id, (extract(epoch FROM time) * 1000000)::bigint,
    (extract(epoch FROM recorded_at) * 1000000)::bigint, float8send(risk), action, rule, fallback, version, settings,
    place FROM decisions ORDER BY entry, row"""
_IDS = """SELECT entry, row, code, code_check, time_ns, day - date '1970-01-01', keys, key_checks, key_texts,
    schema, place FROM event_ids ORDER BY entry, row"""
_OUTCOMES = """SELECT entry, event_id, float8send(label), float8send(amount),
    (extract(epoch FROM known_at) * 1000000)::bigint, (extract(epoch FROM recorded_at) * 1000000)::bigint, place
    FROM outcomes ORDER BY entry, event_id"""
# The columns that are compared. A column that is not listed is a fault, since nothing would cover it.
KNOWN = {
    "about": {"name", "value"},
    "schemas": {"number", "hash", "text"},
    "entries": {"sequence", "recorded_at", "first_ns", "last_ns", "kind", "codec", "rows", "digest", "body", "places"},
    "decisions": {"entry", "row", *_DECISION},
    "event_ids": {"entry", "row", *_ID},
    "outcomes": {"entry", *_OUTCOME},
    "settings_changes": {*COLUMNS, "digest"},
    "settings_head": {"one", "number", "at_ns", "digest"},
    "statements": {*STATEMENT_COLUMNS, "digest"},
}


class Grouped:
    """Rows in the order of their first column, taken entry by entry."""

    SQL: ClassVar = (_DECISIONS, _IDS, _OUTCOMES)

    def __init__(self, rows: Iterator[_Row]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def take(self, entry: int) -> list[_Row]:
        """The rows of an entry."""
        found = []
        while self._next is not None and self._next[0] == entry:
            found.append(self._next)
            self._next = next(self._rows, None)
        return found

    def before(self, entry: int | None) -> Iterator[_Row]:
        """The rows of entries before this one, which nothing has taken; None for all that are left."""
        while self._next is not None and (entry is None or self._next[0] < entry):
            yield self._next
            self._next = next(self._rows, None)


class DecisionRows:
    """The tables `decisions` and `event_ids`."""

    def __init__(
        self, connection: Connection, decisions: Grouped, ids: Grouped, oldest_us: int, faults: Faults,
        numbers: dict[bytes, int],
    ) -> None:  # fmt: skip
        """oldest_us : what was recorded before this may be gone
        numbers : those of the schemas, by hash
        """
        self._schemas = numbers
        self._connection, self._decisions, self._ids = connection, decisions, ids
        self._oldest_us, self._faults = oldest_us, faults
        self._words: dict[tuple[str, str, int], str] = {}
        self._numbers: dict[tuple[str, str, str], int] = {}

    def compare(self, sequence: int, recorded_us: int, body: DecisionBatch, places: bytes | None) -> None:
        """The rows of an entry.

        places : what it says of their places; None where an older version wrote it
        """
        self._strays(sequence)
        decisions = self._by_row("decisions", self._decisions.take(sequence))
        ids = self._by_row("event_ids", self._ids.take(sequence))
        events, may_be_gone = body.events, recorded_us < self._oldest_us
        expected = _Expected(body, recorded_us, self._schemas.get(schema_of(body).digest))
        if not may_be_gone:
            self._compare_places(sequence, decisions, ids, places)
        for at in np.flatnonzero(events.kind != Row.OUTCOME).tolist():
            shown_row, id_row = decisions.pop(at, None), ids.pop(at, None)
            if shown_row is None and id_row is None and (
                may_be_gone or self._came_before(events.ids.at(at), sequence, at)
            ):  # fmt: skip
                continue
            where = f"event {shown(expected.event_id[at])} (entry {sequence}, row {at})"
            if id_row is not None:
                self._differences("event_ids", where, _ID, id_row[2:-1], expected.of_id(at))
            elif not may_be_gone:
                self._faults.add("event_ids", where, "is missing")
            if shown_row is not None:
                words = self._as_words(body, at, shown_row)
                self._differences("decisions", where, _DECISION, shown_row[2:-1], expected.of_decision(at, *words))
            elif not may_be_gone:
                self._faults.add("decisions", where, "is missing")
        for table, left in (("decisions", decisions), ("event_ids", ids)):
            for at, row in left.items():
                self._faults.add(table, _named(table, row), f"is of a row {at} that the entry does not have", "row")

    def skip(self, sequence: int) -> None:
        """An entry that can't be read: its rows can't be compared."""
        self._decisions.take(sequence)
        self._ids.take(sequence)

    def finish(self) -> None:
        """After the last entry."""
        self._strays(None)

    def _strays(self, sequence: int | None) -> None:
        """Rows of entries that are not there."""
        for row in self._decisions.before(sequence):
            if row[4] >= self._oldest_us:
                self._faults.add(
                    "decisions", _named("decisions", row), "is of an entry that holds no decisions", "entry"
                )
        for row in self._ids.before(sequence):
            if row[5] * _DAY_US >= self._oldest_us - _DAY_US:
                self._faults.add(
                    "event_ids", _named("event_ids", row), "is of an entry that holds no decisions", "entry"
                )

    def _by_row(self, table: str, rows: list[_Row]) -> dict[int, _Row]:
        found: dict[int, _Row] = {}
        for row in rows:
            if row[1] in found:
                self._faults.add(table, _named(table, row), "is there beside another of the same entry and row", "row")
            else:
                found[row[1]] = row
        return found

    def _differences(self, table: str, where: str, names: tuple[str, ...], row: _Row, expected: _Row) -> None:
        if row != expected:
            for name, found, own in zip(names, row, expected, strict=False):
                if found != own:
                    self._faults.differs(table, where, name, _readable(found), _readable(own), _BY_ENTRY)

    def _compare_places(
        self, sequence: int, decisions: dict[int, _Row], ids: dict[int, _Row], places: bytes | None
    ) -> None:
        """Both tables say where each event was read, and the entry has a digest of it."""
        sides = (("decisions", decisions, ids), ("event_ids", ids, decisions))
        wrong = [side for side in sides if places is not None and places != _digested(side[1])]
        if places is None and any(ids.get(at, row)[-1] != row[-1] for at, row in decisions.items()):
            wrong = list(sides)
        for table, own, other in wrong:
            unlike = [row for at, row in own.items() if at in other and other[at][-1] != row[-1]]
            for row in unlike:
                also = "as decisions says" if table == "event_ids" else "as event_ids says"
                self._faults.differs(table, _named(table, row), "place", row[-1], other[row[1]][-1], also)
            if not unlike:
                why = "places, or the rows that have them, are not those that were written"
                self._faults.add(table, f"entry {sequence}", why, "place")

    def _as_words(self, body: DecisionBatch, at: int, row: _Row) -> tuple[str, str]:
        """The names of the action and the rule: the decision's own; where it has none, as before format 2, those that
        the first row of its version has for the same numbers."""
        action, rule = int(body.ruling.action[at]), int(body.ruling.rule[at])
        if not body.words.nameless:
            return body.words.action(action), _RULES[rule] if rule in _RULES else body.words.rule(rule)
        return (
            self._word("action", body.version, action, row[6]),
            _RULES[rule] if rule in _RULES else self._word("rule", body.version, rule, row[7]),
        )

    def _word(self, what: str, version: str, number: int, word: str) -> str:
        known = self._words.setdefault((what, version, number), word)
        if self._numbers.setdefault((what, version, known), number) != number:
            return f"a name of {what} {number}, not that of {self._numbers[what, version, known]}"
        return known

    def _came_before(self, event_id: Identity, sequence: int, at: int) -> bool:
        """Whether this is the repeat of an event that comes earlier in the same append."""
        sql = "SELECT entry, row FROM event_ids WHERE code = %s AND code_check = %s"
        row = self._connection.execute(sql, event_id).fetchone()
        return row is not None and (int(row[0]), int(row[1])) < (sequence, at)


class _Expected:
    """The values that the rows of a batch must have, compared while the tables are read."""

    def __init__(self, body: DecisionBatch, recorded_us: int, schema: int | None) -> None:
        events = body.events
        self.event_id = [storable(text_of(*one, events.texts)).decode() for one in events.ids.tolist()]
        self._versions = [storable(one).decode() for one in body.makers]
        self._time_us = (events.time_ns // 1000).tolist()
        self._risk = body.fused.risk.astype(">f8").tobytes()
        self._fallback = [_fallback(bits) for bits in body.fallback.tolist()]
        self._ids, self._times_ns, self._keys = events.ids.tolist(), events.time_ns.tolist(), events.keys.tolist()
        self._key_checks = events.key_checks.tolist()
        self._key_texts = key_texts(events.keys, events.key_checks, events.texts)
        self._settings = body.settings
        self._recorded_us, self._schema = recorded_us, schema

    def of_decision(self, at: int, action: str, rule: str) -> _Row:
        """A row of `decisions`, without its place."""
        risk = self._risk[8 * at : 8 * at + 8]
        return (
            self.event_id[at], self._time_us[at], self._recorded_us, risk, action, rule, self._fallback[at],
            self._versions[at], self._settings,
        )  # fmt: skip

    def of_id(self, at: int) -> _Row:
        """A row of `event_ids`, without its place."""
        texts = self._key_texts[at]
        checks = self._key_checks[at]
        return (
            *self._ids[at], self._times_ns[at], self._recorded_us // _DAY_US, self._keys[at],
            checks if any(checks) else None, texts.decode() if texts else None,
            self._schema,
        )  # fmt: skip


class OutcomeRows:
    """The table `outcomes`, whose rows name the first entry of their append."""

    def __init__(self, outcomes: Grouped, oldest_us: int, faults: Faults) -> None:
        """oldest_us : what was recorded before this may be gone"""
        self._outcomes, self._oldest_us, self._faults = outcomes, oldest_us, faults
        # By an append's first entry, and by event: the rows that no entry has taken yet.
        self._open: dict[int, dict[str, list[_Row]]] = {}

    def compare(self, sequence: int, recorded_us: int, body: OutcomeBatch, places: bytes | None) -> None:
        """The rows of an entry; several entries may be of one append.

        places : what it says of the rows of its append, nothing where it is not the first of that; None where an older
            version wrote it
        """
        self._strays(sequence)
        rows = self._outcomes.take(sequence)
        if places and recorded_us >= self._oldest_us and places != digest_of_outcomes(map(_as_digested, rows)):
            self._faults.add("outcomes", f"entry {sequence}", "rows are not those that were written")
        if rows:
            self._open[sequence] = {}
            for row in rows:
                self._open[sequence].setdefault(row[1], []).append(row)
        columns = (body.ids.tolist(), body.label.tolist(), body.amount.tolist(), body.known_ns.tolist())
        wanted = [
            _Outcome(
                storable(text_of(*one, body.texts)).decode(), label, amount, known_ns, recorded_us, places is not None
            )
            for one, label, amount, known_ns in zip(*columns, strict=True)
        ]
        left = self._pool(sequence, wanted)
        changed = [one for one in wanted if not one.taken_from(left)]
        for one in changed:
            where = f"event {shown(one.event)} (entry {sequence})"
            if alike := left.get(one.event):
                for name, found, own in one.differences(alike.pop()):
                    self._faults.differs("outcomes", where, name, _readable(found), _readable(own), _BY_ENTRY)
            elif recorded_us >= self._oldest_us:
                self._faults.add("outcomes", where, "is missing")

    def skip(self, sequence: int) -> None:
        """An entry that can't be read: its rows can't be compared."""
        self._outcomes.take(sequence)

    def finish(self) -> None:
        """After the last entry."""
        self._strays(None)
        for by_event in self._open.values():
            for row in (row for rows in by_event.values() for row in rows):
                self._faults.add("outcomes", _named("outcomes", row), "is not in its entry, or once too often")

    def _strays(self, sequence: int | None) -> None:
        """Rows of entries that are not there."""
        for row in self._outcomes.before(sequence):
            if row[5] >= self._oldest_us:
                self._faults.add("outcomes", _named("outcomes", row), "is of an entry that holds no outcomes", "entry")

    def _pool(self, sequence: int, wanted: list[_Outcome]) -> dict[str, list[_Row]]:
        """The rows among which those of an entry are: its own, or those of an append that began before it."""
        if sequence in self._open or not wanted:
            return self._open.get(sequence, {})
        return next((rows for rows in self._open.values() if rows.get(wanted[0].event)), {})


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One outcome as its entry has it.

    exact : its row is so to the microsecond; the server's arithmetic that older versions used may be off by one
    """

    event: str
    label: float
    amount: float
    known_ns: int
    recorded_us: int
    exact: bool

    def taken_from(self, rows: dict[str, list[_Row]]) -> bool:
        """Whether one of these rows says the same; it is taken out."""
        alike = rows.get(self.event, [])
        found = next((row for row in alike if not any(self.differences(row))), None)
        if found is None:
            return False
        alike.remove(found)
        return True

    def differences(self, row: _Row) -> Iterator[tuple[str, Any, Any]]:
        """The columns in which a row says something else: name, found, expected."""
        _, _, label, amount, known_us, recorded_us, _ = row
        own = struct.pack(">d", self.label)
        if label != own:
            yield "label", label, own
        own_amount = None if self.amount != self.amount else struct.pack(">d", self.amount)
        if amount != own_amount:
            yield "amount", amount, own_amount
        if abs(known_us - self.known_ns // 1000) > (not self.exact):
            yield "known_at", known_us, self.known_ns // 1000
        if abs(recorded_us - self.recorded_us) > (not self.exact):
            yield "recorded_at", recorded_us, self.recorded_us


@lru_cache(maxsize=1 << 8)
def _fallback(bits: int) -> str:
    return Fallback.text(bits)


def _named(table: str, row: _Row) -> str:
    """Which row of a table it is."""
    if table == "outcomes":
        return f"event {shown(row[1])} (entry {row[0]})"
    return f"{'event' if table == 'decisions' else 'code'} {shown(row[2])} (entry {row[0]}, row {row[1]})"


def _digested(rows: dict[int, _Row]) -> bytes:
    """An entry's digest of these rows' places."""
    numbers = sorted(rows)
    return digest_of_places(np.array(numbers, np.int64), [rows[number][-1] for number in numbers])


def _as_digested(row: _Row) -> tuple[str, str, float, float, int]:
    """A row of `outcomes` as `digest_of_outcomes` takes it."""
    _, event, label, amount, known_us, _, place = row
    return event, place, _number(label), float("nan") if amount is None else _number(amount), known_us


def _number(data: bytes) -> float:
    (value,) = struct.unpack(">d", data)
    return float(value)


def _readable(value: Any) -> Any:
    """A value as people read it: the eight bytes are a number."""
    return _number(value) if isinstance(value, bytes) and len(value) == 8 else value
