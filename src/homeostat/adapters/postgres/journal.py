"""The journal on PostgreSQL, which many workers write at once.

An append is one transaction: of three COPYs, or for a small batch one statement. Its event ids come first: where one of
them is there already the whole transaction is undone, and the caller learns which. Then come one row for each
decision, for people and other programs, and the batch itself as bytes, from which everything can be replayed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import errors

from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import TOOK_OF_BODY, ById, JournalError, decoded, took_us_of
from homeostat.adapters.postgres import copying, schema, writing
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.naming import KeptSchemas
from homeostat.adapters.postgres.parameters import (
    FloatArray,
    TextArray,
    array_parameter,
    codes_parameter,
    texts_parameter,
)
from homeostat.adapters.postgres.reading import committed_up_to
from homeostat.adapters.postgres.retention import Retired, day_of, make_days, retire
from homeostat.adapters.postgres.writing import PreparedBatch
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock, Entry, EntryFacts, Unavailable
from homeostat.ports.shared import Backlog, Located, Repeated
from homeostat.records import codec
from homeostat.records.arrays import Int
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import Coding, Identity, Ids, IdTexts
from homeostat.records.legacy import fill_old_pairs, pairs_of
from homeostat.records.renaming import keys_as
from homeostat.records.vocabulary import NAMELESS, Vocabulary

_OF_IDS = " FROM unnest(%s, %s) WITH ORDINALITY asked(code, code_check, ord) JOIN event_ids USING (code, code_check)"
_READ_ENTRIES = 16  # Bodies of up to a megabyte each, read at a time.
_READ_FACTS = 128  # Of compressed bodies all is read, to know how long they took.
_NEWEST_ENTRIES = 2_000  # A tenth of a second to read, where each holds a few decisions.
_TIME_MIN, _TIME_MAX = -(1 << 63), (1 << 63) - 1
_ROUNDS = 5  # Others may commit, or undo, the same ids between two looks.


class PostgresJournal(ById):
    """A SharedJournal. It is a context manager, and may be used by several threads.

    Once `append` has returned, its rows are committed, as durably as the server's `synchronous_commit` says. Sequence
    numbers may have gaps. `read`, `facts` and `last` wait for the appends that were under way when they were called,
    some milliseconds, so that no lower number can appear later: whoever goes on after the last number misses nothing.
    """

    def __init__(
        self,
        url: str,
        *,
        app: str = "",
        words: Vocabulary = NAMELESS,
        clock: Clock | None = None,
        most: int = 4,
        deadline_s: float = 5.0,
        connect_s: float = 3.0,
        retention_ns: int | None = None,
        compress: int = compression.LZ4,
        prepare: bool = True,
    ) -> None:
        """Connect, and make the tables where they are missing.

        url : postgresql://user:password@host:port/database
        app : whose journal it is; a database holds that of one app
        words : the app's names: of decisions that say none themselves, of entries of a version that kept none, and of
            the keys that `locate` gives
        most, deadline_s, connect_s, prepare : see `Connections`
        retention_ns : `retire` drops days that ended longer ago than this; None keeps everything

        Raises ValueError for an address that can't be read, JournalError where the tables are another app's or
        another version's, Unavailable when the server fails.
        """
        self._connections = Connections(url, most=most, deadline_s=deadline_s, connect_s=connect_s, prepare=prepare)
        self._clock = SystemClock() if clock is None else clock
        self._words, self._kept = words, KeptSchemas(self._connections, words)
        self._retention_ns, self._compress = retention_ns, compress
        self._days: set[int] = set()  # Whose parts are known to be there.
        self._entities = 0
        self._identity = ""
        self._coding: Coding | None = None
        self.appended = 0  # The last number that `append` returned here.
        # Let the compiled loops be loaded before the first decision waits for them.
        copying.rows([copying.texts([""])])
        array_parameter(copying.texts([""]), TextArray)
        array_parameter(copying.numbers(np.zeros(1), ">f8"), FloatArray)
        try:
            schema.migrate(self._connections, app)
            self._kept.look()
            self._kept.schemas.coding = self.coding
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> str:
        """See `SharedJournal`. Raises Unavailable."""
        if not self._identity:
            row = self._one("SELECT value FROM about WHERE name = 'id'")
            self._identity = "" if row is None else str(row[0])
        return self._identity

    def assume(self, words: Vocabulary) -> None:
        """Take these for the names of entries of a version that kept none, as long as no others are known."""
        if self._kept.schemas.legacy.nameless:
            self._kept.schemas.legacy = words

    @property
    def coding(self) -> Coding:
        """See `SharedJournal`. Raises Unavailable; JournalError where the secret is gone."""
        if self._coding is None:
            row = self._one("SELECT value FROM about WHERE name = 'secret'")
            if row is None:
                raise JournalError(f"{self.where}: the table about has lost its secret: restore it from a copy")
            self._coding = Coding(bytes.fromhex(row[0]))
        return self._coding

    @property
    def where(self) -> str:
        """Host, port and database; no user, no password."""
        return self._connections.where

    @property
    def app(self) -> str:
        """See `NamedJournal`. Raises Unavailable."""
        return self.standing().app or ""

    @property
    def degraded(self) -> bool:
        """Never: an append that fails raises Unavailable."""
        return False

    @property
    def reason(self) -> str:
        """See `degraded`."""
        return ""

    @property
    def backlog(self) -> Backlog | None:
        """Nothing is kept back."""
        return None

    @property
    def last(self) -> int:
        """The last committed entry's sequence number, 0 when there is none. Raises Unavailable."""
        end = self._committed_up_to()
        sql = "SELECT sequence FROM entries WHERE sequence <= %s ORDER BY sequence DESC LIMIT 1"
        row = self._one(sql, end)
        return 0 if row is None else int(row[0])

    def append(self, body: Body, places: Sequence[str] | None = None) -> int:
        """Write durably, all or nothing; returns the (last) entry's sequence number.

        Rows that an append wrote whose answer got lost (the same bytes from the same places) are not written again, and
        are no error. An id that comes twice in one batch counts where it comes first.
        Raises Repeated where events were decided by others, Unavailable when the server fails.
        """
        if isinstance(body, ChangeBatch):
            number = self._append_changes(body)
        elif isinstance(body, OutcomeBatch):
            number = self._append_outcomes(body, places)
        else:
            number = self._append_decisions(body, places)
        self.appended = max(self.appended, number)
        return number

    def _append_decisions(self, body: DecisionBatch, places: Sequence[str] | None) -> int:
        batch = PreparedBatch.of(body, self._kept.keep(body), places, self._compress)
        names = self._kept.names_of(body.words)
        self._entities = body.events.keys.shape[1]
        write = writing.write_at_once if batch.is_small else writing.write_decisions
        for _ in range(_ROUNDS):
            try:
                return self._write(lambda connection, now_ns: write(connection, batch, names, now_ns))
            except errors.UniqueViolation:
                found = self._written(batch)
                if isinstance(found, int):
                    return found
                if len(found):
                    raise Repeated(found) from None
        raise Unavailable(f"{self.where}: others write and undo the same events over and over")

    def journalled(self, places: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) whether an outcome from each place is in the journal."""
        sql = """SELECT ord FROM unnest(%s::text[]) WITH ORDINALITY asked(place, ord)
            JOIN outcomes USING (place) WHERE place <> ''"""
        out = np.zeros(len(places), np.bool_)
        for (ord_,) in self._all(sql, texts_parameter(places)):
            out[ord_ - 1] = True
        return out

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a sequence number above `after` that was committed when this was called, in order.

        Raises JournalError at one that is damaged, Unavailable.
        """
        end = self._committed_up_to()
        sql = """SELECT sequence, codec, body FROM entries
            WHERE sequence > %s AND sequence <= %s ORDER BY sequence LIMIT %s"""
        while rows := self._all(sql, after, end, _READ_ENTRIES):
            for after, stored_as, stored in rows:
                body = decoded(self.where, self._kept.schemas, after, stored_as, stored, self.checked_each)
                yield Entry(after, body)

    def facts(self, after: int = 0) -> Iterator[EntryFacts]:
        """The facts of every entry above `after`, as `read` gives them."""
        end = self._committed_up_to()
        sql = f"""SELECT sequence, kind, rows, first_ns, last_ns, digest, codec, {TOOK_OF_BODY},
            (extract(epoch FROM recorded_at) * 1000000)::bigint, places FROM entries
            WHERE sequence > %s AND sequence <= %s ORDER BY sequence LIMIT %s"""  # noqa: S608
        while rows := self._all(sql, after, end, _READ_FACTS):
            for sequence, kind, count, first_ns, last_ns, digest, stored_as, start, recorded_us, places in rows:
                took, where = (
                    took_us_of(self.where, sequence, stored_as, start),
                    None if places is None else places.hex(),
                )
                yield EntryFacts(sequence, kind, count, first_ns, last_ns, digest.hex(), took, recorded_us, where)
            after = rows[-1][0]

    recent = facts  # The channel that an audit trail follows.

    def says(self) -> dict[str, str]:
        """The facts that the journal keeps about itself, by name; some of them may be secret. Raises Unavailable."""
        return dict(self._all("SELECT name, value FROM about"))

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        """(n,) whether each event id has a decision."""
        sql = "SELECT ord" + _OF_IDS
        out = np.zeros(len(ids), np.bool_)
        rows = self._all(sql, *_asked(ids)) if len(ids) else []
        out[[ord_ - 1 for (ord_,) in rows]] = True
        return out

    def places(self, ids: Ids) -> list[str | None]:
        """(n,) where each decided event was read, "" where that is not known; None where it was never decided."""
        sql = "SELECT ord, place" + _OF_IDS
        out: list[str | None] = [None] * len(ids)
        for ord_, place in self._all(sql, *_asked(ids)) if len(ids) else []:
            out[ord_ - 1] = place
        return out

    def locate(self, ids: Ids) -> Located:
        """See `SharedJournal`."""
        sql = "SELECT ord, time_ns, keys, key_checks, key_texts, schema" + _OF_IDS
        rows = self._all(sql, *_asked(ids)) if len(ids) else []
        mask, time_ns = np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.int64)
        if rows:
            self._entities = len(self._words.entities) or len(rows[0][2])
        keys, checks = np.zeros((2, len(ids), self._entities), np.int64)
        texts: IdTexts = {}
        for number, group in groupby(sorted(rows, key=lambda row: row[5] or 0), lambda row: row[5] or 0):
            ords, moments, own, their, texts_, _ = zip(*group, strict=True)
            at = np.array(ords) - 1
            was = self._kept.entities_of(number)
            mask[at], time_ns[at] = True, moments
            found = np.array(own, np.int64).reshape(len(at), -1)
            found_checks = np.array([one or [0] * found.shape[1] for one in their], np.int64).reshape(found.shape)
            fill_old_pairs(found, found_checks, self.coding, pairs_of(was))
            now = self._words.entities or was
            keys[at], checks[at] = keys_as(found, found_checks, was, now, self.coding)
            for one, its, written in zip(found.tolist(), found_checks.tolist(), texts_, strict=True):
                if written is not None:
                    keyed = zip(one, its, json.loads(written), strict=True)
                    texts.update({(key, check): text for key, check, text in keyed if text is not None})
        return Located(mask, time_ns, keys, checks, texts)

    def sequence_of(self, event_id: Identity) -> int | None:
        """See `StandingJournal`."""
        row = self._one("SELECT entry" + _OF_IDS, *_asked(Ids.of([event_id])))
        return None if row is None else int(row[0])

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """See `Journal`."""
        out: list[tuple[DecisionBatch, int] | None] = [None] * len(ids)
        sql = "SELECT entry, ord, row, day" + _OF_IDS + " ORDER BY entry"
        found = self._all(sql, *_asked(ids)) if len(ids) else []
        by_entry = {entry: list(rows) for entry, rows in groupby(found, itemgetter(0))}
        entries = list(by_entry)
        for first in range(0, len(entries), _READ_ENTRIES):
            sequences = entries[first : first + _READ_ENTRIES]
            days = [day for entry in sequences for *_, day in by_entry[entry]]
            sql = """SELECT sequence, codec, body FROM entries WHERE sequence = ANY(%s)
                AND recorded_at >= %s::date::timestamp AT TIME ZONE 'UTC'
                AND recorded_at < (%s::date + 1)::timestamp AT TIME ZONE 'UTC'"""
            bodies = {stored[0]: stored for stored in self._all(sql, sequences, min(days), max(days))}
            for sequence in sequences:
                if sequence not in bodies:
                    raise JournalError(f"{self.where}: entry {sequence} is missing")
                batch = decoded(self.where, self._kept.schemas, *bodies[sequence])
                for _, ord_, row, _ in by_entry[sequence]:
                    if not isinstance(batch, DecisionBatch) or batch.events.ids.at(row) != ids.at(ord_ - 1):
                        wrong = "does not hold the event that it is indexed for"
                        raise JournalError(f"{self.where}: entry {sequence} {wrong}")
                    out[ord_ - 1] = batch, row
        return out

    def decisions(
        self, since_ns: int = _TIME_MIN, until_ns: int = _TIME_MAX, actions: Sequence[int] | None = None
    ) -> Iterator[tuple[DecisionBatch, Int]]:
        """Batches with the rows in them whose event time is in [since_ns, until_ns) and whose action is asked for."""
        end, after = self._committed_up_to(), 0
        sql = """SELECT sequence, codec, body FROM entries WHERE sequence > %s AND sequence <= %s AND kind = %s
            AND last_ns >= %s AND first_ns < %s ORDER BY sequence LIMIT %s"""
        while rows := self._all(sql, after, end, codec.DECISIONS, since_ns, until_ns, _READ_ENTRIES):
            for after, stored_as, stored in rows:
                batch = decoded(self.where, self._kept.schemas, after, stored_as, stored)
                assert isinstance(batch, DecisionBatch)
                time_ns = batch.events.time_ns
                asked = (time_ns >= since_ns) & (time_ns < until_ns)
                if actions is not None:
                    asked &= np.isin(batch.ruling.action, np.asarray(actions, np.int16))
                if asked.any():
                    yield batch, np.flatnonzero(asked)

    def newest(self, rows: int) -> list[DecisionBatch]:
        """See `SharedJournal`. Many small entries are fewer decisions, so that this takes a moment only."""
        sql = "SELECT sequence, rows FROM entries WHERE kind = %s AND sequence <= %s ORDER BY sequence DESC LIMIT %s"
        found = self._all(sql, codec.DECISIONS, self._committed_up_to(), _NEWEST_ENTRIES)
        held = np.cumsum([count for _, count in found], dtype=np.int64)
        sequences = [sequence for sequence, _ in found[: int(np.searchsorted(held, rows, side="right"))]]
        sql = "SELECT sequence, codec, body FROM entries WHERE sequence = ANY(%s) ORDER BY sequence"
        out = []
        for last in range(len(sequences), 0, -_READ_ENTRIES):
            for stored in self._all(sql, sequences[max(last - _READ_ENTRIES, 0) : last]):
                batch = decoded(self.where, self._kept.schemas, *stored)
                assert isinstance(batch, DecisionBatch)
                out.append(batch)
        return out

    def recall(self) -> None:
        """Nothing: while the server is away, this journal answers nothing."""

    def wait_until_written(self, wait_s: float) -> bool:
        """Nothing waits: what was appended is committed."""
        return True

    def retire(self) -> Retired:
        """Drop what is older than `retention_ns`; call it now and then. Raises Unavailable."""
        if self._retention_ns is None:
            return Retired(0, 0, 0)
        before = day_of(self._clock.now_ns() - self._retention_ns)
        self._days = {day for day in self._days if day >= before}
        return retire(self._connections, before)

    def standing(self) -> schema.Standing:
        """The answers to the questions of `homeostat doctor`. Raises Unavailable."""
        return schema.standing(self._connections, self._clock.now_ns())

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def __enter__(self) -> PostgresJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _append_outcomes(self, body: OutcomeBatch, places: Sequence[str] | None) -> int:
        self._kept.keep(body)
        return self._write(
            lambda connection, now_ns: writing.write_outcomes(connection, body, places, self._compress, now_ns)
        )

    def _append_changes(self, body: ChangeBatch) -> int:
        self._kept.keep(body)

        def journalled(stored_as: int, stored: bytes) -> int:
            held = decoded(self.where, self._kept.schemas, 0, stored_as, stored)
            return held.number if isinstance(held, ChangeBatch) else 0

        return self._write(
            lambda connection, now_ns: writing.write_changes(connection, body, journalled, self._compress, now_ns)
        )

    def _write(self, write: Any) -> int:
        """Run a transaction that ends in a commit, on a day that has its parts.

        write : (connection, now_ns) -> Written; it may leave the commit to us. Where the answer of one that doesn't is
            lost, it is found by whoever writes the same again
        """
        begun: writing.Written | None = None

        def transaction(connection: Connection) -> int:
            nonlocal begun
            begun = None
            written = write(connection, now_ns)
            if not written.committed:
                begun = written
                connection.execute("COMMIT")
            return int(written.last)

        for again in (True, False):
            now_ns = self._clock.now_ns()
            self._make_days(day_of(now_ns))
            try:
                return self._connections.run(transaction)
            except (
                errors.CheckViolation
            ) as error:  # A day's part is missing: it was dropped, or the clock was set back.
                self._days.clear()
                if not again:
                    raise Unavailable(self._connections.said(error)) from None
            except Unavailable:
                if begun is not None and self._is_committed(begun.sequences):
                    return int(begun.last)
                raise
        raise AssertionError("the second round returns or raises")

    def _is_committed(self, sequences: Sequence[int]) -> bool:
        """Whether a commit whose answer got lost took place, as far as is known now."""
        try:
            row = self._one("SELECT count(*) FROM entries WHERE sequence = ANY(%s)", list(sequences))
        except Unavailable:
            return False  # Not known. A caller that tries again finds its own event ids.
        return bool(sequences) and row == (len(sequences),)

    def _make_days(self, today: int) -> None:
        wanted = [day for day in (today, today + 1) if day not in self._days]
        if wanted:
            self._connections.run(lambda connection: make_days(connection, wanted))
            self._days.update(wanted)

    def _written(self, batch: PreparedBatch) -> int | Int:
        """The last sequence number of a batch that is there already as it is; else its rows that others decided."""
        sql = "SELECT ord, entry, place" + _OF_IDS
        found = self._all(sql, *_asked(batch.ids))
        sequences = sorted({entry for _, entry, _ in found})
        if len(found) == len(batch.ids) and batch.holds_places({ord_ - 1: place for ord_, _, place in found}):
            sql = "SELECT digest FROM entries WHERE sequence = ANY(%s) ORDER BY sequence"
            stored = [bytes(digest) for (digest,) in self._all(sql, sequences)]
            if stored == [piece.digest for piece in batch.pieces if piece.decided]:
                return int(sequences[-1])
        return batch.rows_with(batch.ids[[ord_ - 1 for ord_, _, _ in found]])

    def _committed_up_to(self) -> int:
        """The highest number such that no entry with a lower one is under way."""
        until = time.monotonic() + self._connections.deadline_s
        return self._connections.run(lambda connection: committed_up_to(connection, self.where, until))

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        def ask(connection: Connection) -> list[tuple[Any, ...]]:
            return connection.execute(sql, values, binary=True).fetchall()

        return self._connections.run(ask)

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None


def _asked(ids: Ids) -> tuple[Any, Any]:
    return codes_parameter(ids.code), codes_parameter(ids.check)
