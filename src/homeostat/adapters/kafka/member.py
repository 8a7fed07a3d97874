"""One consumer: a worker's membership in the group that shares the partitions of one topic.

Partitions are given to workers by cooperative assignment: those that stay are never interrupted. Callbacks of a
rebalance only note what is ours.
Source: KIP-429, Incremental cooperative rebalancing.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka as kafka

from homeostat.adapters.kafka.settings import LOG, refused
from homeostat.adapters.streams.lane_ends import LaneEnds
from homeostat.ports.streams import Pulled

_ALIVE_EVERY_S = 0.5  # While nothing is pulled, rebalances are looked after so often.
_STATS_MS = 2000  # How soon it is seen that brokers are back.
REJOIN_S = 15.0  # A worker that finds itself thrown out, and hears nothing of it by then, joins again.
_EOF = kafka.KafkaError._PARTITION_EOF
_CAUSES = {kafka.KafkaError._AUTHENTICATION, kafka.KafkaError._SSL, kafka.KafkaError._RESOLVE}


@dataclass(slots=True)
class Lane:
    """A partition that is ours. `next` is the offset after the last one pulled, -1 before the first."""

    name: str
    epoch: int
    next: int = -1
    end_seen: int = -1
    ends: LaneEnds = field(default_factory=LaneEnds)


class Member:
    """See the module. `pull` is called by one thread; `epochs`, `lanes` and `forsake` by another, too.

    topic, hosts : what is read, and where
    settings : of the consumer, librdkafka's
    generation : rises whenever partitions were newly given to us
    epochs : of the assignment, by lane that is ours
    """

    def __init__(self, topic: str, hosts: str, settings: dict[str, Any]) -> None:
        """Asks no broker yet. Raises ValueError for settings that can't work."""
        self.topic, self.generation = topic, 0
        self.epochs: dict[str, int] = {}
        self._hosts = hosts
        called = {"error_cb": self._on_error, "stats_cb": self._on_stats, "statistics.interval.ms": _STATS_MS}
        try:
            self.consumer: Any = kafka.Consumer({**settings, **called}, logger=LOG)
        except (kafka.KafkaException, TypeError, ValueError) as error:
            raise refused(settings, error) from None
        self._lanes: dict[int, Lane] = {}
        self._kept: list[Any] = []  # Messages that came while none were wanted.
        self._trouble = self._down = ""
        self._lock = threading.Lock()
        self._forsaken: set[int] = set()  # Ours still in name, but the group has gone on without us.
        self._forsaken_at = 0.0
        self._unconnected = 0
        self._alive_at = 0.0
        self._subscribe()

    @property
    def trouble(self) -> str:
        """The reason why it can't read at present; empty when nothing does."""
        return self._down or self._trouble

    @property
    def lanes(self) -> list[Lane]:
        """The partitions that are ours."""
        return list(self._lanes.values())

    def pull(self, pulled: Pulled, limit: int, wait_s: float) -> None:
        """Put up to about `limit` messages behind those that were pulled, once there are any or `wait_s` has passed.

        Raises KafkaException.
        """
        try:
            messages = self._messages(limit, wait_s)
        except kafka.KafkaException as error:
            self._trouble = f"Kafka at {self._hosts}: {error.args[0].str()}"
            raise
        before = len(pulled)
        for message in messages:
            lane = self._lanes.get(message.partition())
            if message.error() is not None:
                self._on_message_error(message, lane)
            elif lane is not None:  # Otherwise it was taken from us since it was fetched.
                _add(pulled, lane, message)
        if len(pulled) > before:
            self._trouble = self._down = ""

    def live(self) -> None:
        """Pull nothing; the group learns that this worker lives, and errors of the connection are heard of."""
        now = time.monotonic()
        if now - self._alive_at >= _ALIVE_EVERY_S:
            self._alive_at = now
            self._kept += self.consumer.consume(1, 0)

    def lag(self) -> dict[str, int]:
        """Messages by lane that have not been pulled: from the brokers' answer to the last fetch."""
        found: dict[str, int] = {}
        for partition, lane in self._lanes.items():
            try:
                place = kafka.TopicPartition(self.topic, partition)
                low, high = self.consumer.get_watermark_offsets(place, cached=True)
            except kafka.KafkaException:
                low, high = 0, 0
            behind = high - (lane.next if lane.next >= 0 else max(low, 0))
            found[lane.name] = 0 if high == lane.end_seen else max(behind, 0)
        return found

    def forsake(self) -> None:
        """The group has gone on without us: what it gives us next starts from what was committed.

        It says so itself soon, in a callback; joining again before would leave a ghost there that others wait for.
        """
        with self._lock:
            self._forsaken = self._forsaken | set(self._lanes)
            self._forsaken_at = time.monotonic()
            self.epochs, self._lanes = {}, {}

    def close(self) -> None:
        """Leave the group."""
        self.epochs, self._lanes, self._kept = {}, {}, []
        try:
            self.consumer.close()
        except (kafka.KafkaException, RuntimeError):  # Closed already, or no broker to take leave from.
            LOG.debug("left without taking leave")

    def _subscribe(self) -> None:
        self.consumer.subscribe(
            [self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _messages(self, limit: int, wait_s: float) -> list[Any]:
        if self._forsaken and time.monotonic() - self._forsaken_at > REJOIN_S:
            self.consumer.unsubscribe()
            self.consumer.poll(0)
            with self._lock:
                ours = {*self._lanes, *self._forsaken}
            self._gone(ours)
            self._subscribe()
        kept, self._kept = self._kept[:limit], self._kept[limit:]
        found: list[Any] = kept + self.consumer.consume(max(limit - len(kept), 1), 0)
        if found or wait_s <= 0:
            return found
        first = self.consumer.poll(wait_s)
        return [] if first is None else [first, *self.consumer.consume(limit, 0)]

    def _on_message_error(self, message: Any, lane: Lane | None) -> None:
        error = message.error()
        if error.code() == _EOF:
            if lane is not None:
                lane.next = max(lane.next, message.offset())
                lane.end_seen = message.offset()
            self._trouble = ""
        else:
            self._trouble = f"Kafka at {self._hosts}: {error.str()}"

    # Callbacks: they run within `pull`, `live` and `close`.

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        self._trouble = ""
        if partitions:
            self.generation += 1
        lanes = {one.partition: Lane(f"{one.topic}/{one.partition}", self.generation) for one in partitions}
        with self._lock:
            self._forsaken -= set(lanes)
            self._lanes = {**self._lanes, **lanes}
            self.epochs = {lane.name: lane.epoch for lane in self._lanes.values()}

    def _on_revoke(self, consumer: Any, partitions: list[Any]) -> None:
        self._gone({lost.partition for lost in partitions})

    def _gone(self, partitions: set[int]) -> None:
        with self._lock:
            self._forsaken -= partitions
            left = {partition: lane for partition, lane in self._lanes.items() if partition not in partitions}
            self.epochs = {lane.name: lane.epoch for lane in left.values()}  # First: who publishes asks for these last.
            self._lanes = left
        self._kept = [message for message in self._kept if message.partition() not in partitions]

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


def _add(pulled: Pulled, lane: Lane, message: Any) -> None:
    offset = message.offset()
    lane.next = offset + 1
    lane.ends.pulled(offset)
    pulled.values.append(message.value() or b"")
    pulled.lane.append(lane.name)
    pulled.position.append(str(offset))
    pulled.epoch.append(lane.epoch)
    pulled.key.append(message.key())
    kind, produced_ms = message.timestamp()
    pulled.produced_ns.append(produced_ms * 1_000_000 if kind else 0)
    headers = message.headers()
    pulled.traceparent.append(None if headers is None else _traceparent(headers))


def _traceparent(headers: list[tuple[str, bytes | None]]) -> str | None:
    for name, value in headers:
        if name.lower() == "traceparent" and value is not None:
            return value.decode("ascii", "replace")
    return None
