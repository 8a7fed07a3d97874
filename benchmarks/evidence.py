"""The traces that a run left of some event ids: messages, decisions, rows of tables, and the ends of the workers' logs.

A trial that fails once in many runs, on another machine, has to be understood from its output alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import confluent_kafka as kafka
import psycopg

from benchmarks.fleet import Fleet

IDS_MAX = 5  # So many are looked at: one shows the kind.
LINES_MAX = 60  # Of each worker's log, the last ones.
_VALUE_MAX = 600
_READ_S = 30.0
_TABLES = {
    "event_ids": "SELECT i.* FROM event_ids i JOIN decisions d USING (entry, row) WHERE d.event_id = ANY(%s)",
    "decisions": "SELECT * FROM decisions WHERE event_id = ANY(%s)",
    "entries": """SELECT sequence, recorded_at, kind, rows FROM entries
        WHERE sequence IN (SELECT entry FROM decisions WHERE event_id = ANY(%s))""",
    "outcomes": "SELECT * FROM outcomes WHERE event_id = ANY(%s)",
}


def evidence(fleet: Fleet, event_ids: Iterable[str]) -> list[str]:
    """A line for each finding about the first few of the ids, and the end of each worker's log; nothing without ids."""
    ids = list(islice(dict.fromkeys(event_ids), IDS_MAX))
    if not ids:
        return []
    found = []
    for topic in ("events", "decisions", "dead_letters"):
        found += [f"topic {topic}: {one}" for one in records(fleet, topic, ids)]
    found += [f"table {one}" for one in rows(fleet, ids)]
    for worker in fleet.workers:
        lines = worker.log.read_text("utf-8", "replace").splitlines() if worker.log.exists() else []
        found += [f"{worker.log.name}: {line}" for line in lines[-LINES_MAX:]]
    return found


def records(fleet: Fleet, topic: str, event_ids: Sequence[str]) -> Iterator[str]:
    """The messages of a topic with one of these ids anywhere in them, where and when each was written, and its headers.

    Transactions that were aborted are left out, as consumers of decisions leave them out.
    """
    wanted = [f'"event_id":{space}{quote}{one}{quote}'.encode() for one in event_ids
              for space in ("", " ") for quote in ("", '"')]  # fmt: skip
    for message in _messages(fleet, fleet.topic(topic)):
        value = message.value() or b""
        if any(_holds(value, one) for one in wanted):
            written = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC).isoformat(timespec="milliseconds")
            text = value[:_VALUE_MAX].decode("utf-8", "replace")
            yield f"{message.partition()}/{message.offset()} at {written}, {message.headers() or 'no headers'}: {text}"


def _holds(value: bytes, wanted: bytes) -> bool:
    """Whether the member stands there, and not another whose number begins alike."""
    at = value.find(wanted)
    return at >= 0 and not value[at + len(wanted) : at + len(wanted) + 1].isdigit()


def _messages(fleet: Fleet, topic: str) -> Iterator[Any]:
    """Every committed message of a topic up to its present end."""
    consumer = kafka.Consumer({
        "bootstrap.servers": fleet.kafka.address, "group.id": f"evidence-{topic}", "enable.auto.commit": False,
        "isolation.level": "read_committed", "enable.partition.eof": True, "log_level": 0,
        "error_cb": lambda error: None,
    })  # fmt: skip
    try:
        consumer.assign([kafka.TopicPartition(topic, partition, 0) for partition in range(fleet.partitions)])
        left, until = set(range(fleet.partitions)), time.monotonic() + _READ_S
        while left and time.monotonic() < until:
            for message in consumer.consume(5000, 0.2):
                if message.error() is None:
                    yield message
                elif message.error().code() == kafka.KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
    finally:
        consumer.close()


def rows(fleet: Fleet, event_ids: Sequence[str]) -> Iterator[str]:
    """The rows of the journal's tables that these ids have."""
    with psycopg.connect(fleet.journal_url) as connection:
        for table, sql in _TABLES.items():
            cursor = connection.execute(sql, (list(event_ids),))
            names = [column.name for column in cursor.description or ()]
            for row in cursor.fetchall():
                yield f"{table}: " + ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
