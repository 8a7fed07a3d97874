"""Messages become events: read, judged late or not lane by lane, and put in the order of their times across lanes.

Partitions are read independently, so one may be hours ahead of another when there is much to catch up with. Messages
that are ahead wait here, for a moment, until the others have come as far; so data that entities share across partitions
is seen nearly in the order in which it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from homeostat.decide.admission import admitted, newest
from homeostat.decide.intake.objects import by_clock
from homeostat.decide.intake.schema import EventSchema
from homeostat.engine.dating import stepped
from homeostat.ports.streams import Pulled
from homeostat.records.arrays import Int
from homeostat.records.events import DeadLetter, EventBatch, Row
from homeostat.records.reasons import Reason
from homeostat.records.rows import joined_events
from homeostat.worker.encodings import JSON, Encoding

_NEVER = -(2**62)
HELD_BATCHES = 8  # As many batches are held at the most for the sake of order.


@dataclass(slots=True)
class MessageBatch:
    """Messages to be dealt with together.

    pulled : the messages, n
    events : the m that are events, in the order in which they are to be decided
    at : (m,) which message each event is
    letters : for the others, which message and what is wrong with it
    """

    pulled: Pulled
    events: EventBatch
    at: Int
    letters: list[tuple[int, DeadLetter]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pulled)


class Intake:
    """See the module.

    lateness_ns : an event is late when its own lane has come further than this beyond it
    reject_late : whether late ones become dead letters
    ahead_ns : events this far ahead of a lane that lags need not wait for it
    encoding : how messages are written
    """

    def __init__(
        self, schema: EventSchema, lateness_ns: int, reject_late: bool, ahead_ns: int = 0, encoding: Encoding = JSON
    ) -> None:
        self._declared = self._schema = schema
        self._lateness_ns, self._reject_late = lateness_ns, reject_late
        self._ahead_ns, self._encoding = ahead_ns, encoding
        self._newest: dict[str, int] = {}  # By lane, the time that its events have reached.
        self._epoch: dict[str, int] = {}  # Of the lane's assignment, which that time is of.
        self._held: MessageBatch | None = None
        self._running = np.zeros(0, np.int64)  # (n,) how far its lane had come with each held message.
        self._order: Int | None = None  # In which the held messages are to be decided, once it was asked for.
        self._since_ns = 0

    def __len__(self) -> int:
        return 0 if self._held is None else len(self._held)

    def reads(self, schema: EventSchema | None, lateness_ns: int) -> None:
        """Read events so from now on; as declared where nothing is given.

        lateness_ns : how far behind its lane an event may be
        """
        self._schema, self._lateness_ns = schema or self._declared, lateness_ns

    def add(self, pulled: Pulled, wall_ns: int, monotonic_ns: int) -> int:
        """Take messages in; returns how far ahead of the clock the newest event is, 0 where none is.

        wall_ns : what the clock shows
        """
        if len(pulled) == 0:
            return 0
        schema = self._schema
        until_ns = stepped(wall_ns, schema.ahead_max_ns)
        batch = read(pulled, schema, until_ns, self._encoding)
        batch.letters[:] = [(at, by_clock([one], wall_ns - until_ns)[0]) for at, one in batch.letters]
        ahead_ns = max(newest(batch.events) - wall_ns, 0)
        batch = replace(batch, events=admitted(batch.events, wall_ns, schema.skew_ns, schema.ahead_max_ns))
        batch, running = self._judged(batch)
        self._order = None
        if self._held is None:
            self._held, self._running, self._since_ns = batch, running, monotonic_ns
        else:
            self._held = _together(self._held, batch)
            self._running = np.concatenate([self._running, running])
        return ahead_ns

    def take(self, rows_max: int, lag: Mapping[str, int], monotonic_ns: int, patience_ns: int,
        apart: Callable[[Int], int] = len,
    ) -> MessageBatch | None:  # fmt: skip
        """The messages to be decided now: up to about `rows_max`; None while they should wait for others.

        lag : messages by lane that are there to be pulled still: what they will bring may be earlier
        patience_ns : how long the first one waits at the most
        apart : how many of (n,) reaches, the first ones, may be decided together
        """
        if self._held is None:
            return None
        if self._order is None:
            self._order = np.argsort(self._running, kind="stable")
        order = self._order
        ready = len(order)
        behind = [self._newest.get(lane, _NEVER) for lane, count in lag.items() if count > 0]
        impatient = monotonic_ns - self._since_ns >= patience_ns or len(order) >= HELD_BATCHES * rows_max
        if behind and not impatient:
            ready = int(np.searchsorted(self._running[order], min(behind) + self._ahead_ns, "right"))
        if ready == 0:
            return None
        held, self._held = self._held, None
        times = np.full(len(order), _NEVER)
        times[held.at] = held.events.reach
        ready = max(1, apart(times[order[: min(ready, rows_max)]]))
        if ready < len(order):
            rest = np.sort(order[ready:])  # In order of arrival, as a lane's messages must stay.
            self._held, running = _picked(held, rest), self._running[rest]
        else:
            running = self._running[:0]
        taken = _picked(held, order[:ready]) if len(order) > 1 else held
        self._running, self._since_ns, self._order = running, monotonic_ns, None
        return taken

    def _judged(self, batch: MessageBatch) -> tuple[MessageBatch, Int]:
        """The batch with its late events marked or refused, and (n,) how far its lane had come with each message."""
        lanes = batch.pulled.lane
        times = np.full(len(lanes), _NEVER)
        times[batch.at] = batch.events.reach
        running = np.empty(len(lanes), np.int64)
        held = list(zip(lanes, batch.pulled.epoch, strict=True))
        number = {one: k for k, one in enumerate(sorted(set(held), key=lambda one: one[1]))}
        of = np.fromiter(map(number.__getitem__, held), np.int64, len(held))
        for (lane, epoch), k in number.items():
            mine = of == k
            if self._epoch.get(lane) != epoch:  # It was lost meanwhile: what comes again is no later than it was.
                self._epoch[lane], self._newest[lane] = epoch, _NEVER
            newest = np.maximum.accumulate(np.maximum(times[mine], self._newest[lane]))
            running[mine] = newest
            self._newest[lane] = int(newest[-1])
        late = batch.events.time_ns < running[batch.at] - self._lateness_ns
        if not late.any():
            return batch, running
        if not self._reject_late:
            kind = np.where(late, np.uint8(Row.LATE_EVENT), batch.events.kind)
            return replace(batch, events=replace(batch.events, kind=kind)), running
        name = self._schema.time[0]
        refused = [
            (int(at), DeadLetter(int(at), name, str(int(time_ns)), Reason.TOO_LATE.value))
            for at, time_ns in zip(batch.at[late], batch.events.time_ns[late], strict=True)
        ]
        kept = ~late
        return MessageBatch(batch.pulled, batch.events.rows(kept), batch.at[kept], [*batch.letters, *refused]), running


def read(pulled: Pulled, schema: EventSchema, wall_ns: int, encoding: Encoding = JSON) -> MessageBatch:
    """Messages as events, and a dead letter for each that is none."""
    n = len(pulled)
    events, found = encoding.events(pulled.values, schema, wall_ns)
    if not found:
        return MessageBatch(pulled, events, np.arange(n))
    bad = {letter.line for letter in found}
    at = np.array([k for k in range(n) if k not in bad], np.int64)
    return MessageBatch(pulled, events, at, [(letter.line, letter) for letter in found])


def pick_messages(pulled: Pulled, rows: Sequence[int]) -> Pulled:
    """Some of the messages, in the order asked for."""
    return Pulled(
        [pulled.values[k] for k in rows], [pulled.lane[k] for k in rows], [pulled.position[k] for k in rows],
        [pulled.traceparent[k] for k in rows], [pulled.produced_ns[k] for k in rows], [pulled.epoch[k] for k in rows],
        [pulled.key[k] for k in rows],
    )  # fmt: skip


def _picked(batch: MessageBatch, order: Int) -> MessageBatch:
    """Messages of a batch, in the order asked for."""
    n = len(batch.pulled)
    event = np.full(n, -1)
    event[batch.at] = np.arange(len(batch.at))
    events = event[order]
    at = np.flatnonzero(events >= 0)
    place = np.full(n, -1)
    place[order] = np.arange(len(order))
    letters = [(int(place[k]), letter) for k, letter in batch.letters if place[k] >= 0]
    return MessageBatch(pick_messages(batch.pulled, order.tolist()), batch.events.rows(events[at]), at, letters)


def _together(first: MessageBatch, second: MessageBatch) -> MessageBatch:
    n = len(first.pulled)
    pulled = Pulled()
    pulled.extend(first.pulled)
    pulled.extend(second.pulled)
    events = joined_events(first.events, second.events)
    letters = [*first.letters, *((k + n, letter) for k, letter in second.letters)]
    return MessageBatch(pulled, events, np.concatenate([first.at, second.at + n]), letters)
