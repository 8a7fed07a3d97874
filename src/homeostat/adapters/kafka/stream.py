"""Streams on Kafka: a consumer group in, transactions out.

Partitions are given to workers by cooperative assignment: those that stay are never interrupted. Callbacks of a
rebalance only note what is ours. A transaction carries what a batch makes and the offsets that it is done with, under
the generation of the group that the worker knew when it saw that the partitions were still its own; the coordinator
refuses it when the group has moved on, and a successor waits for it when it hasn't ended yet.
Source: KIP-447, Producer scalability for exactly once semantics; KIP-429, Incremental cooperative rebalancing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka as kafka

from homeostat.adapters.kafka.publisher import Publisher
from homeostat.adapters.kafka.settings import LOG, consumer_settings, producer_settings, refused
from homeostat.adapters.lane_ends import LaneEnds
from homeostat.adapters.stream_addresses import Addresses
from homeostat.config.world import KafkaSettings
from homeostat.ports.streams import Fenced, Outgoing, Pulled

_SLICE_S = 0.1  # How long one wait for messages keeps `stop` waiting.
_ALIVE_EVERY_S = 0.5  # While nothing is pulled, rebalances are looked after so often.
_STATS_MS = 2000  # How soon it is seen that brokers are back.
_CLOSE_S = 5.0
REJOIN_S = 15.0  # A worker that finds itself thrown out, and isn't told so by then, joins anew.
_EOF = kafka.KafkaError._PARTITION_EOF
_CAUSES = {kafka.KafkaError._AUTHENTICATION, kafka.KafkaError._SSL, kafka.KafkaError._RESOLVE}


@dataclass(slots=True)
class _Lane:
    """A partition that is ours. `next` is the offset after the last one pulled, -1 before the first."""

    name: str
    epoch: int
    events: bool
    next: int = -1
    end_seen: int = -1
    ends: LaneEnds = field(default_factory=LaneEnds)


class KafkaStream:
    """A `Stream`.

    addresses, settings : topics, and how their brokers are reached
    group : name that workers share the partitions under
    client_id : of this worker, no other's
    """

    def __init__(self, addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> None:
        """Asks no broker yet. Raises ValueError for settings that can't work."""
        self._events = addresses.events.name
        self._topics = [address.name for address in (addresses.events, addresses.outcomes) if address is not None]
        self._hosts = addresses.events.hosts
        own = consumer_settings(addresses, settings, group, client_id)
        called = {"error_cb": self._on_error, "stats_cb": self._on_stats, "statistics.interval.ms": _STATS_MS}
        try:
            self._consumer = kafka.Consumer({**own, **called}, logger=LOG)
        except (kafka.KafkaException, TypeError, ValueError) as error:
            raise refused(own, error) from None
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._epochs: dict[str, int] = {}
        self._kept: list[Any] = []  # Messages that came while none were wanted.
        self._generation = 0
        self._trouble = self._down = ""
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._forsaken: set[tuple[str, int]] = set()  # Ours still in name, but the group has gone on without us.
        self._forsaken_at = 0.0
        self._unconnected = 0
        self._alive_at = 0.0
        letters = None if addresses.dead_letters is None else addresses.dead_letters.name
        self._publisher = Publisher(
            producer_settings(addresses, settings, group, client_id), self._consumer, addresses.decisions.name, letters,
            self._stopped,
        )  # fmt: skip
        self._subscribe()

    def __repr__(self) -> str:
        return f"KafkaStream({self._hosts}, {', '.join(self._topics)})"

    @property
    def generation(self) -> int:
        """See `Stream`."""
        return self._generation

    @property
    def trouble(self) -> str:
        """See `Stream`."""
        return self._down or self._trouble or self._publisher.trouble

    def pull(self, limit: int, wait_s: float) -> tuple[Pulled, Pulled]:
        """See `Stream`. With a limit of 0 nothing is pulled, and the group is told that this worker lives."""
        events, outcomes = Pulled(), Pulled()
        if self._stopped.is_set():
            return events, outcomes
        try:
            messages = self._messages(limit, wait_s)
        except kafka.KafkaException as error:
            self._trouble = f"Kafka at {self._hosts}: {error.args[0].str()}"
            self._stopped.wait(min(wait_s, 1.0))
            return events, outcomes
        for message in messages:
            lane = self._lanes.get((message.topic(), message.partition()))
            if message.error() is not None:
                self._on_message_error(message, lane)
            elif lane is not None:  # Otherwise it was taken from us since it was fetched.
                _add(events if lane.events else outcomes, lane, message)
        if len(events) or len(outcomes):
            self._trouble = self._down = ""
        return events, outcomes

    def owned(self, pulled: Pulled) -> list[bool]:
        """See `Stream`."""
        epochs = self._epochs
        return [epochs.get(lane) == epoch for lane, epoch in zip(pulled.lane, pulled.epoch, strict=True)]

    def publish(self, done: Sequence[Pulled], decisions: Sequence[Outgoing], dead_letters: Sequence[Outgoing]) -> None:
        """See `Stream`. Messages may be done in any order: offsets move to the first that isn't."""
        rows: dict[str, set[int]] = {}
        for pulled in done:
            for lane, position in zip(pulled.lane, pulled.position, strict=True):
                rows.setdefault(lane, set()).add(int(position))
        lanes = {lane.name: lane for lane in list(self._lanes.values())}
        if not rows and not decisions and not dead_letters:
            return
        mine = {name: lanes[name] for name in rows if name in lanes}
        ends = [(*_partition(name), own.ends.after(rows[name])) for name, own in mine.items()]
        try:
            self._publisher.publish(
                ends, decisions, dead_letters, lambda: all(all(self.owned(pulled)) for pulled in done)
            )
        except Fenced:
            if self._publisher.thrown_out:
                self._forsake()
            raise
        for name, own in mine.items():
            own.ends.finish(rows[name])

    def lag(self) -> dict[str, int]:
        """See `Stream`. From what the brokers said with the last fetch; no question is asked."""
        found: dict[str, int] = {}
        for (topic, partition), lane in self._lanes.items():
            try:
                low, high = self._consumer.get_watermark_offsets(kafka.TopicPartition(topic, partition), cached=True)
            except kafka.KafkaException:
                low, high = 0, 0
            behind = high - (lane.next if lane.next >= 0 else max(low, 0))
            found[lane.name] = 0 if high == lane.end_seen else max(behind, 0)
        return found

    def stop(self) -> None:
        """See `Stream`."""
        self._stopped.set()

    def close(self) -> None:
        """See `Stream`. What a transaction has open is aborted."""
        self._stopped.set()
        self._publisher.close(_CLOSE_S)
        self._epochs, self._lanes, self._kept = {}, {}, []
        try:
            self._consumer.close()
        except (kafka.KafkaException, RuntimeError):  # Closed already, or no broker to take leave from.
            LOG.debug("left without taking leave")

    def _forsake(self) -> None:
        """The group has gone on without us: what it gives us next starts from what was committed.

        It says so itself soon, in a callback; joining anew before would leave a ghost there that others wait for.
        """
        with self._lock:
            self._forsaken = self._forsaken | set(self._lanes)
            self._forsaken_at = time.monotonic()
            self._lanes, self._epochs = {}, {}

    def _topics_and_partitions(self) -> list[tuple[str, int]]:
        with self._lock:
            return [*self._lanes, *self._forsaken]

    # Pulling.

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _messages(self, limit: int, wait_s: float) -> list[Any]:
        if self._forsaken and time.monotonic() - self._forsaken_at > REJOIN_S:
            self._consumer.unsubscribe()
            self._consumer.poll(0)
            self._gone(self._topics_and_partitions())
            self._subscribe()
        if not self._publisher.prepare(wait_s):
            self._kept += self._consumer.consume(1, 0)  # So that errors of the connection are heard of.
            return []
        if limit <= 0:
            return self._only_live(wait_s)
        kept, self._kept = self._kept[:limit], self._kept[limit:]
        found = kept + self._consumer.consume(max(limit - len(kept), 1), 0)
        until = time.monotonic() + wait_s
        while not found and not self._stopped.is_set():
            left = until - time.monotonic()
            first = self._consumer.poll(max(0.0, min(left, _SLICE_S)))
            if first is not None:
                found = [first, *self._consumer.consume(limit, 0)]
                if all(message.error() is not None for message in found) and left > 0:
                    for message in found:
                        self._on_message_error(message, self._lanes.get((message.topic(), message.partition())))
                    found = []
            if left <= 0:
                break
        return found

    def _only_live(self, wait_s: float) -> list[Any]:
        now = time.monotonic()
        if now - self._alive_at >= _ALIVE_EVERY_S:
            self._alive_at = now
            self._kept += self._consumer.consume(1, 0)
        self._stopped.wait(wait_s)
        return []

    def _on_message_error(self, message: Any, lane: _Lane | None) -> None:
        error = message.error()
        if error.code() == _EOF:
            if lane is not None:
                lane.next = max(lane.next, message.offset())
                lane.end_seen = message.offset()
        else:
            self._trouble = f"Kafka at {self._hosts}: {error.str()}"

    # Callbacks: they run within `pull` and `close`.

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        self._trouble = ""
        if partitions:
            self._generation += 1
        lanes = {}
        for given in partitions:
            name = f"{given.topic}/{given.partition}"
            lanes[given.topic, given.partition] = _Lane(name, self._generation, given.topic == self._events)
        with self._lock:
            self._forsaken -= set(lanes)
            self._lanes = {**self._lanes, **lanes}
            self._epochs = {lane.name: lane.epoch for lane in self._lanes.values()}

    def _on_revoke(self, consumer: Any, partitions: list[Any]) -> None:
        self._gone([(lost.topic, lost.partition) for lost in partitions])

    def _gone(self, partitions: list[tuple[str, int]]) -> None:
        gone = set(partitions)
        with self._lock:
            self._forsaken -= gone
            self._lanes = {place: lane for place, lane in self._lanes.items() if place not in gone}
            self._epochs = {lane.name: lane.epoch for lane in self._lanes.values()}
        self._kept = [message for message in self._kept if (message.topic(), message.partition()) not in gone]

    def _on_error(self, error: Any) -> None:
        LOG.debug("%s", error.str())
        down = error.fatal() or error.code() == kafka.KafkaError._ALL_BROKERS_DOWN
        if error.code() in _CAUSES or (down and not self._down):
            self._down = f"Kafka at {self._hosts}: {error.str()}"

    def _on_stats(self, text: str) -> None:
        """Every other second: whether there is a connection. One that is down twice is no mere hiccup."""
        brokers = json.loads(text).get("brokers", {}).values()
        if any(broker.get("state") == "UP" and broker.get("source") != "internal" for broker in brokers):
            self._down, self._unconnected = "", 0
            return
        self._unconnected += 1
        if self._unconnected > 1 and not self._down:
            self._down = f"Kafka at {self._hosts}: no broker is connected"


def _add(pulled: Pulled, lane: _Lane, message: Any) -> None:
    offset = message.offset()
    lane.next = offset + 1
    lane.ends.pulled(offset)
    pulled.values.append(message.value() or b"")
    pulled.lane.append(lane.name)
    pulled.position.append(str(offset))
    pulled.epoch.append(lane.epoch)
    kind, produced_ms = message.timestamp()
    pulled.produced_ns.append(produced_ms * 1_000_000 if kind else 0)
    headers = message.headers()
    pulled.traceparent.append(None if headers is None else _traceparent(headers))


def _traceparent(headers: list[tuple[str, bytes | None]]) -> str | None:
    for name, value in headers:
        if name.lower() == "traceparent" and value is not None:
            return value.decode("ascii", "replace")
    return None


def _partition(lane: str) -> tuple[str, int]:
    topic, _, number = lane.rpartition("/")
    return topic, int(number)
