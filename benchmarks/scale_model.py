"""The cost of a load, computed from measured figures and assumptions: see `benchmarks.scale`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DAY_S = 86_400
GB, TB = 1e9, 1e12
NEVER_S = math.inf


@dataclass(frozen=True, slots=True)
class Assumed:
    """The figures that are not measured but assumed, each with its unit."""

    busy: float = 0.5
    peak_to_mean: float = 2.5
    copies: int = 3
    kafka_days: float = 1.0
    kafka_broker_cores: int = 8
    partition_mb_s: float = 10.0
    redis_node_gb: float = 64.0
    redis_fill: float = 0.6
    wal_mb_s: float = 200.0
    journal_days: float = 90.0
    journal_tb: float = 10.0
    memory_mb: float = 4096.0
    string_mb: float = 512.0

    def said(self) -> list[tuple[str, str]]:
        """Each assumption in words, and its value."""
        return [
            ("a core is kept busy", f"{self.busy:.0%}, so that latency stays low"),
            ("the busiest second, against the mean of all", f"{self.peak_to_mean:g} times"),
            ("copies of what Kafka keeps", f"{self.copies}, each as dear as the first"),
            ("Kafka keeps", f"{self.kafka_days:g} day"),
            ("a broker has", f"{self.kafka_broker_cores} cores"),
            ("a partition carries", f"{self.partition_mb_s:g} MB/s"),
            (
                "a Redis node has",
                f"{self.redis_node_gb:g} GB, filled to {self.redis_fill:.0%}, and one core for commands",
            ),
            (
                "a PostgreSQL server writes at the most",
                f"{self.wal_mb_s:g} MB/s of WAL, and holds {self.journal_tb:g} TB",
            ),
            ("the journal is kept", f"{self.journal_days:g} days"),
            ("a worker remembers of the logs", f"{self.memory_mb:,.0f} MB (`servers.memory_mb`), and then forgets all"),
            ("a Redis string holds at the most", f"{self.string_mb:g} MB (its own default)"),
        ]


@dataclass(frozen=True, slots=True)
class Anew:
    """The cost of reading a log again, beside what a decision costs anyway: see `benchmarks.scale_reread`.

    worker_us_kb, redis_us_kb : processor time for each kB of the log
    batch_ms, remembered_ms : until a batch of 1,000 has its features where all logs are read, and where none is
    """

    worker_us_kb: float = 5.2
    redis_us_kb: float = 4.1
    batch_ms: float = 198.0
    remembered_ms: float = 23.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much is to be decided.

    rate : decisions a second in the busiest second
    """

    name: str
    rate: float


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of entity; see the module."""

    name: str
    row_bytes: float
    retained_days: float
    events_a_day: float

    @property
    def retained(self) -> float:
        """Events of one key that its windows may look at."""
        return self.events_a_day * self.retained_days


@dataclass(frozen=True, slots=True)
class Model:
    """The costs of a load, from measured figures and assumptions."""

    found: Mapping[str, Any]
    assumed: Assumed = Assumed()
    anew: Anew = Anew()

    @property
    def run(self) -> Mapping[str, float]:
        """The run with one worker."""
        return self.found["runs"]["1"]  # type: ignore[no-any-return]

    @property
    def entities(self) -> list[Entity]:
        """The kinds of entities, the one that partitions events first."""
        return [Entity(name, **found_of) for name, found_of in self.found["entities"].items()]

    @property
    def table_bytes(self) -> float:
        """The bytes that PostgreSQL's tables keep of a decision."""
        return float(sum(self.found["bytes"]["postgres_tables"].values()))

    def loads(self) -> list[Load]:
        """The published payments and a worker's full rate, and each a thousand times."""
        published = 9_586 / DAY_S * self.assumed.peak_to_mean
        return [
            Load("published payments", published), Load("a thousand times these", 1000 * published),
            Load("10,000/s", 10_000), Load("a thousand times that", 10_000_000),
        ]  # fmt: skip

    def mean(self, rate: float) -> float:
        """Decisions a second on average."""
        return rate / self.assumed.peak_to_mean

    def cores(self, rate: float, part: str) -> int:
        """Cores of a part of the pipeline."""
        copies = self.assumed.copies if part == "kafka" else 1
        return math.ceil(rate * self.run[f"{part}_cpu_us"] * 1e-6 * copies / self.assumed.busy)

    def workers(self, rate: float) -> int:
        """Worker processes, one core each, with what they read again because they forgot."""

        def enough(count: int) -> bool:
            us = self.run["worker_cpu_us"] + self.anew_bytes(rate, count) / 1e3 * self.anew.worker_us_kb
            return rate * us * 1e-6 / self.assumed.busy <= count

        return _fewest(enough, self.cores(rate, "worker"))

    def partitions(self, rate: float) -> int:
        """Of the topic of events: one a worker at least, two so that they can be shared evenly, 6 anyhow."""
        volume = rate * self.found["bytes"]["event"] / 1e6 / self.assumed.partition_mb_s
        return max(6, 2 * self.workers(rate), math.ceil(volume))

    def kept(self, rate: float, days: float | None = None) -> float:
        """Bytes of all logs in Redis; `days` in place of what the windows look back."""
        row = self.found["bytes"]["redis_kept"] / sum(entity.row_bytes for entity in self.entities)
        spans = ((entity.row_bytes * row, entity.retained_days if days is None else days) for entity in self.entities)
        return sum(self.mean(rate) * DAY_S * span * size for size, span in spans)

    def redis_nodes(self, rate: float, days: float | None = None) -> tuple[int, int]:
        """Shards for the processor's sake, and for the memory's."""
        room = self.assumed.redis_node_gb * GB * self.assumed.redis_fill
        us = self.run["redis_cpu_us"] + self.anew_bytes(rate, self.workers(rate)) / 1e3 * self.anew.redis_us_kb
        return math.ceil(rate * us * 1e-6 / self.assumed.busy), math.ceil(self.kept(rate, days) / room)

    def read_rows(self, key: Entity, workers: int) -> float:
        """Rows a decision that a worker reads because others wrote them, where events are keyed by `key`.

        Events of another entity fall to all workers alike: between two that one worker meets, the others write one each
        on average; never more than the windows hold.
        """
        return sum(self._foreign(entity, workers) for entity in self.entities if entity.name != key.name)

    def _foreign(self, entity: Entity, workers: int) -> float:
        return min(workers - 1, entity.retained)

    def read_bytes(self, key: Entity, workers: int) -> float:
        """The same in bytes."""
        others = (entity for entity in self.entities if entity.name != key.name)
        return sum(self._foreign(entity, workers) * entity.row_bytes for entity in others)

    def _met(self, rate: float, workers: int, seconds: float) -> list[float]:
        """Rows that one of so many workers remembers, by entity, so long after it forgot everything.

        Whenever it meets a key for the first time, it reads all of its log. A key of the first entity is met by one
        worker, one of another by all, each time by another one; what is older than the windows' reach is gone.
        """
        met = []
        for place, entity in enumerate(self.entities):
            keys, often = self.mean(rate) * DAY_S / entity.events_a_day, entity.events_a_day / DAY_S
            keys, often = (keys / workers, often) if place == 0 else (keys, often / workers)
            span = min(seconds, entity.retained_days * DAY_S)
            met.append(keys * -math.expm1(-often * span) * entity.retained)
        return met

    def remembered(self, rate: float, workers: int, seconds: float = NEVER_S) -> float:
        """The same in bytes of its memory; without `seconds`, of a worker that never forgets."""
        return float(sum(self._met(rate, workers, seconds)) * self.found["memory"]["worker_row"])

    def forgets_s(self, rate: float, workers: int) -> float:
        """Seconds after which each of so many workers has filled `memory_mb` and forgets; NEVER_S where it has room."""
        room = self.assumed.memory_mb * 2**20
        if self.remembered(rate, workers) <= room:
            return NEVER_S
        low, high = 0.0, max(entity.retained_days for entity in self.entities) * DAY_S
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self.remembered(rate, workers, middle) < room else (low, middle)
        return high

    def anew_bytes(self, rate: float, workers: int) -> float:
        """Bytes a decision that workers read of logs because they forgot them."""
        seconds = self.forgets_s(rate, workers)
        if seconds == NEVER_S:
            return 0.0
        sizes = (entity.row_bytes for entity in self.entities)
        read = sum(rows * size for rows, size in zip(self._met(rate, workers, seconds), sizes, strict=True))
        return read / (self.mean(rate) / workers * seconds)

    @property
    def whole_logs(self) -> float:
        """The most that this can be: all logs of an event's entities, for every decision."""
        return sum(entity.retained * entity.row_bytes for entity in self.entities)

    def workers_for_memory(self, rate: float) -> int:
        """The fewest workers that have room for what they remember, and so never forget."""
        return _fewest(lambda count: self.forgets_s(rate, count) == NEVER_S)

    def databases(self, rate: float) -> tuple[int, int, int]:
        """PostgreSQL servers for the sake of WAL, of volume, and their cores together."""
        wal = rate * self.found["bytes"]["postgres_wal"] / 1e6 / self.assumed.wal_mb_s
        volume = self.journal(rate) / TB / self.assumed.journal_tb
        return math.ceil(wal), math.ceil(volume), self.cores(rate, "postgres")

    def journal(self, rate: float) -> float:
        """Bytes that the journal has grown to when its oldest days are dropped."""
        return self.mean(rate) * DAY_S * self.assumed.journal_days * self.table_bytes

    def hot_rate(self, entity: Entity) -> float:
        """Events a second of one key, on average, at which its log no longer fits a Redis string."""
        return self.assumed.string_mb * 1e6 / (entity.row_bytes * entity.retained_days * DAY_S)


def _fewest(enough: Callable[[int], bool], least: int = 1) -> int:
    """The smallest count from `least` on that is enough, where every larger one is."""
    low, high = least - 1, least
    while not enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def transactions(model: Model, rate: float) -> float:
    """Kafka transactions a second: batches fill up where there is enough to do, else each waits for 10 ms."""
    return min(rate, max(rate / model.found["batch_rows"], min(100.0 * model.workers(rate), rate)))


def breaking(model: Model) -> list[tuple[str, float]]:
    """The load that one unit of each part carries, decisions/s in the busiest second; the least first."""
    run, found_of, assumed = model.run, model.found["bytes"], model.assumed
    anew_kb = model.whole_logs / 1e3
    node = assumed.redis_node_gb * GB * assumed.redis_fill
    one = [
        ("Redis, memory of one node", node / model.kept(1.0)),
        ("worker, memory: it begins to forget", assumed.memory_mb * 2**20 / model.remembered(1.0, 1)),
        (
            "worker, one core, where every log is read again",
            1e6 * assumed.busy / (run["worker_cpu_us"] + anew_kb * model.anew.worker_us_kb),
        ),
        (
            "Redis, the one core of a node, where every log is read again",
            1e6 * assumed.busy / (run["redis_cpu_us"] + anew_kb * model.anew.redis_us_kb),
        ),
        ("PostgreSQL, volume of one server", assumed.journal_tb * TB / model.journal(1.0)),
        ("PostgreSQL, WAL of one server", assumed.wal_mb_s * 1e6 / found_of["postgres_wal"]),
        ("worker, one core", 1e6 * assumed.busy / run["worker_cpu_us"]),
        ("Redis, the one core of a node", 1e6 * assumed.busy / run["redis_cpu_us"]),
        (
            f"Kafka, {assumed.kafka_broker_cores} cores of a broker, with copies",
            1e6 * assumed.busy * assumed.kafka_broker_cores / (run["kafka_cpu_us"] * assumed.copies),
        ),
        ("Kafka, one partition", assumed.partition_mb_s * 1e6 / found_of["event"]),
    ]
    hot = [
        (f"one {entity.name} (its log is one string)", model.hot_rate(entity) * assumed.peak_to_mean)
        for entity in model.entities
    ]
    return sorted([*one, *hot], key=lambda row: row[1])
