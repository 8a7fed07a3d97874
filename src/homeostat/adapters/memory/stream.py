"""Streams in memory, for tests and for programs that embed a worker: as Kafka's are, but gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.streams.lane_ends import LaneEnds
from homeostat.ports.streams import Fenced, Outgoing, Pulled


@dataclass(slots=True)
class _Lane:
    """A partition: its messages with the times when they came, whose it is, and how far they are done."""

    name: str
    messages: list[tuple[Outgoing, int]] = field(default_factory=list)
    owner: MemoryStream | None = None
    epoch: int = 0
    next: int = 0
    committed: int = 0
    ends: LaneEnds = field(default_factory=LaneEnds)


class MemoryBroker:
    """The state that the workers of one app share.

    partitions : of events and of outcomes
    """

    def __init__(self, partitions: int = 1) -> None:
        self.changed = threading.Condition()
        self.decisions: list[Outgoing] = []
        self.dead_letters: list[Outgoing] = []
        self._lanes = {kind: [_Lane(f"{kind}/{k}") for k in range(partitions)] for kind in ("events", "outcomes")}
        self._members: list[MemoryStream] = []
        self._epoch = 0
        self._turn = 0

    def produce(self, messages: Sequence[Outgoing], kind: str = "events", partition: int | None = None) -> None:
        """Put messages into "events" or "outcomes": by their keys, without one in turn, or into one partition."""
        now_ns = SystemClock.now_ns()
        with self.changed:
            lanes = self._lanes[kind]
            for message in messages:
                at = self._turn if message.key is None else crc32(message.key)
                self._turn += 1
                lanes[(at if partition is None else partition) % len(lanes)].messages.append((message, now_ns))
            self.changed.notify_all()

    def lanes_of(self, member: MemoryStream) -> list[_Lane]:
        """The lanes that a worker has at present. The caller holds `changed`."""
        return [lane for lanes in self._lanes.values() for lane in lanes if lane.owner is member]

    def lane(self, name: str) -> _Lane:
        """A lane by its name."""
        kind, _, number = name.rpartition("/")
        return self._lanes[kind][int(number)]

    def join(self, member: MemoryStream) -> None:
        """A worker comes: it is given its share."""
        with self.changed:
            self._members.append(member)
            self._share()

    def leave(self, member: MemoryStream) -> None:
        """A worker goes: others get what it had."""
        with self.changed:
            if member in self._members:
                self._members.remove(member)
                self._share()

    def _share(self) -> None:
        """As many lanes for each as for the others; those that can stay where they are do."""
        for lanes in self._lanes.values():
            most = -(-len(lanes) // max(len(self._members), 1))
            had: dict[int, int] = {}
            for lane in lanes:
                had[id(lane.owner)] = had.get(id(lane.owner), 0) + 1
                if lane.owner not in self._members or had[id(lane.owner)] > most:
                    lane.owner = None
            for lane in lanes:
                if lane.owner is None and self._members:
                    counts = [sum(other.owner is member for other in lanes) for member in self._members]
                    self._give(lane, self._members[counts.index(min(counts))])
        self.changed.notify_all()

    def _give(self, lane: _Lane, member: MemoryStream) -> None:
        self._epoch += 1
        lane.owner, lane.epoch, lane.next, lane.ends = member, self._epoch, lane.committed, LaneEnds()


class MemoryStream:
    """A `Stream` of one worker on a broker in memory."""

    trouble = ""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._generation, self._newest = 0, 0
        self._stopped = False
        broker.join(self)

    @property
    def generation(self) -> int:
        """See `Stream`."""
        return self._generation

    def pull(self, limit: int, wait_s: float) -> tuple[Pulled, Pulled]:
        """See `Stream`."""
        found = {"events": Pulled(), "outcomes": Pulled()}
        changed = self._broker.changed
        with changed:
            changed.wait_for(lambda: self._stopped or (limit > 0 and self._behind() > 0), wait_s)
            lanes = [] if self._stopped else self._broker.lanes_of(self)
            newest = max((lane.epoch for lane in lanes), default=0)
            if newest > self._newest:
                self._generation, self._newest = self._generation + 1, newest
            left = limit
            waiting = [lane for lane in lanes if lane.next < len(lane.messages)]
            for k, lane in enumerate(waiting):  # An equal share for each; what one leaves is for those after it.
                share = -(-left // (len(waiting) - k))
                left -= self._take(lane, share, found[lane.name.partition("/")[0]])
        return found["events"], found["outcomes"]

    def owned(self, pulled: Pulled) -> list[bool]:
        """See `Stream`."""
        with self._broker.changed:
            return self._owned(pulled)

    def publish(self, done: Sequence[Pulled], decisions: Sequence[Outgoing], dead_letters: Sequence[Outgoing]) -> None:
        """See `Stream`."""
        with self._broker.changed:
            if not all(all(self._owned(pulled)) for pulled in done):
                raise Fenced("lanes went to another worker since their messages were pulled")
            self._broker.decisions += decisions
            self._broker.dead_letters += dead_letters
            for pulled in done:
                for name, position in zip(pulled.lane, pulled.position, strict=True):
                    lane = self._broker.lane(name)
                    lane.committed = lane.ends.after({int(position)})
                    lane.ends.finish({int(position)})
            self._broker.changed.notify_all()

    def lag(self) -> dict[str, int]:
        """See `Stream`."""
        with self._broker.changed:
            return {lane.name: len(lane.messages) - lane.next for lane in self._broker.lanes_of(self)}

    def stop(self) -> None:
        """See `Stream`."""
        with self._broker.changed:
            self._stopped = True
            self._broker.changed.notify_all()

    def close(self) -> None:
        """See `Stream`."""
        self.stop()
        self._broker.leave(self)

    def _behind(self) -> int:
        return sum(len(lane.messages) - lane.next for lane in self._broker.lanes_of(self))

    def _owned(self, pulled: Pulled) -> list[bool]:
        mine = {lane.name: lane.epoch for lane in self._broker.lanes_of(self)}
        return [mine.get(lane) == epoch for lane, epoch in zip(pulled.lane, pulled.epoch, strict=True)]

    def _take(self, lane: _Lane, share: int, pulled: Pulled) -> int:
        taken = lane.messages[lane.next : lane.next + share]
        for offset, (message, at_ns) in enumerate(taken, lane.next):
            lane.ends.pulled(offset)
            pulled.values.append(message.value)
            pulled.lane.append(lane.name)
            pulled.position.append(str(offset))
            pulled.traceparent.append(message.traceparent)
            pulled.produced_ns.append(at_ns)
            pulled.epoch.append(lane.epoch)
            pulled.key.append(message.key)
        lane.next += len(taken)
        return len(taken)
