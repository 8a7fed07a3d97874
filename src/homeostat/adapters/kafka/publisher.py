"""Publishes in transactions: decisions, dead letters and offsets, all or nothing, however often it has to try.

The one thing that can't be seen from an error is whether a transaction whose commit broke off took place. Then a new
producer of the same name ends the old one's transaction, and the group's committed offsets tell: with them goes a mark
that no other transaction has.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import confluent_kafka as kafka

from homeostat.adapters.kafka.settings import LOG, POLICY, refused
from homeostat.adapters.servers.circuit import Pauses
from homeostat.ports import Unavailable
from homeostat.ports.streams import Fenced, Outgoing

_STEP_S = 1.0  # How long one step waits for the brokers before it looks whether to stop, and goes on waiting.
_SLOW_S = 3.0  # From then on it says that it waits.
_ASK_S = 5.0
_STALE_S_MAX = 5.0  # The group's next generation is known within this time, or it has gone on without us.
_STUCK_S = POLICY.deadline_s  # By then the brokers have ended the transaction themselves.
_UNKNOWN_S_MAX = 1.0  # A member that is unknown stays so.
_STALE = {
    kafka.KafkaError.ILLEGAL_GENERATION, kafka.KafkaError.UNKNOWN_MEMBER_ID, kafka.KafkaError.FENCED_INSTANCE_ID,
    kafka.KafkaError.REBALANCE_IN_PROGRESS,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where partitions are to continue from.

    consumer : the member of the group whose offsets these are
    ends : topic, partition, offset
    """

    consumer: Any
    ends: Sequence[tuple[str, int, int]]


class Publisher:
    """See the module. One thread publishes.

    settings : of the producer, librdkafka's
    letters : topic of dead letters; None to leave them out
    stopped : set when waiting should end
    thrown_out : the consumer whose group has gone on without it, where `publish` has found that
    """

    def __init__(self, settings: dict[str, Any], decisions: str, letters: str | None, stopped: threading.Event) -> None:
        """Asks no broker yet. Raises ValueError for settings that can't work."""
        self._settings, self._stopped = settings, stopped
        self._decisions, self._letters = decisions, letters
        self._producer: Any = None
        self._begun = self._prepared = False
        self._preparing_since = 0.0
        self._starting = threading.Lock()
        self._doubtful = False
        self.thrown_out: Any = None
        self._sending: Any = None
        self.trouble = ""
        self._new_producer()

    def publish(
        self,
        offsets: Sequence[Offsets],
        decisions: Sequence[Outgoing],
        letters: Sequence[Outgoing],
        ours: Callable[[], bool],
    ) -> None:
        """All or nothing. Raises Fenced when `ours` says no or a group has gone on without us, Unavailable at a stop.

        offsets : of each group
        """
        self.thrown_out = None
        mark = uuid.uuid4().hex
        parts = [(of.consumer, [kafka.TopicPartition(*end, mark) for end in of.ends]) for of in offsets]
        stale: tuple[Any, float] | None = None
        pauses = Pauses(POLICY.backoff)
        while True:
            self._sending = None
            try:
                self._ready()
                if self._doubtful and self._took_place(parts):
                    break
                # First what the groups are, then whether the partitions are ours: so the coordinator refuses whatever
                # was ours only before.
                groups = [consumer.consumer_group_metadata() for consumer, _ in parts]
                if not ours():
                    raise Fenced("partitions went to another worker since their messages were pulled")
                self._transact(parts, groups, decisions, letters)
                break
            except Fenced:
                self.trouble = ""
                raise
            except kafka.KafkaException as error:
                stale = self._failed(error.args[0], stale)
                if self.thrown_out is not None:
                    self.trouble = ""
                    raise Fenced("the group has gone on without this worker") from None
            if self._stopped.wait(pauses.next_s()):
                raise Unavailable(f"Kafka: stopped while publishing: {self.trouble}")
        self.trouble, self._doubtful = "", False

    def prepare(self, wait_s: float) -> bool:
        """End what a worker of this name left open when it crashed, once: nobody could continue after it else.

        Waits for it a moment at a time: returns whether it is done. Raises KafkaException where waiting won't help.
        """
        if self._prepared:
            return True
        with self._starting:
            try:
                if self._producer is None:
                    self._new_producer()
                if not self._begun:
                    self._producer.init_transactions(max(wait_s, 0.1))
            except kafka.KafkaException as error:
                if not error.args[0].retriable():
                    self._drop()
                    raise
                self._preparing_since = self._preparing_since or time.monotonic()
                if time.monotonic() - self._preparing_since > _SLOW_S:
                    self.trouble = f"Kafka: {error.args[0].str()}"
                return False
            self._prepared, self._begun, self.trouble = True, True, ""
        return True

    def close(self, wait_s: float) -> None:
        """Abort what is open."""
        if self._producer is not None:
            with suppress(kafka.KafkaException):
                self._producer.abort_transaction(wait_s)
            self._drop()

    def _transact(
        self, parts: list[tuple[Any, list[Any]]], groups: list[Any], decisions: Sequence[Outgoing],
        letters: Sequence[Outgoing],
    ) -> None:  # fmt: skip
        producer = self._producer
        producer.begin_transaction()
        self._produce(self._decisions, decisions)
        if self._letters is not None:
            self._produce(self._letters, letters)
        for (consumer, ends), group in zip(parts, groups, strict=True):
            self._sending = consumer
            send = partial(producer.send_offsets_to_transaction, ends, group, _STEP_S)
            self._patiently(partial(self._bounded, send))
        self._doubtful = True
        self._patiently(lambda: self._bounded(lambda: producer.commit_transaction(_STEP_S)))

    def _produce(self, topic: str, messages: Sequence[Outgoing]) -> None:
        produce = self._producer.produce
        for message in messages:
            trace = message.traceparent
            headers = None if trace is None else [("traceparent", trace.encode("ascii", "replace"))]
            while True:
                try:
                    produce(topic, message.value, message.key, headers=headers)
                    break
                except BufferError:
                    self._producer.poll(0.05)

    def _bounded(self, step: Callable[[], None]) -> None:
        """Take a step that has a timeout, which librdkafka forgets where a coordinator goes away at a bad moment.

        Then the producer is left where it is: the next one of its name ends its transaction. Raises KafkaException.
        """
        raised: list[BaseException] = []

        def call() -> None:
            try:
                step()
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=call, name="kafka step", daemon=True)
        thread.start()
        thread.join(_STUCK_S)
        if thread.is_alive():
            self._producer, self._begun = None, False
            raise kafka.KafkaException(kafka.KafkaError(kafka.KafkaError._TIMED_OUT, "the coordinator went away"))
        if raised:
            raise raised[0]

    def _patiently(self, step: Callable[[], None]) -> None:
        """Take a step again while its error says that this helps; then a new producer will have to begin again.

        One whose coordinator was away may go on saying for ever that the connection is broken.
        Raises KafkaException, Unavailable at a stop.
        """
        pauses, since = Pauses(POLICY.backoff), time.monotonic()
        while True:
            try:
                step()
                return
            except kafka.KafkaException as error:
                found = error.args[0]
                if not found.retriable() or found.txn_requires_abort():
                    raise
                if time.monotonic() - since > _SLOW_S:
                    self.trouble = f"Kafka: {found.str()}"
                if time.monotonic() - since > _STUCK_S:
                    self._drop()
                    raise
            if self._stopped.wait(pauses.next_s()):
                raise Unavailable(f"Kafka: stopped while publishing: {self.trouble}")

    def _failed(self, error: Any, stale: tuple[Any, float] | None) -> tuple[Any, float] | None:
        """Clear up after an attempt; returns whose group refuses us, and since when.

        `thrown_out` says that it is too long.
        """
        LOG.info("a transaction is tried again: %s", error.str())
        if self._producer is not None and error.txn_requires_abort():
            try:
                self._patiently(lambda: self._producer.abort_transaction(_STEP_S))
                self._doubtful = False  # It was open until now, so it had not been committed.
            except kafka.KafkaException:
                self._drop()
        elif self._producer is not None and (error.fatal() or not error.retriable()):
            self._drop()
        if error.code() not in _STALE:
            self.trouble = f"Kafka: {error.str()}"
            return None
        now = time.monotonic()
        longest = _UNKNOWN_S_MAX if error.code() == kafka.KafkaError.UNKNOWN_MEMBER_ID else _STALE_S_MAX
        if stale is None or stale[0] is not self._sending:
            return self._sending, now
        if now - stale[1] > longest:
            self.thrown_out = self._sending
        return stale

    def _took_place(self, parts: list[tuple[Any, list[Any]]]) -> bool:
        """Whether the transaction in doubt was committed: asked after its producer was replaced, which ended it."""
        if not parts:
            return True  # Nothing tells; what carries no offsets is not sent twice.
        found = []
        for consumer, ends in parts:
            found += consumer.committed([kafka.TopicPartition(end.topic, end.partition) for end in ends], _ASK_S)
        for one in found:
            if one.error is not None:
                raise kafka.KafkaException(one.error)
        self._doubtful = False
        return any(one.metadata == parts[0][1][0].metadata for one in found)  # Others may have moved some on since.

    def _ready(self) -> None:
        """A producer that can begin a transaction."""
        with self._starting:
            if self._producer is None:
                self._new_producer()
            if not self._begun:
                self._patiently(lambda: self._producer.init_transactions(_STEP_S))
                self._prepared = self._begun = True

    def _new_producer(self) -> None:
        self._begun = False
        try:
            self._producer = kafka.Producer({**self._settings, "error_cb": self._on_error}, logger=LOG)
        except (kafka.KafkaException, TypeError, ValueError) as error:
            raise refused(self._settings, error) from None

    def _drop(self) -> None:
        if self._producer is not None:
            with suppress(kafka.KafkaException):
                self._producer.purge()
        self._producer, self._begun = None, False

    def _on_error(self, error: Any) -> None:
        LOG.debug("%s", error.str())
