"""Topics of one test on the shared broker, seen from outside."""

import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from homeostat.adapters.streams.opening import ensure_topics, open_stream
from homeostat.config.servers import Servers
from homeostat.ports.streams import Outgoing


class KafkaBench:
    def __init__(self, broker, partitions=2, **servers):
        self.broker, self.partitions = broker, partitions
        self.app = f"app-{uuid.uuid4().hex[:12]}"
        kinds = ("events", "outcomes", "decisions", "dead_letters")
        self.topics = {kind: f"{self.app}.{kind}" for kind in kinds}
        urls = {kind: f"{broker.url}/{topic}" for kind, topic in self.topics.items()}
        self.servers = Servers(**urls, partitions=partitions, **servers)
        assert sorted(ensure_topics(self.servers, self.app)) == sorted(self.topics.values())
        self._opened = []
        # Idempotent: what is sent again keeps its place.
        self.producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 0, "enable.idempotence": True})
        self._ends = Consumer({
            "bootstrap.servers": broker.address, "group.id": "ends", "isolation.level": "read_uncommitted",
        })  # fmt: skip

    def open(self, name):
        self._opened.append(open_stream(self.servers, self.app, client_id=name))
        return self._opened[-1]

    def close(self):
        for stream in self._opened:
            stream.close()
        self._ends.close()

    def produce(self, messages, kind="events", partition=None):
        for message in messages:
            headers = [("other", b"x")] + ([("traceparent", message.traceparent)] if message.traceparent else [])
            at = {} if partition is None else {"partition": partition}
            self.producer.produce(self.topics[kind], message.value, message.key, headers=headers, **at)
            self.producer.poll(0)
        assert self.producer.flush(180) == 0

    def decisions(self):
        return self.read("decisions")

    def dead_letters(self):
        return self.read("dead_letters")

    def read(self, kind, isolation="read_committed"):
        """All that is committed, once nothing is open any more."""
        return [
            Outgoing(message.value(), message.key(), next((v.decode() for _, v in message.headers() or ()), None))
            for message in self.messages(kind, isolation)
        ]

    def messages(self, kind, isolation="read_committed"):
        topic = self.topics[kind]
        consumer = Consumer({
            "bootstrap.servers": self.broker.address, "group.id": uuid.uuid4().hex, "isolation.level": isolation,
            "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 50,
        })  # fmt: skip
        try:
            left = {k: end for k in range(self.partitions) if (end := self._end(topic, k)) > 0}
            consumer.assign([TopicPartition(topic, k, 0) for k in left])
            found, idle = [], 0
            while left:
                message = consumer.poll(0.5)
                if message is None:
                    idle += 1
                    assert idle < 120, "a transaction stays open"
                elif message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    if message.offset() >= left.get(message.partition(), 0):
                        left.pop(message.partition(), None)
                else:
                    found.append(message)
            return sorted(found, key=lambda message: (message.timestamp()[1], message.partition(), message.offset()))
        finally:
            consumer.close()

    def _end(self, topic, partition):
        for _ in range(100):
            try:
                return self._ends.get_watermark_offsets(TopicPartition(topic, partition), 20)[1]
            except KafkaException:  # Not all brokers of a new topic know it yet.
                time.sleep(0.05)
        raise AssertionError("the broker does not say where the topic ends")
