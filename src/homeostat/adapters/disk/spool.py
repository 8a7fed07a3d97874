"""A shared journal whose server may be away: what can't be written there waits on this machine's disk, in order.

While the server answers, an append goes straight to it. When it fails, the circuit opens: appends go to the spool, and
a thread asks the server again from time to time. Once it is back the thread drains the spool, and what comes meanwhile
queues behind, so that the order in which this process decided is kept. Draining again what the server has already is
harmless. Events that another worker decided in the meantime are left out, and counted.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.disk.segments import SegmentQueue, Waiting
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import ById
from homeostat.adapters.journals.remembered import Remembered, merge_located
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.servers.circuit import Backoff, Circuit, CircuitState, RetryPolicy
from homeostat.ports import Clock, Entry, Unavailable
from homeostat.ports.shared import Backlog, Located, Repeated, SharedJournal
from homeostat.records import codec
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.identity import Coding, Identity, Ids, joined_ids
from homeostat.records.renaming import keys_as
from homeostat.records.rows import decisions_at
from homeostat.records.vocabulary import NAMELESS, Vocabulary

POLICY = RetryPolicy(
    deadline_s=5.0, failures=1, backoff=Backoff(0.2, 5.0),
    falls_back="a spool on this machine's disk, bounded and in order, that is drained once the server is back",
)  # fmt: skip
_Answer = TypeVar("_Answer")
_One = TypeVar("_One")
# How the body is compressed, and its length. JSON follows it: the schema and the places; in older records the places
# alone, or nothing.
_RECORD = struct.Struct("<BI")
_LOOK_S_MAX = 1.0
_CATCH_UP_S = 0.25  # How long an append waits for the spool to drain, once the server is back.
_NOBODY = Ids.of([(0, 0)])


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """The figures of a spool, for metrics.

    rows, nbytes, oldest_s : what waits: decisions and outcomes, bytes on the disk, seconds since the first was put in
    drained, repeated : rows that the server has got from the spool, and those that another worker decided first
    guessed : ids that were asked for while the server was away, and answered from what this process knows
    state, reason : of the circuit, and what opened it
    """

    rows: int
    nbytes: int
    oldest_s: float
    drained: int
    repeated: int
    guessed: int
    state: CircuitState
    reason: str


class SpooledJournal(ById):
    """A SharedJournal over another. It is a context manager, and may be used by several threads.

    `append` returns once an entry is durable: at the server, or on this machine's disk.
    """

    def __init__(
        self,
        inner: SharedJournal,
        folder: Path,
        *,
        max_bytes: int = 4 << 30,
        clock: Clock | None = None,
        policy: RetryPolicy = POLICY,
        remembered_rows: int = 32_768,
        power_safe: bool = False,
        words: Vocabulary = NAMELESS,
    ) -> None:
        """Open the spool and begin to drain what a predecessor has left there.

        inner : the journal on a server; it is closed with this one
        folder : of the spools of this app's processes on this machine
        max_bytes : the most that waits; then `append` raises Unavailable
        remembered_rows : about so many of the last decisions are kept in memory, to know them while the server is
            away; as many again of those that other processes made, at each `recall`
        power_safe : each record in the spool waits for the disk
        words : the app's names: of what older versions have left in the spool, and of the keys that `locate` gives

        Raises Unavailable where the folder can't be used.
        """
        self.inner = inner
        self._words = words
        self._clock = SystemClock() if clock is None else clock
        self._circuit = Circuit(self._clock, policy)
        self._queue = SegmentQueue(folder, max_bytes, power_safe=power_safe)
        self._remembered_rows = remembered_rows
        self._remembered = Remembered(remembered_rows)
        self._recalled = Remembered(0)
        self._spooled = Remembered(0)
        self._order = threading.Lock()  # Held from the choice between server and spool until that has the entry.
        self._state = threading.Lock()  # Guards the queue and the indexes, never while waiting for a server.
        self._wake = threading.Condition(self._state)
        self._closing = False
        self._drained = self._repeated = self._guessed = 0
        self.appended = 0  # The last number of an entry of ours at the server.
        for waiting in self._queue.waiting:
            self._index(waiting, *_decoded(self._queue.read(waiting), self._words, self.coding))
        self._thread = threading.Thread(target=self._drain, name="spool", daemon=True)
        self._thread.start()

    @property
    def degraded(self) -> bool:
        """Whether the server is away, so that answers come from what this process knows."""
        return self._circuit.state is not CircuitState.CLOSED

    @property
    def reason(self) -> str:
        """Why the server is taken to be away; empty while it answers."""
        return self._circuit.reason

    @property
    def figures(self) -> SpoolFigures:
        """How things stand."""
        with self._state:
            queue = self._queue
            oldest_s = (self._clock.now_ns() - queue.waiting[0].at_ns) / 1e9 if queue.waiting else 0.0
            return SpoolFigures(
                queue.rows, queue.nbytes if queue.waiting else 0, max(0.0, oldest_s), self._drained, self._repeated,
                self._guessed, self._circuit.state, self._circuit.reason,
            )  # fmt: skip

    @property
    def backlog(self) -> Backlog:
        """See `SharedJournal`."""
        figures = self.figures
        return Backlog(figures.rows, figures.nbytes, figures.oldest_s)

    @property
    def identity(self) -> str:
        """The server's. Raises Unavailable."""
        return self._must(lambda: self.inner.identity)

    @property
    def coding(self) -> Coding:
        """The server's."""
        return self.inner.coding

    @property
    def last(self) -> int:
        """The server's last entry. Raises Unavailable."""
        return self._must(lambda: self.inner.last)

    def append(self, body: Body, places: Sequence[str] | None = None) -> int:
        """Write durably, all or nothing; returns the number of the last entry of ours that the server is known to have.

        Raises Repeated where events are known to be decided; Unavailable when the server is away and the spool is full
        or can't be written either: nothing was written then.
        """
        if self._queue.waiting and self._circuit.state is CircuitState.CLOSED:
            self.wait_until_written(
                _CATCH_UP_S
            )  # Else what is put in, in small records, may for ever outrun what is taken out.
        with self._order:
            if not self._queue.waiting and self._circuit.state is CircuitState.CLOSED:
                try:
                    number = self._circuit.call(lambda: self.inner.append(body, places))
                except Unavailable:
                    pass
                else:
                    self._has(body, places, number)
                    return number
            self._spool(body, places)
            return self.appended

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        """(n,) whether each event id has a decision, as far as is known."""
        with self._state:
            known = self._spooled.seen(ids)
        rest = np.flatnonzero(~known)
        if len(rest):
            asked = ids[rest]
            known[rest] = self._ask(len(rest), lambda: self.inner.seen(asked), lambda: self._seen_before(asked))
        return known

    def places(self, ids: Ids) -> list[str | None]:
        """See `SharedJournal`. Raises Unavailable where that of any can't be known now."""
        with self._state:
            places = self._spooled.places(ids)
        rest = np.flatnonzero([place is None for place in places])
        if len(rest):
            asked = ids[rest]
            found = self._known(lambda: self.inner.places(asked), lambda: self._own(asked, Remembered.places))
            for row, place in zip(rest.tolist(), found, strict=True):
                places[row] = place
        return places

    def locate(self, ids: Ids) -> Located:
        """See `SharedJournal`."""
        with self._state:
            own = self._spooled.locate(ids)
        rest = np.flatnonzero(~own.found)
        if not len(rest) and len(ids):
            return own
        asked = ids[rest]
        found = self._ask(len(rest), lambda: self.inner.locate(asked), lambda: self._remembered.locate(asked))
        return merge_located(own, found, rest)

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """See `Journal`. Raises Unavailable where that of any can't be known now."""
        with self._state:
            out = self._spooled.find_all(ids)
        rest = [k for k, one in enumerate(out) if one is None]
        if rest:
            asked = ids[rest]
            found = self._known(lambda: self.inner.find_all(asked), lambda: self._own(asked, Remembered.find_all))
            for k, one in zip(rest, found, strict=True):
                out[k] = one
        return out

    def sequence_of(self, event_id: Identity) -> int | None:
        """See `StandingJournal`. Raises Unavailable."""
        return self._must(lambda: self.inner.sequence_of(event_id))

    def read(self, after: int = 0) -> Iterator[Entry]:
        """The server's entries, without those that still wait here. Raises Unavailable."""
        return self._must(lambda: self.inner.read(after))

    def retire(self) -> object:
        """Drop what the server has kept for long enough. Raises Unavailable."""
        return self._must(self.inner.retire)

    def newest(self, rows: int) -> list[DecisionBatch]:
        """The server's, without those that still wait here. Raises Unavailable."""
        return self._must(lambda: self.inner.newest(rows))

    def recall(self) -> None:
        """See `SharedJournal`. An earlier recall is forgotten. Raises Unavailable."""
        found = self.newest(self._remembered_rows)
        ids = [body.events.ids for body in found]
        places = self._must(lambda: self.inner.places(joined_ids(ids))) if found else []
        recalled, begin = Remembered(0), 0
        for body in found:
            own = places[begin : begin + len(body)]
            recalled.put(body, ["" if place is None else place for place in own])
            begin += len(body)
        with self._state:
            self._recalled = recalled

    def wait_until_written(self, wait_s: float) -> bool:
        """Wait until nothing waits any more; False where that takes longer."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._queue.waiting, wait_s)

    def close(self, drain_s: float = 5.0) -> None:
        """Drain what can be drained in a moment, and let go. Waiting entries stay on the disk for the next start."""
        if self._closing:
            return
        if not self.degraded:
            self.wait_until_written(drain_s)
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()
        self._queue.close()
        self.inner.close()

    def __enter__(self) -> SpooledJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _must(self, ask: Callable[[], _Answer]) -> _Answer:
        """The server's answer. Raises Unavailable, at once while it is known to be away.

        It is no reason to open the circuit, since a worker that hangs, or an old day that someone reads, may be why.
        """
        if self.degraded:
            raise Unavailable(self._circuit.reason or "the journal's server is away")
        return ask()

    def _seen_before(self, ids: Ids) -> NDArray[np.bool_]:
        return self._remembered.seen(ids) | self._recalled.seen(ids)

    def _own(self, ids: Ids, of: Callable[[Remembered, Ids], list[_One | None]]) -> list[_One | None]:
        """The answers of this process's own knowledge, as far as it goes."""
        found = of(self._remembered, ids)
        rest = [k for k, one in enumerate(found) if one is None]
        if rest:
            for k, one in zip(rest, of(self._recalled, ids[rest]), strict=True):
                found[k] = one
        return found

    def _ask(self, count: int, ask: Callable[[], _Answer], guess: Callable[[], _Answer]) -> _Answer:
        """The server's answer, or this process's own knowledge while the server is away."""

        def guessed(error: Unavailable) -> _Answer:
            self._guessed += count
            return guess()

        return self._or(ask, guessed)

    def _known(self, ask: Callable[[], list[_One | None]], own: Callable[[], list[_One | None]]) -> list[_One | None]:
        """The server's answer; while it is away, this process's own knowledge, if that covers all the questions."""

        def all_or_nothing(error: Unavailable) -> list[_One | None]:
            known = own()
            if any(one is None for one in known):
                raise error
            return known

        return self._or(ask, all_or_nothing)

    def _or(self, ask: Callable[[], _Answer], away: Callable[[Unavailable], _Answer]) -> _Answer:
        """The server's answer, or else the result of `away`, called under the lock of this process's own knowledge.

        Only the draining thread tries a server that has failed, since one that hangs would hold up decisions again.
        """
        try:
            return self._must(lambda: self._circuit.call(ask))
        except Unavailable as error:
            with self._wake:
                self._wake.notify_all()
                return away(error)

    def _has(self, body: Body, places: Sequence[str] | None, number: int) -> None:
        """The server has these."""
        with self._state:
            self.appended = max(self.appended, number)
            if isinstance(body, DecisionBatch):
                self._remembered.put(body, places)

    def _spool(self, body: Body, places: Sequence[str] | None) -> None:
        stored_as, data = compression.pack(codec.encode(body), compression.LZ4)
        # The next process to take it up may be of another app, and has no other way to know what is in it.
        beside = {"schema": codec.schema_of(body).text, "places": None if places is None else list(places)}
        written = json.dumps(beside).encode("ascii")
        with self._wake:
            if self._closing:
                raise Unavailable("the journal is closed")
            if isinstance(body, DecisionBatch) and self._is_there(body, places):
                return
            record = _RECORD.pack(stored_as, len(data)) + data + written
            self._index(self._queue.put(record, len(body), self._clock.now_ns()), body, places)
            self._wake.notify_all()

    def _is_there(self, body: DecisionBatch, places: Sequence[str] | None) -> bool:
        """Whether this very batch waits already. Raises Repeated where others with its ids do."""
        decided = body.events.kind != Row.OUTCOME
        rows = np.flatnonzero(self._spooled.seen(body.events.ids) & decided)
        if not len(rows):
            return False
        held = self._spooled.batch_of(body.events.ids.at(int(rows[0])))
        given = [""] * len(body) if places is None else list(places)
        if held is not None and len(rows) == int(decided.sum()) and held[1] == given:
            digests = {codec.head(codec.encode(one)).digest for one in (held[0], body)}
            if len(digests) == 1:
                return True
        raise Repeated(rows)

    def _index(self, waiting: Waiting, body: Body, places: Sequence[str] | None) -> None:
        if isinstance(body, DecisionBatch):
            now, events = self._words.entities or body.words.entities, body.events
            keys, checks = keys_as(events.keys, events.key_checks, body.words.entities, now, self.coding)
            events = replace(events, keys=keys, key_checks=checks)
            self._spooled.put_lazily(events, waiting.number, lambda: self._load(waiting))

    def _load(self, waiting: Waiting) -> tuple[DecisionBatch, list[str]]:
        body, places = _decoded(self._queue.read(waiting), self._words, self.coding)
        assert isinstance(body, DecisionBatch)
        return body, [""] * len(body) if places is None else places

    # The draining thread.

    def _drain(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(self._has_work, self._pause_s())
                if self._closing:
                    return
                first = self._queue.waiting[0] if self._queue.waiting else None
            if self._circuit.state is CircuitState.CLOSED and first is None:
                continue
            if not self._circuit.allows():
                continue
            try:
                if first is None:
                    self.inner.seen(_NOBODY)
                else:
                    self._drain_one(first)
            except Exception as error:
                # Also what is no Unavailable: a record must not be dropped because of an error of ours.
                self._circuit.failed(str(error) or type(error).__name__)
            else:
                self._circuit.succeeded()
            with self._wake:
                self._wake.notify_all()

    def _has_work(self) -> bool:
        return self._closing or (bool(self._queue.waiting) and self._circuit.wait_s() == 0.0)

    def _pause_s(self) -> float:
        wait_s = self._circuit.wait_s()
        return min(wait_s, _LOOK_S_MAX) if wait_s > 0 else _LOOK_S_MAX

    def _drain_one(self, first: Waiting) -> None:
        body, places = _decoded(self._queue.read(first), self._words, self.coding)
        rows, repeated, number = len(body), 0, 0
        while len(body) or not rows:
            try:
                number = self.inner.append(body, places)
                break
            except Repeated as found:
                assert isinstance(body, DecisionBatch)
                keep = np.ones(len(body), np.bool_)
                keep[found.rows] = False
                repeated += len(found.rows)
                places = None if places is None else [place for place, kept in zip(places, keep, strict=True) if kept]
                body = decisions_at(body, keep)
        if len(body):
            self._has(body, places, number)
        with self._order, self._wake:
            self._queue.take()
            self._spooled.drop(first.number)
            self._drained += rows - repeated
            self._repeated += repeated
            self._wake.notify_all()


def _decoded(record: bytes, legacy: Vocabulary, coding: Coding) -> tuple[Body, list[str] | None]:
    stored_as, length = _RECORD.unpack_from(record)
    end = _RECORD.size + length
    try:
        beside = json.loads(record[end:]) if len(record) > end else None
        if not isinstance(beside, dict):
            beside = {"schema": None, "places": beside}
        schemas = codec.Schemas([] if beside["schema"] is None else [beside["schema"]], legacy, coding=coding)
        return codec.decode(compression.unpack(stored_as, record[_RECORD.size : end]), schemas), beside["places"]
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"a record of the spool is damaged: {error}") from error
