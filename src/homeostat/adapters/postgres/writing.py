"""Batches as rows of the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import PIECE_ROWS, beside_body
from homeostat.adapters.postgres import copying
from homeostat.adapters.postgres.connections import Connection
from homeostat.adapters.postgres.copying import TEXT_BYTES_MAX, CopyColumn, numbers, rows, storable
from homeostat.adapters.postgres.parameters import (
    FloatArray,
    IntegerArray,
    Moment,
    TextArray,
    TimeArray,
    array_parameter,
    codes_parameter,
)
from homeostat.adapters.postgres.retention import day_of
from homeostat.adapters.postgres.schema import APPEND_LOCK, CHANGE_LOCK
from homeostat.records import codec
from homeostat.records.arrays import Int
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch, Row
from homeostat.records.identity import Identity, Ids, IdTexts, first_rows, is_hashed, rows_in, text_of
from homeostat.records.reasons import Fallback
from homeostat.records.rows import outcome_parts, parts
from homeostat.records.vocabulary import Vocabulary

_BITS = 255
SMALL_ROWS = 256  # Beyond, one statement gains little over COPY, and both sides would hold all of it at once.
HASHED_FROM = 1 << 62  # As `is_hashed`.


class Names:
    """The words for what decisions hold as numbers."""

    def __init__(self, words: Vocabulary) -> None:
        self._action = Lookup(words.actions)
        # As in `Ruling.rule`: -1 none, -2 the circuit breaker, -3 the declared fallback; they come first here.
        self._rule = Lookup(["fallback", "breaker", "", *(name for name, _ in words.rules)], offset=3)
        self._fallback = Lookup([Fallback.text(bits) for bits in range(_BITS + 1)])

    def action(self, index: NDArray[Any]) -> CopyColumn:
        """(n,) actions' names."""
        return self._action.column(index)

    def rule(self, index: NDArray[Any]) -> CopyColumn:
        """(n,) rules' names."""
        return self._rule.column(index.astype(np.int64) + 3)

    def fallback(self, bits: NDArray[Any]) -> CopyColumn:
        """(n,) the causes of fallbacks."""
        return self._fallback.column(bits)


class Lookup:
    """Names by number, and the number itself where there is none."""

    def __init__(self, names: Sequence[str], offset: int = 0) -> None:
        self._names, self._offset = list(names), offset
        self._column = copying.texts(self._names)

    def column(self, index: NDArray[Any]) -> CopyColumn:
        """(n,) names."""
        most = int(index.max(initial=0))
        if most >= len(self._names):
            self._names += [f"#{number - self._offset}" for number in range(len(self._names), most + 1)]
            self._column = copying.texts(self._names)
        return copying.named(index, self._column)


@dataclass(frozen=True, slots=True)
class Piece:
    """A row of `entries` but for its number.

    decided : whether it holds any decision that counts
    places : digest of what its rows in the other tables say that is not in the body
    """

    kind: int
    rows: int
    first_ns: int
    last_ns: int
    digest: bytes
    stored_as: int
    stored: bytes
    decided: bool
    places: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """The results of a transaction: its entries' numbers, and the last one to tell the caller.

    committed : whether it is committed; if not, the caller is to do that
    """

    sequences: tuple[int, ...]
    last: int
    committed: bool = False


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A decision batch, ready to be written.

    schema : the number of its schema in the table of them
    first : rows whose id comes first here, in the order of their ids, in which any two writers take their locks
    ids : (len(first),) their ids
    """

    body: DecisionBatch
    schema: int
    places: list[str] | None
    pieces: tuple[Piece, ...]
    first: Int
    ids: Ids

    @classmethod
    def of(cls, body: DecisionBatch, schema: int, places: Sequence[str] | None, compress: int) -> PreparedBatch:
        """Encode a batch; all that needs no connection is done here."""
        decided = np.flatnonzero(body.events.kind != Row.OUTCOME)
        rows = decided[np.unique(first_rows(body.events.ids[decided]))]
        ids = body.events.ids[rows]
        order = np.lexsort((ids.check, ids.code))
        kept = None if places is None else stored_texts(places)
        bounds = np.searchsorted(rows, np.arange(0, max(len(body), 1) + PIECE_ROWS, PIECE_ROWS)).tolist()
        pieces = []
        for k, piece in enumerate(parts(body, PIECE_ROWS)):
            own = rows[bounds[k] : bounds[k + 1]]
            where = [""] * len(own) if kept is None else [kept[row] for row in own.tolist()]
            pieces.append(_piece(piece, compress, len(own) > 0, digest_of_places(own - k * PIECE_ROWS, where)))
        return cls(body, schema, kept, tuple(pieces), rows[order], ids[order])

    @property
    def is_small(self) -> bool:
        """Whether one statement writes it sooner than COPY does."""
        return len(self.pieces) == 1 and 0 < len(self.first) <= SMALL_ROWS

    def holds_places(self, stored: dict[int, str]) -> bool:
        """Whether these places, by position in `ids`, are the batch's own."""
        if self.places is None:
            return not any(stored.values())
        own = self.places
        return all(own[row] == stored[k] for k, row in enumerate(self.first.tolist()))

    def rows_with(self, ids: Ids) -> Int:
        """The rows of decisions with these ids."""
        events = self.body.events
        return np.flatnonzero((rows_in(ids, events.ids) >= 0) & (events.kind != Row.OUTCOME))


@dataclass(frozen=True, slots=True)
class _Columns:
    """The rows of a batch whose id comes first, as columns of `event_ids` and `decisions`."""

    place: CopyColumn
    key_texts: CopyColumn
    key_checks: CopyColumn
    time: CopyColumn
    risk: CopyColumn
    event_id: CopyColumn
    action: CopyColumn
    rule: CopyColumn
    fallback: CopyColumn

    @classmethod
    def of(cls, batch: PreparedBatch, names: Names) -> _Columns:
        first, body, events = batch.first, batch.body, batch.body.events
        return cls(
            _places(batch), _key_texts(events.keys[first], events.key_checks[first], events.texts),
            _key_checks(events.key_checks[first]), copying.times(events.time_ns[first]),
            numbers(body.fused.risk[first], ">f8"), _ids(batch.ids, events.texts),
            names.action(body.ruling.action[first]), names.rule(body.ruling.rule[first]),
            names.fallback(body.fallback[first]),
        )  # fmt: skip


def write_decisions(connection: Connection, batch: PreparedBatch, names: Names, now_ns: int) -> Written:
    """Everything of a batch, in a transaction that is left open. Raises UniqueViolation where an id is there."""
    sequences = _begin(connection, len(batch.pieces))
    first = batch.first
    if len(first):
        events, prepared = batch.body.events, _Columns.of(batch, names)
        entry = numbers(np.asarray(sequences)[first // PIECE_ROWS], ">i8")
        row = numbers(first % PIECE_ROWS, ">i4")
        day = copying.days(np.full(len(first), day_of(now_ns)))
        _copy(connection, "event_ids", {
            "code": numbers(batch.ids.code, ">i8"), "code_check": numbers(batch.ids.check, ">i8"), "entry": entry,
            "time_ns": numbers(events.time_ns[first], ">i8"), "row": row, "day": day,
            "keys": copying.arrays(events.keys[first]), "key_checks": prepared.key_checks, "place": prepared.place,
            "key_texts": prepared.key_texts, "schema": numbers(np.full(len(first), batch.schema), ">i4"),
        })  # fmt: skip
        _copy(connection, "decisions", {
            "entry": entry, "time": prepared.time, "recorded_at": _moment(now_ns, len(first)), "risk": prepared.risk,
            "row": row, "event_id": prepared.event_id, "action": prepared.action, "rule": prepared.rule,
            "fallback": prepared.fallback, "version": _versions(batch.body, first), "place": prepared.place,
            "settings": numbers(np.full(len(first), batch.body.settings), ">i8"),
        })  # fmt: skip
    _write_entries(connection, sequences, batch.pieces, now_ns)
    return Written(tuple(sequences), sequences[-1])


def write_at_once(connection: Connection, batch: PreparedBatch, names: Names, now_ns: int) -> Written:
    """The same of a small batch in one statement, which commits.

    For one row that takes half the time of a COPY to each table and a commit, for 1000 rows 0.85 of it. Numbers are
    taken under the lock here, too, since each step needs the one before; see `reading.committed_up_to`.
    """
    first, events, (piece,) = batch.first, batch.body.events, batch.pieces
    prepared, keys, now = _Columns.of(batch, names), events.keys[first], Moment.of(now_ns)
    checks = events.key_checks[first]
    row = array_parameter(numbers(first, ">i4"), IntegerArray)
    place = array_parameter(prepared.place, TextArray)
    kept = (
        now, piece.first_ns, piece.last_ns, piece.kind, piece.stored_as, piece.rows, piece.digest, piece.stored,
        piece.places,
    )  # fmt: skip
    named = (
        day_of(now_ns), batch.schema, codes_parameter(batch.ids.code), codes_parameter(batch.ids.check),
        codes_parameter(events.time_ns[first]), row, place, array_parameter(prepared.key_texts, TextArray),
        *map(codes_parameter, keys.T), *(map(codes_parameter, checks.T) if checks.any() else ()),
    )  # fmt: skip
    shown = (
        now, batch.body.settings, array_parameter(prepared.time, TimeArray),
        array_parameter(prepared.risk, FloatArray), row, array_parameter(prepared.event_id, TextArray),
        array_parameter(prepared.action, TextArray), array_parameter(prepared.rule, TextArray),
        array_parameter(prepared.fallback, TextArray), array_parameter(_versions(batch.body, first), TextArray), place,
    )  # fmt: skip
    cursor = connection.execute(_at_once(keys.shape[1], bool(checks.any())), (*kept, *named, *shown))
    number = int(cursor.fetchall()[0][0])
    return Written((number,), number, committed=True)


@cache
def _at_once(entities: int, checked: bool) -> str:
    names = [f"key_{k}" for k in range(entities)]
    their = [f"check_{k}" for k in range(entities)] if checked else []
    unnested = "".join(", %s" for _ in (*names, *their))
    keys = f"ARRAY[{', '.join(names)}]::bigint[]"
    checks = f"ARRAY[{', '.join(their)}]::bigint[]" if checked else "NULL"
    return f"""WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({APPEND_LOCK})),
        numbered AS MATERIALIZED (SELECT nextval('entry_numbers') AS entry FROM locked),
        kept AS (INSERT INTO entries
            (sequence, recorded_at, first_ns, last_ns, kind, codec, rows, digest, body, places)
            SELECT entry, %s, %s, %s, %s, %s, %s, %s, %s, %s FROM numbered),
        named AS (INSERT INTO event_ids (code, code_check, entry, time_ns, row, day, keys, key_checks, place,
                key_texts, schema)
            SELECT code, code_check, entry, time_ns, row, date '1970-01-01' + %s, {keys}, {checks}, place, key_texts,
                %s
            FROM numbered, unnest(%s, %s, %s, %s, %s, %s{unnested})
                AS given(code, code_check, time_ns, row, place, key_texts
                {"".join(", " + name for name in (*names, *their))})),
        displayed AS (INSERT INTO decisions
            (entry, time, recorded_at, risk, row, event_id, action, rule, fallback, version, settings, place)
            SELECT entry, time, %s, risk, row, event_id, action, rule, fallback, version, %s, place
            FROM numbered, unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s)
                AS given(time, risk, row, event_id, action, rule, fallback, version, place))
        SELECT entry FROM numbered"""  # noqa: S608


def write_changes(
    connection: Connection, body: ChangeBatch, number_of: Callable[[int, bytes], int], compress: int, now_ns: int
) -> Written:
    """Those changes that no process has journalled yet, in a transaction that is left open.

    number_of : codec and body of an entry of changes -> the last number in it
    """
    connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({CHANGE_LOCK})")
    sql = "SELECT sequence, codec, body FROM entries WHERE kind = %s ORDER BY sequence DESC LIMIT 1"
    row = connection.execute(sql, (codec.CHANGES,), binary=True).fetchone()
    last = 0 if row is None else number_of(int(row[1]), bytes(row[2]))
    left = ChangeBatch(tuple(change for change in body.changes if change.number > last))
    if not len(left):
        return Written((), 0 if row is None else int(row[0]))
    sequences = _numbers(connection, 1)
    _write_entries(connection, sequences, [_piece(left, compress, False, b"")], now_ns)
    return Written(tuple(sequences), sequences[-1])


def write_outcomes(
    connection: Connection, body: OutcomeBatch, places: Sequence[str] | None, compress: int, now_ns: int
) -> Written:
    """Those outcomes whose places are new, in a transaction that is left open; nothing where none is new."""
    sequences = _begin(connection, -(-max(len(body), 1) // PIECE_ROWS))
    kept = [""] * len(body) if places is None else stored_texts(places)
    ids = [storable(text_of(*one, body.texts)).decode() for one in body.ids.tolist()]
    # In the order of their places, so that no two writers wait for each other.
    order = sorted(range(len(body)), key=kept.__getitem__)
    cursor = connection.execute(
        """INSERT INTO outcomes
            SELECT %s, known_at, %s, label, nullif(amount, 'NaN'), id, place
            FROM unnest(%s, %s::float8[], %s::float8[], %s::text[], %s::text[])
                AS given(known_at, label, amount, id, place)
            ON CONFLICT (place) WHERE place <> '' DO NOTHING RETURNING place""",
        (sequences[0], Moment.of(now_ns), array_parameter(copying.times(body.known_ns[order]), TimeArray),
         body.label[order].tolist(), body.amount[order].tolist(), [ids[k] for k in order], [kept[k] for k in order]),
    )  # fmt: skip
    if cursor.rowcount < len(body):
        new = _new_ones(kept, {place for (place,) in cursor.fetchall()})
        if not new:
            row = connection.execute("SELECT max(entry) FROM outcomes WHERE place = ANY(%s)", (kept,)).fetchone()
            return Written((), 0 if row is None or row[0] is None else int(row[0]))
        body, ids, kept = body.rows(np.array(new, np.int64)), [ids[k] for k in new], [kept[k] for k in new]
    facts = zip(ids, kept, body.label.tolist(), body.amount.tolist(), (body.known_ns // 1000).tolist(), strict=True)
    # The rows name the first entry of the append only, so that one covers them all.
    digest = digest_of_outcomes(facts)
    pieces = [
        _piece(piece, compress, True, b"" if k else digest) for k, piece in enumerate(outcome_parts(body, PIECE_ROWS))
    ]
    _write_entries(connection, sequences[: len(pieces)], pieces, now_ns)
    return Written(tuple(sequences[: len(pieces)]), sequences[len(pieces) - 1])


def _new_ones(places: list[str], new: set[str]) -> list[int]:
    """The rows of outcomes from these places, each once, and of those without a place."""
    rows = []
    for row, place in enumerate(places):
        if not place or place in new:
            rows.append(row)
            if place:
                new.discard(place)
    return rows


def _begin(connection: Connection, count: int) -> list[int]:
    """Begin a transaction and take entry numbers, in one round trip. See `reading.committed_up_to` for the lock."""
    return _numbers(connection, count, "BEGIN; ")


def _numbers(connection: Connection, count: int, before: str = "") -> list[int]:
    cursor = connection.execute(
        f"{before}SELECT pg_advisory_xact_lock_shared({APPEND_LOCK}); "  # noqa: S608
        f"SELECT nextval('entry_numbers') FROM generate_series(1, {count})"
    )
    while cursor.nextset():
        pass
    return [int(number) for (number,) in cursor.fetchall()]


def _write_entries(connection: Connection, sequences: Sequence[int], pieces: Sequence[Piece], now_ns: int) -> None:
    table = [(piece.first_ns, piece.last_ns, piece.kind, piece.stored_as, piece.rows) for piece in pieces]
    first_ns, last_ns, kind, stored_as, count = (np.array(column, np.int64) for column in zip(*table, strict=True))
    _copy(connection, "entries", {
        "sequence": numbers(np.array(sequences, np.int64), ">i8"), "recorded_at": _moment(now_ns, len(pieces)),
        "first_ns": numbers(first_ns, ">i8"), "last_ns": numbers(last_ns, ">i8"), "kind": numbers(kind, ">i2"),
        "codec": numbers(stored_as, ">i2"), "rows": numbers(count, ">i4"),
        "digest": copying.blobs([piece.digest for piece in pieces]),
        "body": copying.blobs([piece.stored for piece in pieces]),
        "places": copying.blobs([piece.places for piece in pieces]),
    })  # fmt: skip


def stored_texts(values: Sequence[str]) -> list[str]:
    """Texts as the tables keep them; see `storable`."""
    kept, joined = list(values), "".join(values)
    if joined.isascii() and "\0" not in joined and max(map(len, kept), default=0) <= TEXT_BYTES_MAX:
        return kept
    return [storable(value).decode() for value in kept]


def digest_of_places(rows: Int, places: list[str]) -> bytes:
    """An entry's digest of the places of its decisions: which rows have one, and which."""
    lengths = np.fromiter(map(len, places), np.int64, len(places))
    return sha256(rows.astype("<i8").tobytes() + lengths.tobytes() + "".join(places).encode()).digest()


def digest_of_outcomes(rows: Iterable[tuple[str, str, float, float, int]]) -> bytes:
    """The digest that an append's first entry has of its rows: id, place, label, amount, known_at (microseconds)."""
    lines = [
        json.dumps([event, place, label, None if amount != amount else amount, known_us])
        for event, place, label, amount, known_us in rows
    ]
    return sha256("\n".join(sorted(lines)).encode("ascii")).digest()


def _piece(piece: Body, compress: int, decided: bool, places: bytes) -> Piece:
    body = codec.encode(piece)
    kind, count, first_ns, last_ns = beside_body(piece)
    return Piece(kind, count, first_ns, last_ns, body[32:64], *compression.pack(body, compress), decided, places)


def _copy(connection: Connection, table: str, columns: Mapping[str, CopyColumn]) -> None:
    """COPY by the columns' names: their order in the table hangs on which migration added which."""
    with connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(rows(list(columns.values())))


def _places(batch: PreparedBatch) -> CopyColumn:
    if batch.places is None:
        return _alike("", len(batch.first))
    own = batch.places
    return copying.texts([own[row] for row in batch.first.tolist()])


def _ids(ids: Ids, texts: IdTexts) -> CopyColumn:
    if not texts:
        return copying.blobs([b"%d" % code for code in ids.code.tolist()])
    return copying.texts([text_of(*one, texts) for one in ids.tolist()])


def _key_checks(checks: Int) -> CopyColumn:
    """The checks of keys, NULL for a row that has none but 0."""
    column = copying.arrays(checks)
    column.length[~checks.any(axis=1)] = -1
    return column


def key_texts(keys: Int, checks: Int, texts: IdTexts) -> list[bytes]:
    """(n,) the texts of keys that are hashed, as a JSON array for each row; empty where no key of a row is."""
    hashed = keys >= HASHED_FROM
    written: dict[Identity, str] = {}
    values = [b""] * len(keys)
    for row in np.flatnonzero(hashed.any(axis=1)).tolist():
        own = list(zip(keys[row].tolist(), checks[row].tolist(), strict=True))
        for one in own:
            if one not in written:
                written[one] = json.dumps(texts[one]) if is_hashed(one[0]) and one in texts else "null"
        values[row] = f"[{','.join([written[one] for one in own])}]".encode("ascii")
    return values


def _key_texts(keys: Int, checks: Int, texts: IdTexts) -> CopyColumn:
    """The same as a column, NULL where it is empty."""
    column = copying.blobs(key_texts(keys, checks, texts))
    column.length[column.length == 0] = -1
    return column


def _versions(body: DecisionBatch, first: Int) -> CopyColumn:
    """The version that made each decision."""
    if body.arm is None:
        return _alike(body.version, len(first))
    return copying.named(body.arm[first].astype(np.int64), copying.texts([body.version, body.canary]))


def _alike(text: str, n: int) -> CopyColumn:
    return copying.named(np.zeros(n, np.int64), copying.texts([text]))


def _moment(now_ns: int, n: int) -> CopyColumn:
    return copying.times(np.full(n, now_ns, np.int64))
