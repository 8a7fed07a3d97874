"""Windows whose pasts lie in Redis: what an event costs with long and with short windows, and in round trips.

Both on the same events and the same server, started here, in turns. Costs are processor time, of this process and of
the server, so that other work on the machine disturbs them less. Run with --json for machines.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import redis

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.windows import DAY_NS, HOUR_NS, transactions
from homeostat.adapters.redis.features import RedisFeatures
from homeostat.checks.servers import redis_server
from homeostat.decide.windows.features import FeaturePlan, FeatureSpec, WindowGroup, plan_features
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.shared import SharedFeaturizer, log_version
from homeostat.expressions import Type
from homeostat.records.events import EventBatch

PART = "redis_windows"
ENTITIES = ("customer", "terminal")
BATCH, LAST = 1_000, 0.5  # Only the last half is measured: the windows are full then.
SINGLE, NAIVE = 2_000, 500


def planned(length: str, length_ns: int) -> FeaturePlan:
    """Five aggregates of each entity over one length."""
    compute = {
        "count": "count",
        "sum": "sum(amount)",
        "mean": "mean(amount)",
        "max": "max(amount)",
        "std": "std(amount)",
    }
    groups = tuple(
        WindowGroup(
            entity, ((length, length_ns),), {f"{entity}_{name}_{{length}}": text for name, text in compute.items()}
        )
        for entity in ENTITIES
    )
    spec = FeatureSpec(ENTITIES, (("amount", Type.NUMBER),), groups, {}, None, 0, 0, True)
    plan, faults = plan_features(spec)
    assert plan is not None, faults
    return plan


def events_of(rows: int) -> EventBatch:
    """The first transactions, as events."""
    frame = transactions()[:rows]
    n = len(frame)
    return EventBatch(
        np.arange(n), frame["TX_DATETIME"].to_numpy("datetime64[ns]").astype(np.int64),
        np.ascontiguousarray(frame[["CUSTOMER_ID", "TERMINAL_ID"]].to_numpy(np.int64)),
        np.ascontiguousarray(frame[["TX_AMOUNT"]].to_numpy(np.float64)), np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip


@dataclass(slots=True)
class Cost:
    """Microseconds an event, round trips a batch, and what the server holds."""

    client_us: float = 0.0
    server_us: float = 0.0
    wall_us: float = 0.0
    round_trips: float = 0.0
    bytes_total: int = 0
    rows: int = 0
    logs: int = 0

    @property
    def total_us(self) -> float:
        """Processor time of both sides."""
        return self.client_us + self.server_us


class Run:
    """One plan over a stream, part by part."""

    def __init__(self, url: str, plan: FeaturePlan, client: redis.Redis, show_every_s: float = 1.0) -> None:
        self.plan, self.cost, self.client = plan, Cost(), client
        self.store = RedisFeatures(url, log_version(plan), show_every_s=show_every_s)
        self.featurizer = SharedFeaturizer(plan, self.store, ENTITIES)
        self.seconds = [0.0, 0.0, 0.0]
        self.measured = self.batches = 0

    def go(self, events: EventBatch, size: int, measured: bool) -> None:
        """Decide the features of these events, in batches."""
        server, start, own, trips = (
            _server_s(self.client),
            time.perf_counter(),
            time.process_time(),
            self.store.round_trips,
        )
        for part in batches(events, size):
            self.featurizer.features(part)
        spent = time.process_time() - own, _server_s(self.client) - server, time.perf_counter() - start
        if measured:
            self.seconds = [before + more for before, more in zip(self.seconds, spent, strict=True)]
            self.measured += len(events)
            self.batches += -(-len(events) // size)
            self.cost.client_us, self.cost.server_us, self.cost.wall_us = (
                s / self.measured * 1e6 for s in self.seconds
            )
            self.cost.round_trips += self.store.round_trips - trips


def _server_s(client: redis.Redis) -> float:
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def batches(events: EventBatch, size: int) -> Iterator[EventBatch]:
    """Consecutive slices."""
    return (events.slice(at, min(at + size, len(events))) for at in range(0, len(events), size))


def in_turns(url: str, client: redis.Redis, events: EventBatch) -> tuple[Cost, Cost]:
    """The costs with 30 days and with one hour, a piece of the stream each in turn."""
    runs = [Run(url, planned("30d", 30 * DAY_NS), client), Run(url, planned("1h", HOUR_NS), client)]
    piece = max(BATCH, len(events) // 40 // BATCH * BATCH)
    for number, at in enumerate(range(0, len(events), piece)):
        part = events.slice(at, min(at + piece, len(events)))
        for run in runs if number % 2 else reversed(runs):
            run.go(part, BATCH, at >= len(events) * LAST)
    for run in runs:
        run.cost.round_trips /= run.batches
        held(run, client)
        run.store.close()
    return runs[0].cost, runs[1].cost


def held(run: Run, client: redis.Redis) -> None:
    """How much memory the logs of a run take, and how many rows they have."""
    layout = run.featurizer.windows.layouts[0]
    assert layout is not None
    keys = list(client.scan_iter(f"log:{log_version(run.plan)}:*", count=5_000))
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.strlen(key)
        pipe.memory_usage(key)
    found = pipe.execute()
    run.cost.logs, run.cost.bytes_total = len(keys), sum(found[1::2])
    run.cost.rows = sum((length - 16) // (8 * layout.words) for length in found[0::2])


def one_by_one(url: str, client: redis.Redis, events: EventBatch) -> list[float]:
    """Microseconds of each of the last events alone, the others being there."""
    run = Run(url, planned("30d", 30 * DAY_NS), client)
    run.featurizer.forget()
    run.go(events.slice(0, len(events) - SINGLE), BATCH, False)
    took = []
    for part in batches(events.slice(len(events) - SINGLE, len(events)), 1):
        start = time.perf_counter()
        run.featurizer.features(part)
        took.append((time.perf_counter() - start) * 1e6)
    run.store.close()
    return took


def naive_us(client: redis.Redis, events: EventBatch) -> float:
    """Wall time an event of the usual way: a sorted set per entity, read back for each event, counted in Python."""
    times, keys, amounts = events.time_ns.tolist(), events.keys.tolist(), events.numbers[:, 0].tolist()

    def decide(row: int) -> None:
        pipe = client.pipeline(transaction=False)
        second = times[row] / 1e9
        for name, key in zip(ENTITIES, keys[row], strict=True):
            place = f"naive:{name}:{key}"
            pipe.zadd(place, {f"{row}:{amounts[row]}": second})
            pipe.zremrangebyscore(place, "-inf", second - 30 * 86_400)
            pipe.zrange(place, 0, -1)
        found = pipe.execute()
        for members in (found[2], found[5]):
            values = np.array([float(member.partition(b":")[2]) for member in members])
            _ = len(values), values.sum(), values.mean(), values.max(), values.std()

    count = len(events)
    pipe = client.pipeline(transaction=False)
    for row in range(count - NAIVE):
        for name, key in zip(ENTITIES, keys[row], strict=True):
            pipe.zadd(f"naive:{name}:{key}", {f"{row}:{amounts[row]}": times[row] / 1e9})
        if row % 2_000 == 1_999:
            pipe.execute()
    pipe.execute()
    start = time.perf_counter()
    for row in range(count - NAIVE, count):
        decide(row)
    return (time.perf_counter() - start) / NAIVE * 1e6


def measure(rows: int) -> list[Figure]:
    """All figures."""
    events = events_of(rows)
    with redis_server() as server, redis.Redis(port=server.port) as client:
        expected = WindowFeaturizer(planned("30d", 30 * DAY_NS)).features(events.slice(0, BATCH)).values
        first = Run(server.url, planned("30d", 30 * DAY_NS), client)
        assert np.array_equal(first.featurizer.features(events.slice(0, BATCH)).values, expected, equal_nan=True)
        first.store.close()
        client.flushall()
        long, short = in_turns(server.url, client, events)
        client.flushall()
        few = events.slice(0, min(len(events), 100_000))
        single = one_by_one(server.url, client, few)
        naive = naive_us(client, few)
    ratio, how = long.total_us / short.total_us, "processor time of client and server"
    return [
        Figure(PART, "30-day windows against 1-hour windows", ratio, "times", "<= 1.3", how),
        Figure(PART, "round trips a batch", long.round_trips, "", "<= 1", f"of {BATCH:,} events"),
        Figure(PART, "30 days, client", long.client_us, "us an event"),
        Figure(PART, "30 days, server", long.server_us, "us an event"),
        Figure(PART, "1 hour, client", short.client_us, "us an event"),
        Figure(PART, "1 hour, server", short.server_us, "us an event"),
        Figure(PART, "30 days, elapsed", long.wall_us, "us an event"),
        Figure(PART, "one event alone, median", float(np.median(single)), "us"),
        Figure(PART, "sorted sets, one event alone", naive, "us", "", "read back and counted in Python, 30 days"),
        Figure(PART, "memory of the logs, 30 days", long.bytes_total / 1e6, "MB", "",
               f"{long.rows:,} rows in {long.logs:,} logs, {long.bytes_total / max(long.rows, 1):.0f} bytes a row"),
        Figure(PART, "memory of the logs, 1 hour", short.bytes_total / 1e6, "MB", "",
               f"{short.rows:,} rows in {short.logs:,} logs"),
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=700_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rows)
    notes: list[str] = []
    print(json.dumps(packed(figures, notes), indent=1) if options.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()
