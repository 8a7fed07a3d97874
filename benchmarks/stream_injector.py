"""Produces events on a fixed schedule, whatever becomes of them, and times each decision from when its event was due.

A process of its own: python -m benchmarks.stream_injector, with a JSON task on standard input; seconds come back.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time

import confluent_kafka

PATIENCE_S = 30.0


def main() -> None:
    """Read the task, run it, print the latencies of all but the first `warm` events."""
    task = json.load(sys.stdin)
    messages = [(key.encode(), value.encode(), json.loads(value)["event_id"]) for key, value in task["messages"]]
    due = {str(event_id): 0.0 for _, _, event_id in messages}
    seen: dict[str, float] = {}
    ready = threading.Event()

    def consume() -> None:
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": task["brokers"], "group.id": "stream-injector", "auto.offset.reset": "earliest",
            "isolation.level": "read_committed", "fetch.wait.max.ms": 5,
        })  # fmt: skip
        consumer.subscribe([task["decisions"]], on_assign=lambda *_: ready.set())
        end = time.perf_counter() + 3600
        while len(seen) < len(messages) and time.perf_counter() < end:
            for message in consumer.consume(1000, 0.02):
                if message.error() is None and message.key() is not None:
                    seen[message.key().decode()] = time.perf_counter()
            if not sending.is_set() and end > time.perf_counter() + PATIENCE_S:
                end = time.perf_counter() + PATIENCE_S
        consumer.close()

    sending = threading.Event()
    sending.set()
    consuming = threading.Thread(target=consume)
    consuming.start()
    ready.wait(30)
    gc.freeze()
    gc.disable()
    producer = confluent_kafka.Producer({"bootstrap.servers": task["brokers"], "linger.ms": 1, "acks": 1})
    interval = 1 / task["rate"]
    begun = time.perf_counter() + 0.2
    for number, (key, value, event_id) in enumerate(messages):
        moment = begun + number * interval
        ahead = moment - time.perf_counter()
        if ahead > 0.001:
            time.sleep(ahead)
        due[str(event_id)] = moment
        producer.produce(task["events"], value, key)
        if number % 64 == 0:
            producer.poll(0)
    producer.flush()
    sending.clear()
    consuming.join()
    measured = [str(event_id) for _, _, event_id in messages[task["warm"] :]]
    missing = [event_id for event_id in measured if event_id not in seen]
    if missing:
        sys.exit(f"{len(missing)} decisions of {len(measured)} never came")
    json.dump([seen[event_id] - due[event_id] for event_id in measured], sys.stdout)


if __name__ == "__main__":
    main()
