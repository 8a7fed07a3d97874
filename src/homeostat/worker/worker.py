"""A worker: pulls events and outcomes, decides, and sees to it that all of it is journalled and published, once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from homeostat.adapters.process.standing import Standing
from homeostat.engine.shared.connecting import SharedParts
from homeostat.engine.shared.rejoining import Rejoiner
from homeostat.engine.shared.serving import spooling, without_features
from homeostat.engine.sizing import Sizer
from homeostat.ports import Unavailable
from homeostat.ports.streams import Pulled, Stream
from homeostat.records.reasons import Reason
from homeostat.worker.encodings import ENCODINGS
from homeostat.worker.in_flight import InFlightJournal
from homeostat.worker.intake import Intake, MessageBatch, read
from homeostat.worker.outcomes import Outcomes
from homeostat.worker.publishing import Outbox, Work
from homeostat.worker.watched_journal import WatchedJournal

PATIENCE_NS = 20_000_000  # How long events wait for earlier ones of partitions that are behind.
IDLE_S = 0.05
AHEAD_SHARE = 8  # Of the skew that shared logs are kept for, partitions may be ahead of one that lags.
SWITCH_S = 0.0005  # Threads that mostly wait for servers and kernels must not wait 5 ms for the interpreter each time.
LAG_EVERY_NS = 5_000_000  # Asking each lane takes a while, and the answer changes with fetches only.
QUIET_NS = 300_000_000  # Without an event for so long, a worker has time for what is shown.
WAIT_S = 0.2  # Between two attempts at a journal that can't be asked.
DRAIN_S = 30.0
LOOK_EACH_NS = 50_000
LOOK_EVERY_NS = 100_000_000  # Between two looks whether waiting outcomes' events were decided.


@dataclass(slots=True)
class MessageCounts:
    """The counts of a worker, for its metrics."""

    pulled: int = 0
    outcomes: int = 0
    published: int = 0
    repeated: int = 0
    dead_letters: int = 0
    batches: int = 0


class Worker:
    """One worker: `run` until `stop`, then `close`.

    journal : what the parts' loop journals through; its appends and look-ups are timed and counted from now on
    note : called with a sentence for people to read
    trace : event id and incoming trace context -> what goes out with the decision
    """

    def __init__(
        self,
        parts: SharedParts,
        journal: InFlightJournal,
        stream: Stream,
        note: Callable[[str], None] = lambda text: None,
        trace: Callable[[str, str | None], str | None] = lambda event_id, incoming: incoming,
    ) -> None:
        app, servers = parts.app, parts.servers
        self.parts, self.stream, self.counts = parts, stream, MessageCounts()
        journal.inner = WatchedJournal(journal.inner, parts.loop.meters, parts.clock)
        self._say = note
        self.on_published: Callable[[Work, int, int], None] = lambda work, decisions, now_ns: None
        self.lag: dict[str, int] = {}
        rows = servers.batch_rows
        self.sizer = Sizer(servers.batch_rows_min or rows, rows, parts.clock, note)
        self._wait_s = servers.batch_wait / 1e9
        schema, encoding = parts.prepared.schema, ENCODINGS[servers.encoding]
        ahead_ns = servers.skew // AHEAD_SHARE
        self._intake = Intake(schema, app.events.lateness, app.events.late == "reject", ahead_ns, encoding)
        self.outcomes = Outcomes(schema, journal, servers.outcome_wait, encoding)
        self.outbox = Outbox(
            journal,
            stream,
            parts.clock,
            parts.prepared.words,
            parts.featurizer.journalled,
            self._published,
            trace,
            encoding,
        )
        self.rejoiner = Rejoiner(parts.featurizer, parts.store, parts.journal, parts.folder, parts.clock)
        self._events = urlsplit(servers.events or "").path.rpartition("/")[2] + "/"
        self._generation = stream.generation
        self._stopping = False
        self._fresh = False  # Whether outcomes have come that were not looked at.
        self._look_at_ns = self._quiet_ns = self._lag_ns = 0
        self._waits = ""
        self._standing = Standing(note, parts.clock, "all parts are well again")
        self._outcomes_wait = Standing(note, parts.clock, "outcomes are taken in again")

    @property
    def ready(self) -> bool:
        """Whether events are decided, and with their features."""
        return not self._stopping and not self.trouble

    @property
    def draining(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping

    @property
    def trouble(self) -> str:
        """The present trouble in a sentence; empty if nothing is."""
        return self._waits or self.stream.trouble or self.outbox.trouble or without_features(self.parts.featurizer)

    def stop(self) -> None:
        """Pull no more, and let `run` return once all that was pulled is published."""
        self._stopping = True

    def run(self) -> bool:
        """Decide until stopped; returns whether no server kept it from publishing all.

        Raises what broke the worker; a restart continues where it was.
        """
        drained = False
        sys.setswitchinterval(SWITCH_S)
        try:
            while not self._stopping:
                self._step()
        finally:
            drained = self._drain()
        return drained

    def _step(self) -> None:
        """Pull what is there, and decide it if the outbox has room; else it gathers, and makes a larger batch."""
        clock = self.parts.clock
        self._rejoin()
        self._change()
        events, outcomes = self._gathered()
        if self.outbox.failure is not None:
            raise self.outbox.failure
        if self.stream.trouble:
            self.parts.loop.meters.failed("stream", "stream", Reason.STREAM_FAILED)
        if self.stream.generation != self._generation:
            self._take_over()
        now_ns = clock.monotonic_ns()
        if len(events):
            meters = self.parts.loop.meters
            with meters.timed("intake"):
                ahead_ns = self._intake.add(events, clock.now_ns(), now_ns)
            meters.came(ahead_ns)
            self.counts.pulled += len(events)
        if len(outcomes):
            self.outcomes.add(outcomes, clock.now_ns(), now_ns)
            self.counts.outcomes += len(outcomes)
        self._fresh |= len(outcomes) > 0
        self._record_outcomes(now_ns)
        if self.outbox.has_room:
            moments = self.parts.moments
            apart = len if moments is None else moments.apart
            batch = self._intake.take(self.sizer.rows, self._lag(now_ns), now_ns, PATIENCE_NS, apart)
            if batch is not None:
                self._quiet_ns = now_ns
                if moments is not None:
                    moments.wait(batch.events.reach, self._journalled)
                self._decide(batch)
                self.sizer.seen(len(batch), now_ns, len(self._intake) + sum(self._lag(clock.monotonic_ns()).values()))
            else:
                self._idle(len(events) == 0 and len(self._intake) == 0, now_ns)
        self._tell()

    def _change(self) -> None:
        """Put changes of the settings in force that are ready, also while no event comes."""
        if self.parts.loop.coming is not None:
            with suppress(Unavailable):  # The next batch tries again, and says so.
                self.parts.loop.change()
                stages = self.parts.loop.stages
                self._intake.reads(stages.reads, stages.lateness_ns)

    def _journalled(self) -> int:
        """Wait until all that was decided here is in the journal; the last entry."""
        self.outbox.wait_until_journalled()
        return self.parts.journal.appended

    def _gathered(self) -> tuple[Pulled, Pulled]:
        """The messages that come within `batch_wait` of the first one; even a small batch costs a transaction."""
        clock, waiting = self.parts.clock, len(self._intake)
        wanted = self.sizer.rows - waiting
        if wanted <= 0:
            if not self.outbox.has_room:
                self.outbox.wait_for_room(IDLE_S)
            return Pulled(), Pulled()
        events, outcomes = self.stream.pull(wanted, self._wait_s if waiting else IDLE_S)
        left_s, until_ns = self._wait_s, clock.monotonic_ns() + int(self._wait_s * 1e9)
        while 0 < len(events) + len(outcomes) < wanted and left_s > 0:
            more, more_outcomes = self.stream.pull(wanted - len(events) - len(outcomes), left_s)
            events.extend(more)
            outcomes.extend(more_outcomes)
            left_s = (until_ns - clock.monotonic_ns()) / 1e9
        return events, outcomes

    def _lag(self, now_ns: int) -> dict[str, int]:
        """Messages that wait in the lanes of events."""
        if now_ns - self._lag_ns >= LAG_EVERY_NS:
            self.lag, self._lag_ns = self.stream.lag(), now_ns
        return {lane: count for lane, count in self.lag.items() if count > 0 and lane.startswith(self._events)}

    def _decide(self, batch: MessageBatch) -> None:
        """Decide the events of a batch; those that repeat others are looked up where they are."""
        clock = self.parts.clock
        decided, began_ns = None, clock.now_ns()
        while len(batch.events):
            try:
                decided = self.parts.loop.decide(batch.events)
                break
            except Unavailable as error:  # Of the journal, asked which events were decided: it is not written to here.
                self._waits = str(error)
                self._tell()
                if self._stopping:
                    return
                self.outbox.wait_for_news(WAIT_S)
        self._waits = ""
        if self.rejoiner.noted():
            self._say(f"decides without the feature store: {self.parts.featurizer.trouble}")
        self.counts.batches += 1
        self.counts.dead_letters += len(batch.letters)
        self.counts.repeated += 0 if decided is None else len(decided.repeated)
        self.outbox.put(Work(batch, decided, stretches=[("decide", began_ns, clock.now_ns())]))

    def _record_outcomes(self, now_ns: int) -> None:
        due = now_ns >= self._look_at_ns and len(self.outcomes) > 0
        if not (self._fresh or due) or not self.outbox.has_room:
            return
        if due:  # The more wait, the seldomer all of them are looked at.
            self._look_at_ns = now_ns + max(LOOK_EVERY_NS, len(self.outcomes) * LOOK_EACH_NS)
        try:
            done = self.outcomes.record(self.parts.featurizer, now_ns, due, self.parts.loop.withheld)
        except Unavailable as error:
            self._outcomes_wait.now(f"outcomes wait: {error}")
            return
        self._outcomes_wait.now("")
        self._fresh = False
        if len(done.pulled) or done.recorded is not None:
            nothing = read(Pulled(), self.parts.prepared.schema, 0)
            self.outbox.put(Work(nothing, None, done.pulled, done.letters, done.recorded, done.places))
            self.counts.dead_letters += len(done.letters)

    def _idle(self, nothing: bool, now_ns: int) -> None:
        """Nothing has come for a while: let people see the newest values of all entities, which takes its time."""
        if not nothing:
            self._quiet_ns = now_ns
        elif now_ns - self._quiet_ns >= QUIET_NS and not self.parts.featurizer.behind:
            with suppress(Unavailable):
                self.parts.store.flush()

    # When others come or go, or servers do.

    def _take_over(self) -> None:
        """New lanes: their first events may have been written to the entities' logs by whoever had them before."""
        self._generation = self.stream.generation
        self.parts.featurizer.forget()
        with suppress(Unavailable):  # So that copies of what they decided are known while PostgreSQL is away.
            self.parts.journal.recall()

    def _rejoin(self) -> None:
        entries = self.rejoiner.attempt(self.outbox.wait_until_journalled)
        if entries is not None:
            self._say(f"the feature store is whole again, after {entries} entries of the journal")

    # Reports of the outbox's threads.

    def _published(self, work: Work, decisions: int) -> None:
        self.counts.published += decisions
        self.on_published(work, decisions, self.parts.clock.now_ns())

    def _tell(self) -> None:
        """Let the log have what is wrong at present, also where decisions go on: while they wait on the disk, say."""
        self._standing.now(self.trouble or spooling(self.parts.journal))

    def _drain(self) -> bool:
        """Publish what was decided, and say whether that was possible; what was not will be delivered to others."""
        try:
            drained = self.outbox.drain(DRAIN_S) and not self._waits
            if not drained:
                self._say("servers are away: what was not published will be delivered again")
        finally:
            self.stream.close()
        with suppress(Unavailable):
            self.parts.store.flush()
        return drained

    def close(self) -> None:
        """Let go of servers and threads."""
        self.parts.loop.close()
        self.parts.close()
