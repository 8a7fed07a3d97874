"""Streams on Kafka: consumer groups in, transactions out.

Events and outcomes are read by a group each: assignment counts partitions, and one group for both could give one worker
the events and another the outcomes. A transaction carries what a batch makes and the offsets that it is done with,
under the generation of the groups that the worker knew when it saw that the partitions were still its own; the
coordinator refuses it when a group has moved on, and a successor waits for it when it hasn't ended yet.
Source: KIP-447, Producer scalability for exactly once semantics.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import confluent_kafka as kafka

from homeostat.adapters.kafka.member import Member
from homeostat.adapters.kafka.publisher import Offsets, Publisher
from homeostat.adapters.kafka.settings import consumer_settings, outcomes_settings, producer_settings
from homeostat.adapters.streams.addresses import Addresses
from homeostat.config.servers import KafkaSettings
from homeostat.ports.streams import Fenced, Outgoing, Pulled

_SLICE_S = 0.1  # How long one wait for messages keeps `stop` waiting.
_CLOSE_S = 5.0


class KafkaStream:
    """A `Stream`.

    addresses, settings : topics, and how their brokers are reached
    group : name that workers share the partitions of events under; see `outcomes_group` for those of outcomes
    client_id : of this worker, no other's
    """

    def __init__(self, addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> None:
        """Asks no broker yet. Raises ValueError for settings that can't work."""
        self._hosts = addresses.events.hosts
        events, outcomes = addresses.events, addresses.outcomes
        self._events = Member(events.name, self._hosts, consumer_settings(addresses, settings, group, client_id))
        self._outcomes: Member | None = None
        if outcomes is not None:
            own = outcomes_settings(addresses, settings, group, client_id)
            self._outcomes = Member(outcomes.name, self._hosts, own)
        self._members = [member for member in (self._events, self._outcomes) if member is not None]
        self._stopped = threading.Event()
        letters = None if addresses.dead_letters is None else addresses.dead_letters.name
        own = producer_settings(addresses, settings, group, client_id)
        self._publisher = Publisher(own, addresses.decisions.name, letters, self._stopped)

    def __repr__(self) -> str:
        return f"KafkaStream({self._hosts}, {', '.join(member.topic for member in self._members)})"

    @property
    def generation(self) -> int:
        """See `Stream`."""
        return sum(member.generation for member in self._members)

    @property
    def trouble(self) -> str:
        """See `Stream`."""
        said = (member.trouble for member in self._members)
        return next(filter(None, said), "") or self._publisher.trouble

    def pull(self, limit: int, wait_s: float) -> tuple[Pulled, Pulled]:
        """See `Stream`. With a limit of 0 nothing is pulled, and the groups learn that this worker lives."""
        events, outcomes = Pulled(), Pulled()
        if self._stopped.is_set():
            return events, outcomes
        try:
            prepared = self._publisher.prepare(wait_s)
            if limit <= 0 or not prepared:
                for member in self._members:
                    member.live()
                if prepared:
                    self._stopped.wait(wait_s)
                return events, outcomes
            self._pull(events, outcomes, limit, wait_s)
        except kafka.KafkaException:
            self._stopped.wait(min(wait_s, 1.0))
        return events, outcomes

    def _pull(self, events: Pulled, outcomes: Pulled, limit: int, wait_s: float) -> None:
        """Of outcomes half of what is wanted at the most, so that neither keeps the other from coming."""
        until = time.monotonic() + wait_s
        left = 0.0
        while True:
            if self._outcomes is not None:
                self._outcomes.pull(outcomes, max(limit // 2, 1), 0.0)
            self._events.pull(events, max(limit - len(outcomes), 1), 0.0 if len(outcomes) else max(left, 0.0))
            left = min(until - time.monotonic(), _SLICE_S)
            if len(events) or len(outcomes) or left <= 0 or self._stopped.is_set():
                return

    def owned(self, pulled: Pulled) -> list[bool]:
        """See `Stream`."""
        epochs = {name: epoch for member in self._members for name, epoch in member.epochs.items()}
        return [epochs.get(lane) == epoch for lane, epoch in zip(pulled.lane, pulled.epoch, strict=True)]

    def publish(self, done: Sequence[Pulled], decisions: Sequence[Outgoing], dead_letters: Sequence[Outgoing]) -> None:
        """See `Stream`. Messages may be done in any order: offsets move to the first that isn't."""
        rows: dict[str, set[int]] = {}
        for pulled in done:
            for lane, position in zip(pulled.lane, pulled.position, strict=True):
                rows.setdefault(lane, set()).add(int(position))
        if not rows and not decisions and not dead_letters:
            return
        mine = {member: [lane for lane in member.lanes if lane.name in rows] for member in self._members}
        if sum(map(len, mine.values())) < len(rows):
            raise Fenced("partitions went to another worker since their messages were pulled")
        offsets = [
            Offsets(member.consumer, [(*_partition(one.name), one.ends.after(rows[one.name])) for one in lanes])
            for member, lanes in mine.items() if lanes
        ]  # fmt: skip
        try:
            self._publisher.publish(
                offsets, decisions, dead_letters, lambda: all(all(self.owned(pulled)) for pulled in done)
            )
        except Fenced:
            for member in self._members:
                if member.consumer is self._publisher.thrown_out:
                    member.forsake()
            raise
        for lanes in mine.values():
            for own in lanes:
                own.ends.finish(rows[own.name])

    def lag(self) -> dict[str, int]:
        """See `Stream`. From the brokers' answer to the last fetch; no question is asked."""
        return {name: count for member in self._members for name, count in member.lag().items()}

    def stop(self) -> None:
        """See `Stream`."""
        self._stopped.set()

    def close(self) -> None:
        """See `Stream`. An open transaction is aborted."""
        self._stopped.set()
        self._publisher.close(_CLOSE_S)
        for member in self._members:
            member.close()


def _partition(lane: str) -> tuple[str, int]:
    topic, _, number = lane.rpartition("/")
    return topic, int(number)
