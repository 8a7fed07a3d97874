"""Decisions on their way out of a worker: first into the journal, then to the consumers of decisions.

Two threads: one journals, one publishes; each takes things in the order in which they were decided. A decision is
published once it is journalled, together with the mark that its event is done, so a crash between the two leaves an
event that is pulled again, found in the journal, and published from there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from homeostat.adapters.servers.circuit import Backoff, Pauses
from homeostat.decide.decided import Decided, alike
from homeostat.engine.answer_types import Decision
from homeostat.engine.answers import answer, answers
from homeostat.ports import Clock, Unavailable
from homeostat.ports.shared import Repeated
from homeostat.ports.streams import Fenced, Outgoing, Pulled, Stream
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, EventBatch, OutcomeBatch
from homeostat.records.identity import Ids
from homeostat.records.rows import decisions_at
from homeostat.records.vocabulary import Vocabulary
from homeostat.worker.encodings import JSON, Encoding
from homeostat.worker.in_flight import InFlightJournal
from homeostat.worker.intake import MessageBatch, pick_messages

T = TypeVar("T")
_VALUE_MAX = 2000  # Bytes of a bad message that go along with its dead letter.
_BACKOFF = Backoff(0.05, 2.0)  # Between two attempts at a journal whose spool is full, or that can't be asked.
THREAD_S = 5.0  # How long at the end each thread is waited for that a server holds up.
DEPTH = 3  # Batches that wait for each thread: enough to keep it busy, few enough to lose little time to.


@dataclass(slots=True)
class Work:
    """A batch of messages and what became of them.

    recorded, places : outcomes that are to be journalled, and where each was read
    fresh, fresh_at : the decisions that are new, and which message each answers, once they are journalled
    again : decisions that were journalled before and perhaps not published, each with the message that it answers
    differing : first decisions of event ids that came again with another content, each with the message that it answers
    messages : what is to be published, each with the message that it answers
    stretches : name, beginning and end of each stage, nanoseconds since 1970
    """

    batch: MessageBatch
    decided: Decided | None = None
    outcomes: Pulled = field(default_factory=Pulled)
    letters: list[Outgoing] = field(default_factory=list)
    recorded: OutcomeBatch | None = None
    places: list[str] = field(default_factory=list)
    again: list[tuple[int, DecisionBatch, int]] = field(default_factory=list)
    differing: list[tuple[int, DecisionBatch, int]] = field(default_factory=list)
    fresh: DecisionBatch | None = None
    fresh_at: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    messages: list[tuple[int, Outgoing]] = field(default_factory=list)
    stretches: list[tuple[str, int, int]] = field(default_factory=list)


def dead_letter(pulled: Pulled, row: int, letter: DeadLetter, encoding: Encoding) -> Outgoing:
    """A bad message with what is wrong with it, under the key that it had: a tombstone is nothing but its key."""
    key = pulled.key[row]
    value = {
        "lane": pulled.lane[row], "position": pulled.position[row], "field": letter.field, "value": letter.value,
        "reason": str(letter.reason), "message": pulled.values[row][:_VALUE_MAX].decode("utf-8", "replace"),
    }  # fmt: skip
    if letter.detail:
        value["detail"] = letter.detail
    if key is not None:
        value["key"] = key[:_VALUE_MAX].decode("utf-8", "replace")
    return Outgoing(encoding.dead_letter(value), key, pulled.traceparent[row])


class Outbox:
    """Journals and publishes work in order. `put` waits when too much waits already.

    words : what the columns of the events stand for
    on_published : called with each work that is out, and with how many decisions it brought
    """

    def __init__(
        self,
        journal: InFlightJournal,
        stream: Stream,
        clock: Clock,
        words: Vocabulary,
        on_journalled: Callable[[int], None],
        on_published: Callable[[Work, int], None],
        trace: Callable[[str, str | None], str | None] = lambda event_id, incoming: incoming,
        encoding: Encoding = JSON,
    ) -> None:
        self.trouble, self.fenced = "", 0
        self._journal, self._stream, self._clock = journal, stream, clock
        self._on_journalled, self._on_published, self._trace = on_journalled, on_published, trace
        self._encoding, self._words = encoding, words
        self._to_journal: queue.Queue[Work | None] = queue.Queue(DEPTH)
        self._to_publish: queue.Queue[Work | None] = queue.Queue(DEPTH)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._put = self._journalled = self._done = 0  # Works so far.
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._journal_all,), name="journal", daemon=True),
            threading.Thread(target=self._guarded, args=(self._publish_all,), name="publish", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def has_room(self) -> bool:
        """Whether `put` would not wait."""
        return not self._to_journal.full()

    def put(self, work: Work) -> None:
        """Hand work over."""
        while self.failure is None:
            try:
                self._to_journal.put(work, timeout=0.5)
            except queue.Full:
                continue
            with self._changed:
                self._put += 1
            return
        raise self.failure

    def wait_for_room(self, seconds: float) -> None:
        """Return once `put` would not wait, or so many seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_room or self.failure is not None, seconds)

    def wait_for_news(self, seconds: float) -> None:
        """Return when something was journalled or published, or so many seconds have passed."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_until_journalled(self, seconds: float = 60.0) -> None:
        """Return once all that was put is in the journal. Raises Unavailable when that takes too long."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._journalled == self._put or self.failure is not None, seconds):
                raise Unavailable(self.trouble or "the journal is too slow")
        if self.failure is not None:
            raise self.failure

    def drain(self, seconds: float) -> bool:
        """Wait until all is published, and end; whether that came about in so many seconds."""
        deadline_ns = self._clock.monotonic_ns() + int(seconds * 1e9)
        with self._changed:
            self._changed.wait_for(lambda: self._done == self._put or self.failure is not None, seconds)
        drained = self._done == self._put
        if not drained:
            self._stopping.set()
            self._stream.stop()
        self._end_of_works(deadline_ns + int(THREAD_S * 1e9))
        for thread in self._threads:
            thread.join(max(THREAD_S, (deadline_ns - self._clock.monotonic_ns()) / 1e9))
        if self.failure is not None and not (isinstance(self.failure, Unavailable) and not drained):
            raise self.failure
        return drained

    def _end_of_works(self, until_ns: int) -> None:
        """Tell the threads that nothing follows; one that has failed, or that a server holds up, may never make room.

        The thread that journals tells the other one, unless it has failed.
        """
        for works, thread in zip((self._to_journal, self._to_publish), self._threads, strict=True):
            if works is self._to_publish and self.failure is None:
                return
            while thread.is_alive() and self._clock.monotonic_ns() < until_ns:
                with suppress(queue.Full):
                    works.put(None, timeout=0.2)
                    break

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # The worker's own thread raises it.
            with self._changed:
                self.failure = self.failure or error
                self._changed.notify_all()

    # Into the journal.

    def _journal_all(self) -> None:
        while True:
            work = self._to_journal.get()
            if work is not None:
                began_ns = self._clock.now_ns()
                self._journal_one(work)
                work.messages = self._outgoing(work)  # Here, so that the other thread does little but wait for servers.
                work.stretches.append(("journal", began_ns, self._clock.now_ns()))
                with self._changed:
                    self._journalled += 1
                    self._changed.notify_all()
            self._hand_on(work)
            if work is None:
                return

    def _hand_on(self, work: Work | None) -> None:
        while self.failure is None:
            try:
                self._to_publish.put(work, timeout=0.5)
                return
            except queue.Full:
                continue

    def _journal_one(self, work: Work) -> None:
        decided, batch = work.decided, work.batch
        if work.recorded is not None:
            # In the order in which the entities' logs have them: what is written again from here has the same.
            self._on_journalled(self._patiently(partial(self._journal.inner.append, work.recorded, work.places)))
        if decided is None:
            return
        self._repeated(work, decided)
        if decided.fresh is not None:
            at = batch.at[decided.row >= 0]
            self._write(work, decided.fresh, at[np.argsort(decided.row[decided.row >= 0], kind="stable")])
        self._answer_differing(work, batch.events, batch.at, sorted(decided.differing))

    def _write(self, work: Work, fresh: DecisionBatch, at: Int) -> None:
        """Append new decisions, each of the message `at` (n,) of the batch."""
        batch = work.batch
        written: DecisionBatch | None = fresh
        while written is not None and len(written):
            try:
                places = [batch.pulled.place(k) for k in at.tolist()]
                self._on_journalled(self._patiently(partial(self._journal.inner.append, written, places)))
                break
            except Repeated as error:  # Another worker was faster: its decisions are the ones that count.
                theirs = np.zeros(len(at), bool)
                theirs[error.rows] = True
                self._look_up(work, written.events.ids[theirs], at[theirs])
                self._answer_differing(work, written.events, at, np.flatnonzero(theirs).tolist())
                written, at = decisions_at(written, ~theirs), at[~theirs]
        work.fresh, work.fresh_at = written, at
        self._journal.landed(fresh)

    def _repeated(self, work: Work, decided: Decided) -> None:
        """Events that were decided earlier: those of this very message were perhaps never published.

        A repetition of an event of its own batch, which is not journalled yet, is another message's.
        """
        own, repeated = decided.fresh, decided.repeated
        rows = [k for k, (batch, _) in repeated.items() if decided.row[k] == -1 and batch is not own]
        if rows:
            self._look_up(work, work.batch.events.ids[rows], work.batch.at[rows])

    def _look_up(self, work: Work, ids: Ids, at: Int) -> None:
        """Let decisions that were journalled from these very messages go out again."""
        places = self._patiently(lambda: self._journal.inner.places(ids))
        pulled = work.batch.pulled
        rows = [k for k, (place, message) in enumerate(zip(places, at.tolist())) if place == pulled.place(message)]
        if rows:
            # Not what is in flight: that may be a decision of ours which another worker's came before.
            found = self._patiently(lambda: self._journal.inner.find_all(ids[rows]))
            work.again += [(int(at[k]), *one) for k, one in zip(rows, found, strict=True) if one is not None]

    def _answer_differing(self, work: Work, events: EventBatch, at: Int, rows: list[int]) -> None:
        """Let those rows of the events that differ from what was decided under their ids get that decision, marked."""
        if not rows:
            return
        found = self._patiently(lambda: self._journal.inner.find_all(events.ids[rows]))
        for k, first in zip(rows, found, strict=True):
            if first is not None and not alike(events, self._words, k, *first):
                work.differing.append((int(at[k]), *first))

    def _patiently(self, call: Callable[[], T]) -> T:
        """The journal's answer, as soon as it comes; Unavailable once it may be given up."""
        pauses = Pauses(_BACKOFF)
        while True:
            try:
                answered = call()
            except Unavailable as error:
                self.trouble = str(error)
                if self._stopping.wait(pauses.next_s()):
                    raise
            else:
                self.trouble = ""
                return answered

    # Out.

    def _publish_all(self) -> None:
        while True:
            works = [self._to_publish.get()]
            while works[-1] is not None and not self._to_publish.empty():
                works.append(self._to_publish.get())
            real = [work for work in works if work is not None]
            if real:
                self._publish(real)
            if works[-1] is None:
                return

    def _publish(self, works: Sequence[Work]) -> None:
        began_ns = self._clock.now_ns()
        while True:
            done = [pulled for work in works for pulled in (work.batch.pulled, work.outcomes) if len(pulled)]
            decisions = [one for work in works for _, one in work.messages]
            letters = [letter for work in works for letter in work.letters]
            letters += [
                dead_letter(work.batch.pulled, row, letter, self._encoding)
                for work in works
                for row, letter in work.batch.letters
            ]
            try:
                self._stream.publish(done, decisions, letters)
            except Fenced:
                self.fenced += 1
                self._keep_owned(works)
                continue
            break
        for work in works:
            work.stretches.append(("publish", began_ns, self._clock.now_ns()))
            self._on_published(work, len(work.messages))
        with self._changed:
            self._done += len(works)
            self._changed.notify_all()

    def _outgoing(self, work: Work) -> list[tuple[int, Outgoing]]:
        """The decisions of a batch as messages, each with the message that it answers."""
        pulled, made = work.batch.pulled, []
        if work.fresh is not None and len(work.fresh):
            for message, found in zip(work.fresh_at.tolist(), answers(work.fresh), strict=True):
                made.append((message, self._message(found, pulled.traceparent[message])))
        for message, decisions, row in work.again:
            made.append((message, self._message(answer(decisions, row), pulled.traceparent[message])))
        for message, decisions, row in work.differing:
            marked = answer(decisions, row)
            marked["duplicate"] = marked["differs"] = True
            made.append((message, self._message(marked, pulled.traceparent[message])))
        return made

    def _message(self, found: Decision, incoming: str | None) -> Outgoing:
        event_id = found["event_id"]
        return Outgoing(
            self._encoding.decision(found), event_id.encode("utf-8", "replace"), self._trace(event_id, incoming)
        )

    def _keep_owned(self, works: Sequence[Work]) -> None:
        """Leave out the messages that other workers deal with now."""
        for work in works:
            owned = self._stream.owned(work.batch.pulled)
            keep = [row for row, mine in enumerate(owned) if mine]
            place = {row: new for new, row in enumerate(keep)}
            work.messages = [(place[row], one) for row, one in work.messages if row in place]
            work.fresh_at = np.array([place.get(row, -1) for row in work.fresh_at.tolist()], np.int64)
            work.batch.letters = [(place[row], one) for row, one in work.batch.letters if row in place]
            work.batch.pulled = pick_messages(work.batch.pulled, keep)
            mine = [row for row, is_mine in enumerate(self._stream.owned(work.outcomes)) if is_mine]
            if len(mine) < len(work.outcomes):
                work.outcomes, work.letters = pick_messages(work.outcomes, mine), []
