"""The entries in the file of a SQLite journal, as queries find them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters.disk.sqlite.tables import refusal
from homeostat.adapters.journals.entries import TOOK_OF_BODY, JournalError, decoded, took_us_of
from homeostat.ports import Entry, EntryFacts, Unavailable
from homeostat.records import codec
from homeostat.records.arrays import Int
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import row_of
from homeostat.records.identity import Ids
from homeostat.records.schemas import Schemas

TIME_MIN, TIME_MAX = -(1 << 63), (1 << 63) - 1


class EntryFile:
    """Reads entries. A query raises Unavailable while `db` is None, JournalError where the file is damaged.

    keeps_schemas, keeps_times : whether the file has the table of schemas, and times of recording; old ones lack both
    """

    def __init__(self, path: Path, schemas: Schemas) -> None:
        self.path, self.schemas = path, schemas
        self.db: sqlite3.Connection | None = None
        self.keeps_schemas, self.keeps_times = False, False

    def all(self, sql: str, *values: int | str | bytes) -> Iterator[tuple[Any, ...]]:
        """The rows of a query."""
        if self.db is None:
            raise Unavailable(f"the journal {self.path} is closed")
        try:
            yield from self.db.execute(sql, values)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise refusal(error, self.path) from error

    def one(self, sql: str, *values: int | str | bytes) -> tuple[Any, ...] | None:
        """The first row of a query; None without one."""
        return next(self.all(sql + " LIMIT 1", *values), None)

    def about(self, name: str) -> str | None:
        """A fact that the journal keeps about itself under a name."""
        row = self.one("SELECT value FROM about WHERE name = ?", name)
        return None if row is None else str(row[0])

    def says(self) -> dict[str, str]:
        """The facts that the journal keeps about itself, by name; some of them may be secret."""
        return dict(self.all("SELECT name, value FROM about"))

    def schema_text(self, digest: bytes) -> str | None:
        """The schema of a hash; None where the file does not keep it."""
        if not self.keeps_schemas:
            return None
        row = self.one("SELECT text FROM schemas WHERE hash = ?", digest)
        return None if row is None else str(row[0])

    def body(self, sequence: int) -> Body | None:
        """The batch of an entry; None where there is no such entry."""
        row = self.one("SELECT sequence, codec, body FROM entries WHERE sequence = ?", sequence)
        return None if row is None else decoded(str(self.path), self.schemas, *row)

    def last(self) -> int | None:
        """The last entry's sequence number; None where there is none."""
        row = self.one("SELECT max(sequence) FROM entries")
        return None if row is None or row[0] is None else int(row[0])

    def read(self, after: int, last: int, checked_each: int = 1) -> Iterator[Entry]:
        """Every entry with a number above `after`, in order; up to `last` none may be missing.

        checked_each : see `decoded`
        """
        while True:
            sql = f"SELECT sequence, codec, body, {self._times} FROM entries WHERE sequence > ? ORDER BY sequence"  # noqa: S608
            row = self.one(sql, after)
            if row is None:
                if after < last:
                    raise JournalError(f"{self.path}: entry {after + 1} is missing")
                return
            if row[0] != after + 1:
                raise JournalError(f"{self.path}: entry {after + 1} is missing")
            after = row[0]
            body = decoded(str(self.path), self.schemas, after, row[1], row[2], checked_each)
            yield Entry(after, body, row[3])

    def facts(self, after: int) -> Iterator[EntryFacts]:
        """The facts of every entry above `after`, in order."""
        sql = f"""SELECT sequence, kind, rows, first_ns, last_ns, digest, codec, {TOOK_OF_BODY}, {self._times}
            FROM entries WHERE sequence > ? ORDER BY sequence"""  # noqa: S608
        for sequence, kind, rows, first_ns, last_ns, digest, stored_as, start, recorded_us in self.all(sql, after):
            took = took_us_of(str(self.path), sequence, stored_as, start)
            yield EntryFacts(sequence, kind, rows, first_ns, last_ns, digest.hex(), took, recorded_us)

    @property
    def _times(self) -> str:
        return "recorded_us" if self.keeps_times else "NULL"

    def digests(self, until: int) -> Iterator[bytes]:
        """The digests of the entries up to one, in order."""
        for (digest,) in self.all("SELECT digest FROM entries WHERE sequence <= ? ORDER BY sequence", until):
            yield digest

    def stated(self, sequence: int) -> str | None:
        """The digest that stands beside an entry; None where there is no such entry."""
        row = self.one("SELECT digest FROM entries WHERE sequence = ?", sequence)
        return None if row is None else bytes(row[0]).hex()

    def find_all(self, ids: Ids, entries: np.ndarray[Any, np.dtype[Any]]) -> list[tuple[DecisionBatch, int] | None]:
        """The decisions of event ids, of which the index says in which entries they are; 0 stands for none."""
        out: list[tuple[DecisionBatch, int] | None] = [None] * len(ids)
        for sequence in np.unique(entries[entries != 0]).tolist():
            batch = self.body(sequence)
            if batch is None:
                raise JournalError(f"{self.path}: entry {sequence} is missing")
            if not isinstance(batch, DecisionBatch):
                raise JournalError(f"{self.path}: entry {sequence} holds no decisions")
            for k in np.flatnonzero(entries == sequence).tolist():
                row = row_of(batch.events, ids.at(k))
                if row is None:
                    raise JournalError(f"{self.path}: entry {sequence} does not hold the event that it is indexed for")
                out[k] = batch, row
        return out

    def decisions(
        self, since_ns: int, until_ns: int, actions: Sequence[int] | None
    ) -> Iterator[tuple[DecisionBatch, Int]]:
        """Batches with the rows in them whose event time is in [since_ns, until_ns) and whose action is asked for."""
        sql = """SELECT sequence FROM entries WHERE kind = ? AND last_ns >= ? AND first_ns < ? ORDER BY sequence"""
        for (sequence,) in self.all(sql, codec.DECISIONS, since_ns, until_ns):
            batch = self.body(sequence)
            if not isinstance(batch, DecisionBatch):
                raise JournalError(f"{self.path}: entry {sequence} is missing")
            time_ns = batch.events.time_ns
            asked = (time_ns >= since_ns) & (time_ns < until_ns)
            if actions is not None:
                asked &= np.isin(batch.ruling.action, np.asarray(actions, np.int16))
            rows = np.flatnonzero(asked)
            if len(rows):
                yield batch, rows

    def newest(self, until: int) -> DecisionBatch | None:
        """The batch that was decided last, up to an entry; None where none was."""
        sql = "SELECT sequence, codec, body FROM entries WHERE kind = ? AND sequence <= ? ORDER BY sequence DESC"
        row = self.one(sql, codec.DECISIONS, until)
        batch = None if row is None else decoded(str(self.path), self.schemas, *row)
        return batch if isinstance(batch, DecisionBatch) else None

    def changes(self, sequences: Sequence[int]) -> list[Change]:
        """The changes in some entries, in order."""
        found: list[Change] = []
        for sequence in sequences:
            body = self.body(sequence)
            if not isinstance(body, ChangeBatch):
                raise JournalError(f"{self.path}: entry {sequence} holds no changes")
            found += body.changes
        return found

    def newest_ns(self) -> int | None:
        """The latest event time of a decision; None where there is none."""
        row = self.one("SELECT max(last_ns) FROM entries WHERE kind = ? AND rows > 0", codec.DECISIONS)
        return None if row is None or row[0] is None else int(row[0])
