"""The ordinary stack of `peer_stack` between Kafka and PostgreSQL: each event consumed, decided, inserted, committed
and produced by itself, as a service with its first users is written."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from benchmarks import peer_stack

_PAST = 20_000  # Rows before the measured ones, which the sorted sets hold and the models learn from.
_TABLE = """CREATE TABLE ordinary_decisions (
    event_id bigint PRIMARY KEY, time timestamptz NOT NULL, action int NOT NULL, features jsonb NOT NULL
)"""


def ordinary_rate(world: Any, events: Any, count: int) -> float:
    """Decisions a second, one event after the other."""
    import confluent_kafka.admin
    import psycopg
    import redis

    start = min(_PAST, len(events) - count)
    rows = np.arange(start, start + count)
    client = redis.Redis.from_url(world.redis.url)
    peer_stack.fill(client, peer_stack.payments_of(events, np.arange(start)))
    rng = np.random.default_rng(0)
    x = rng.gamma(1.0, 20.0, (2000, len(peer_stack.NAMES)))
    models = peer_stack.Models(x, (rng.random(2000) < 0.1).astype(int))
    payments = peer_stack.payments_of(events, rows)
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": world.brokers})
    topics = [confluent_kafka.admin.NewTopic(f"ordinary.{kind}", 1, 1) for kind in ("events", "decisions")]
    for made in admin.create_topics(topics).values():
        made.result()
    producer = confluent_kafka.Producer({"bootstrap.servers": world.brokers, "linger.ms": 0})
    for payment in payments:
        value = {name: getattr(payment, name) for name in peer_stack.Payment.__dataclass_fields__}
        producer.produce("ordinary.events", json.dumps(value).encode())
    producer.flush()
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": world.brokers, "group.id": "ordinary", "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })  # fmt: skip
    consumer.subscribe(["ordinary.events"])
    with psycopg.connect(world.postgres.url) as connection:
        connection.execute(_TABLE)
        connection.commit()
        done, begun, warm = 0, 0.0, count // 10
        while done < count:
            message = consumer.poll(1.0)
            if message is None or message.error() is not None:
                continue
            payment = peer_stack.Payment(**json.loads(message.value()))
            features = peer_stack.windows(client, payment)
            action = models.decide(features)
            connection.execute(
                "INSERT INTO ordinary_decisions VALUES (%s, to_timestamp(%s), %s, %s)",
                (payment.id, payment.time_s, action, json.dumps(features)),
            )
            connection.commit()
            producer.produce("ordinary.decisions", json.dumps({"event_id": payment.id, "action": action}).encode())
            producer.flush()
            consumer.commit(message, asynchronous=False)
            done += 1
            if done == warm:
                begun = time.perf_counter()
        taken = time.perf_counter() - begun
    consumer.close()
    return (count - warm) / taken
