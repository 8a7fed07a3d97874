"""A shared journal in this process's memory: the twin of the one on a server, for tests, trials and simulations."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.journals.entries import ById, beside_body
from homeostat.ports import Entry, EntryFacts, Unavailable
from homeostat.ports.shared import Backlog, Located, Repeated
from homeostat.records import codec
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch, Row
from homeostat.records.identity import Coding, Identity, Ids, IdTexts, texts_of
from homeostat.records.schemas import Schemas


@dataclass(frozen=True, slots=True)
class _Decided:
    entry: int
    row: int
    time_ns: int
    keys: tuple[int, ...]
    key_checks: tuple[int, ...]
    place: str
    texts: IdTexts


@dataclass(slots=True)
class Ledger:
    """The data that several `MemoryJournal`s share.

    away : while not empty, every call raises Unavailable and says this
    settings, settings_entry : the last change that is in it, and its entry
    coding : by a secret that everybody knows, since nothing outside of this process reaches it
    """

    away: str = ""
    bodies: list[bytes] = field(default_factory=list)
    schemas: Schemas = field(default_factory=Schemas)
    decided: dict[Identity, _Decided] = field(default_factory=dict)
    journalled: dict[str, int] = field(default_factory=dict)
    settings: int = 0
    settings_entry: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    coding: Coding = field(default_factory=lambda: Coding.of_seed(0))

    def decoded(self, entry: int) -> Body:
        """The batch of an entry."""
        return codec.decode(self.bodies[entry - 1], self.schemas)


class MemoryJournal(ById):
    """A SharedJournal over a ledger. May be used by several threads."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = Ledger() if ledger is None else ledger
        self.appended = 0  # The last number that `append` returned here.

    @property
    def identity(self) -> str:
        """See `SharedJournal`."""
        return self._asked().identity

    @property
    def coding(self) -> Coding:
        """See `SharedJournal`."""
        return self._ledger.coding

    @property
    def last(self) -> int:
        """The last entry's sequence number, 0 when there is none."""
        return len(self._asked().bodies)

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

    def append(self, body: Body, places: Sequence[str] | None = None) -> int:
        """Write, all or nothing; the same bytes from the same places again are no error.

        Raises Repeated, Unavailable.
        """
        ledger = self._asked()
        with ledger.lock:
            given = [""] * len(body) if places is None else places
            if isinstance(body, ChangeBatch):
                self.appended = _append_changes(ledger, body)
            elif isinstance(body, OutcomeBatch):
                self.appended = _append_outcomes(ledger, body, given)
            else:
                self.appended = _append_decisions(ledger, body, given)
            return self.appended

    def journalled(self, places: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) whether an outcome from each place is in the journal."""
        return np.array([place in self._asked().journalled for place in places], np.bool_)

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a sequence number above `after` that was there when this was called, in order."""
        for sequence in range(after + 1, self.last + 1):
            yield Entry(sequence, self._ledger.decoded(sequence))

    def facts(self, after: int = 0) -> Iterator[EntryFacts]:
        """The facts of every entry above `after`, in order."""
        for sequence in range(after + 1, self.last + 1):
            data = self._asked().bodies[sequence - 1]
            head, body = codec.head(data), self._ledger.decoded(sequence)
            yield EntryFacts(sequence, *beside_body(body), head.digest)

    recent = facts

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        """(n,) whether each event id has a decision."""
        return np.array([one in self._asked().decided for one in ids.tolist()], np.bool_)

    def places(self, ids: Ids) -> list[str | None]:
        """(n,) where each decided event was read, "" where that is not known; None where it was never decided."""
        found = [self._asked().decided.get(one) for one in ids.tolist()]
        return [None if one is None else one.place for one in found]

    def locate(self, ids: Ids) -> Located:
        """See `SharedJournal`."""
        found = [self._asked().decided.get(one) for one in ids.tolist()]
        entities = max((len(one.keys) for one in found if one is not None), default=0)
        mask, time_ns = np.zeros(len(found), np.bool_), np.zeros(len(found), np.int64)
        keys, checks = np.zeros((2, len(found), entities), np.int64)
        texts: IdTexts = {}
        for row, one in enumerate(found):
            if one is not None:
                mask[row], time_ns[row], keys[row], checks[row] = True, one.time_ns, one.keys, one.key_checks
                texts.update(one.texts)
        return Located(mask, time_ns, keys, checks, texts)

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """See `Journal`."""
        ledger = self._asked()
        found = [ledger.decided.get(one) for one in ids.tolist()]
        entries = {one.entry for one in found if one is not None}
        bodies = {entry: ledger.decoded(entry) for entry in entries}
        return [None if one is None else (cast(DecisionBatch, bodies[one.entry]), one.row) for one in found]

    def sequence_of(self, event_id: Identity) -> int | None:
        """See `StandingJournal`."""
        found = self._asked().decided.get(event_id)
        return None if found is None else found.entry

    def newest(self, rows: int) -> list[DecisionBatch]:
        """See `SharedJournal`."""
        out: list[DecisionBatch] = []
        for entry in reversed(list(self.read())):
            if isinstance(entry.body, DecisionBatch):
                rows -= len(entry.body)
                if rows < 0:
                    break
                out.append(entry.body)
        return out[::-1]

    def recall(self) -> None:
        """Nothing: while the server is away, this journal answers nothing."""

    def wait_until_written(self, wait_s: float) -> bool:
        """Nothing waits."""
        return True

    def retire(self) -> None:
        """Everything is kept."""

    def close(self) -> None:
        """Nothing is held; the ledger stays."""

    def _asked(self) -> Ledger:
        if self._ledger.away:
            raise Unavailable(self._ledger.away)
        return self._ledger


def _append_decisions(ledger: Ledger, body: DecisionBatch, places: Sequence[str]) -> int:
    events, data = body.events, codec.encode_beside(body, ledger.schemas)
    rows = [row for row, kind in enumerate(events.kind.tolist()) if kind != Row.OUTCOME]
    codes = events.ids.tolist()
    there = [row for row in rows if codes[row] in ledger.decided]
    if there:
        found = [ledger.decided[codes[row]] for row in there]
        same = len(there) == len(rows) and len({one.entry for one in found}) == 1
        first = {code: row for row, code in reversed([(row, codes[row]) for row in rows])}
        same = same and all(ledger.decided[code].place == places[row] for code, row in first.items())
        if same and codec.head(ledger.bodies[found[0].entry - 1]).digest == codec.head(data).digest:
            return found[0].entry
        raise Repeated(np.array(there, np.int64))
    ledger.bodies.append(data)
    entry = len(ledger.bodies)
    for row in rows:
        keys, checks = events.keys[row], events.key_checks[row]
        made = _Decided(
            entry, row, int(events.time_ns[row]), tuple(keys.tolist()), tuple(checks.tolist()), places[row],
            texts_of(keys, checks, events.texts),
        )  # fmt: skip
        ledger.decided.setdefault(codes[row], made)
    return entry


def _append_changes(ledger: Ledger, body: ChangeBatch) -> int:
    """Each change once, whichever process comes first."""
    left = tuple(change for change in body.changes if change.number > ledger.settings)
    if left:
        ledger.bodies.append(codec.encode_beside(ChangeBatch(left), ledger.schemas))
        ledger.settings, ledger.settings_entry = left[-1].number, len(ledger.bodies)
    return ledger.settings_entry


def _append_outcomes(ledger: Ledger, body: OutcomeBatch, places: Sequence[str]) -> int:
    rows, new = [], set()
    for row, place in enumerate(places):
        if not place or (place not in ledger.journalled and place not in new):
            rows.append(row)
            new.add(place)
    if len(body) and not rows:
        return max(ledger.journalled[place] for place in places)
    picked = body.rows(np.array(rows, np.int64))
    ledger.bodies.append(codec.encode_beside(picked, ledger.schemas))
    ledger.journalled.update({place: len(ledger.bodies) for place in new if place})
    return len(ledger.bodies)
