"""Kafka in, Redis features, PostgreSQL journal, Kafka out: the payments app on real servers, all on this machine.

    python -m benchmarks.pipeline [--events N] [--ordinary 300] [--seconds 20] [--save FILE] [--json]

1. One worker with a backlog, against a stack built the ordinary way (one event after the other) on the same servers.
2. An open loop at half of that rate: from the moment an event was due to be produced until its decision is consumed.
3. Two workers against one, each with a small part of a core, so that the servers have time to spare.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq

from benchmarks.cpu_share import NoShares, limited
from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.replay import say
from benchmarks.transactions import COLUMNS, events_of, transactions

PART = "pipeline"
PARTITIONS = 6
SHARE = 0.12  # Of a core, for each worker of the third part.
WARM_S = 12.0  # Of the open loop, before the measured stretch: what gathered while the worker began is worked off.
WARM_SHARE = 0.25  # Of a backlog, before the measured stretch: the broker compiles itself meanwhile.


@dataclass(slots=True)
class BenchServers:
    """The servers, and what the worker gets of them."""

    kafka: Any
    redis: Any
    postgres: Any
    folder: Path

    @property
    def brokers(self) -> str:
        return str(self.kafka.url).removeprefix("kafka://").rstrip("/")

    def config(self, name: str, **more: Any) -> Path:
        """A file that names the servers, with topics of its own."""
        servers = {
            **{kind: f"kafka://{self.brokers}/{name}.{kind}" for kind in ("events", "outcomes", "decisions")},
            "dead_letters": f"kafka://{self.brokers}/{name}.letters", "features": self.redis.url,
            "journal": self.postgres.url, "spool": str(self.folder / "spool"), "partitions": PARTITIONS,
            "group": name, **more,
        }  # fmt: skip
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({"servers": servers}))
        return path

    def clear(self) -> None:
        """Let Redis and PostgreSQL be empty again."""
        import psycopg
        import redis

        redis.Redis.from_url(self.redis.url).flushall()
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def cpu_s(self) -> dict[str, float]:
        """Processor time of each server so far."""
        return {
            name: _cpu_s(server.pid)
            for name, server in (("Kafka", self.kafka), ("Redis", self.redis), ("PostgreSQL", self.postgres))
        }


def _cpu_s(pid: int) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


@contextmanager
def servers() -> Iterator[BenchServers]:
    """A broker, a Redis and a PostgreSQL of our own."""
    from homeostat.checks.servers import kafka_broker, postgres_server, redis_server

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(kafka_broker())
        redis = stack.enter_context(redis_server())
        postgres = stack.enter_context(postgres_server())
        yield BenchServers(kafka, redis, postgres, folder)


class Worker:
    """A `homeostat worker` process."""

    def __init__(self, config: Path) -> None:
        command = [
            str(Path(sys.executable).with_name("homeostat")),
            "worker",
            "payments",
            "--config",
            str(config),
            "--metrics-port",
            "0",
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.url = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "metrics at " in line:
                self.url = line.rsplit("metrics at ", 1)[1].strip()
                break
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "Failed to acquire transactional" not in line:
                print(f"worker: {line.rstrip()}", file=sys.stderr)

    def published(self) -> int:
        """Decisions that are out."""
        with urllib.request.urlopen(self.url, timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("homeostat_messages_published_total{") and 'channel="decisions"' in line:
                    return int(float(line.rsplit(" ", 1)[1]))
        return 0

    def stop(self) -> None:
        """Let it drain."""
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def workers(count: int, config: Path) -> Iterator[list[Worker]]:
    """So many workers; they drain in the end."""
    made = [Worker(config) for _ in range(count)]
    try:
        yield made
    finally:
        for worker in made:
            worker.process.terminate()
        for worker in made:
            worker.stop()


def messages_of(events: Any, start: int, stop: int) -> list[tuple[bytes, bytes]]:
    """Some of the payments as keys and JSON."""
    rows = slice(start, stop)
    columns = (events.id_code, events.time_ns // 10**9, events.keys[:, 0], events.keys[:, 1], events.numbers[:, 0],
               events.label)  # fmt: skip
    return [
        (b"%d" % customer, json.dumps({
            "event_id": event_id, "time": time_s, "customer": customer, "terminal": terminal, "amount": amount,
            "fraud": int(fraud),
        }).encode())
        for event_id, time_s, customer, terminal, amount, fraud in zip(*(column[rows].tolist() for column in columns))
    ]  # fmt: skip


def produce(world: BenchServers, topic: str, messages: Sequence[tuple[bytes, bytes]]) -> None:
    """Send all of them, as fast as it goes."""
    import confluent_kafka

    producer = confluent_kafka.Producer({"bootstrap.servers": world.brokers, "linger.ms": 20})
    for number, (key, value) in enumerate(messages):
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()


def make_topics(config: Path) -> None:
    """The topics that a worker would create, before the backlog comes."""
    from homeostat.adapters.streams.opening import ensure_topics
    from homeostat.config.servers import read_servers

    ensure_topics(read_servers(config, {}), "payments")


def backlog_rate(
    running: Sequence[Worker], count: int, measured_from: float = WARM_SHARE
) -> tuple[float, float, float, float]:
    """Decisions a second from a share of the backlog on until its last decision but the last tenth; and when these
    two moments were, and how many decisions lay between them."""
    begun = stop_at = 0.0
    first = last = 0
    while True:
        published = sum(worker.published() for worker in running)
        now = time.perf_counter()
        if begun == 0.0 and published >= measured_from * count:
            begun, first = now, published
        if published >= 0.9 * count:
            stop_at, last = now, published
            break
        time.sleep(0.1)
    return (last - first) / (stop_at - begun), begun, stop_at, last - first


def sustained(world: BenchServers, messages: Sequence[tuple[bytes, bytes]]) -> tuple[float, dict[str, float]]:
    """One worker's decisions a second on a backlog, and processor microseconds a decision by process."""
    config = world.config("backlog")
    make_topics(config)
    produce(world, "backlog.events", messages)
    with workers(1, config) as running:
        while running[0].published() < WARM_SHARE * len(messages):
            time.sleep(0.05)
        before = {**world.cpu_s(), "worker": _cpu_s(running[0].process.pid)}
        rate, _, _, count = backlog_rate(running, len(messages), 0.0)
        after = {**world.cpu_s(), "worker": _cpu_s(running[0].process.pid)}
    return rate, {name: (after[name] - before[name]) / count * 1e6 for name in before}


def end_to_end(world: BenchServers, messages: Sequence[tuple[bytes, bytes]], rate: float, seconds: float) -> np.ndarray:
    """Seconds from the moment each event was due until its decision was consumed, sorted; (n,)."""
    config = world.config("paced")
    make_topics(config)
    count = min(len(messages), int(rate * (WARM_S + seconds)))
    with workers(1, config):
        injector = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stream_injector"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        task = {
            "brokers": world.brokers, "events": "paced.events", "decisions": "paced.decisions", "rate": rate,
            "warm": min(int(rate * WARM_S), count // 2),
            "messages": [[key.decode(), value.decode()] for key, value in messages[:count]],
        }  # fmt: skip
        answer, _ = injector.communicate(json.dumps(task).encode())
    return np.sort(np.array(json.loads(answer)))


def limited_rate(
    world: BenchServers, name: str, count: int, messages: Sequence[tuple[bytes, bytes]], seconds: float
) -> float:
    """Decisions a second of so many workers that get a small share of a core each."""
    config = world.config(name)
    make_topics(config)
    produce(world, f"{name}.events", messages)
    with workers(count, config) as running:
        while min(worker.published() for worker in running) < 2000:
            time.sleep(0.1)
        with limited([worker.process.pid for worker in running], SHARE):
            time.sleep(3)
            before, begun = sum(worker.published() for worker in running), time.perf_counter()
            time.sleep(seconds)
            after, ended = sum(worker.published() for worker in running), time.perf_counter()
    return (after - before) / (ended - begun)


def measure(count: int, ordinary: int, seconds: float) -> tuple[list[Figure], list[str]]:
    """The figures, and what could not be measured."""
    from benchmarks.peer_pipeline import ordinary_rate

    notes: list[str] = []
    with servers() as world, tempfile.TemporaryDirectory() as name:
        data = transactions(Path(name), count)
        notes.append(f"pipeline: {data.said}")
        events = events_of(pq.read_table(data.path, columns=list(COLUMNS)))
        messages = messages_of(events, 0, count)
        say("pipeline: one worker on a backlog")
        rate, cpu_us = sustained(world, messages)
        figures = [Figure(PART, "decisions of one worker", rate, "decisions/s", ">= 10,000")]
        say(f"pipeline: {rate:,.0f} decisions/s; an ordinary stack")
        world.clear()
        theirs = ordinary_rate(world, events, ordinary)
        figures.append(Figure(PART, "against a stack built the ordinary way", rate / theirs, "times", ">= 150"))
        figures.append(Figure(PART, "a stack built the ordinary way", theirs, "decisions/s"))
        figures += [Figure(PART, f"processor time of {who}", us, "us/decision") for who, us in cpu_us.items()]
        say(f"pipeline: {theirs:.0f} decisions/s; an open loop at half the rate")
        world.clear()
        waits = end_to_end(world, messages, rate / 2, seconds)
        for share in (0.5, 0.99, 0.999):
            target = "<= 250" if share == 0.999 else ""
            at = float(waits[min(len(waits) - 1, int(share * len(waits)))]) * 1000
            figures.append(Figure(PART, f"produced to consumed, p{100 * share:g}", at, "ms", target))
        try:
            rates = []
            for workers_ in (1, 2):
                say(f"pipeline: {workers_} worker(s), {SHARE:.0%} of a core each")
                world.clear()
                rates.append(limited_rate(world, f"share{workers_}", workers_, messages, seconds))
            note = f"{rates[0]:,.0f} and {rates[1]:,.0f} decisions/s, {SHARE:.0%} of a core for each worker"
            figures.append(Figure(PART, "two workers against one", rates[1] / rates[0], "times", ">= 1.7", note))
        except NoShares as error:
            notes.append(f"pipeline: without two workers against one, {error}")
    return figures, notes


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="in the backlog")
    parser.add_argument("--ordinary", type=int, default=300, help="for the ordinary stack")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the open loop, and of workers with little time")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures, notes = measure(chosen.events, chosen.ordinary, chosen.seconds)
    print(json.dumps(packed(figures, notes)) if chosen.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()
