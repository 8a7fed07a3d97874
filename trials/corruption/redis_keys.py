"""Every kind of key that is ours in Redis, replaced with garbage of every type while workers decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import redis

from homeostat.adapters.redis.features import RedisFeatures
from homeostat.checks.servers import redis_server
from homeostat.decide.windows.features import FeaturePlan, FeatureSpec, WindowGroup, plan_features
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.shared.rejoining import rejoin
from homeostat.expressions import Type
from homeostat.ports import Entry, Unavailable
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import Coding
from trials.corruption.noise import Chance
from trials.corruption.roads import sentence

HOUR = 3_600 * 10**9
START = 1_600_000_000 * 10**9


def plan() -> FeaturePlan:
    """Windows of two entities."""
    compute = {"n_{length}": "count", "s_{length}": "sum(amount)", "m_{length}": "max(amount)"}
    lengths = (("1h", HOUR), ("1d", 24 * HOUR))
    groups = tuple(
        WindowGroup(entity, lengths, {f"{entity}_{name}": what for name, what in compute.items()})
        for entity in ("customer", "terminal")
    )
    made, faults = plan_features(FeatureSpec(("customer", "terminal"), (("amount", Type.NUMBER),), groups))
    assert made is not None, faults
    return made


class Journal:
    """As much of a shared journal as rejoining asks for."""

    def __init__(self) -> None:
        self.bodies: list[DecisionBatch] = []
        self.coding = Coding.of_seed(0)

    @property
    def last(self) -> int:
        return len(self.bodies)

    def settle(self, seconds: float) -> bool:
        return True

    def read(self, after: int = 0) -> Iterator[Entry]:
        for at in range(after, len(self.bodies)):
            yield Entry(at + 1, self.bodies[at])


def batch(chance: Chance, first: int, at: int, n: int = 6) -> EventBatch:
    keys = np.column_stack([chance.integers(1, 4, n), chance.integers(1, 3, n)])
    time_ns = START + (at * 40 + np.arange(n)) * 60 * 10**9
    return EventBatch(
        np.arange(first, first + n), time_ns, keys, chance.integers(1, 50, (n, 1)) / 4, np.full(n, np.nan),
        np.zeros(n, np.uint8),
    )  # fmt: skip


def decided(events: EventBatch, features: Features) -> DecisionBatch:
    n = len(events)
    zeros, none = np.zeros(n), np.zeros(n, np.uint8)
    return DecisionBatch(
        events, features, Scores((), np.zeros((n, 0)), np.zeros((n, 0)), none), Fused(zeros, np.zeros((n, 0))),
        Proposal(np.zeros(n, np.int16), np.ones((n, 1)), none, none),
        Ruling(np.zeros(n, np.int16), np.full(n, -1, np.int16), np.zeros(n, np.uint64)), none, "v", 1.0,
    )  # fmt: skip


class RedisKeys:
    """Two workers on one store; what they decide without a flag must be right, and the store must come back."""

    def __init__(self, folder: Path) -> None:
        self.server = redis_server()
        self.server.__enter__()
        self.client = redis.Redis(port=self.server.port)
        self.plan = plan()

    def close(self) -> None:
        self.client.close()
        self.server.__exit__(None, None, None)

    def case(self, number: int, chance: Chance) -> str:
        self.client.flushall()
        stores = [RedisFeatures(self.server.url, "v", show_every_s=0.0) for _ in range(2)]
        try:
            return self.decide(
                [SharedFeaturizer(self.plan, store, ("customer", "terminal")) for store in stores], chance
            )
        finally:
            for store in stores:
                store.close()

    def decide(self, workers: list[SharedFeaturizer], chance: Chance) -> str:
        journal, truth, flagged = Journal(), WindowFeaturizer(self.plan), 0
        for worker in workers:
            rejoin(worker, worker.store, journal)  # type: ignore[arg-type]
        for at in range(12):
            worker = workers[int(chance.integers(2))]
            if worker.behind:
                self.rejoin(worker, journal)
            events = batch(chance, 1 + 6 * at, at)
            expected = truth.features(events)
            found = worker.features(events)
            if found.fallback:
                flagged += 1
                assert worker.trouble
            else:
                same = np.array_equal(found.values, expected.values, equal_nan=True)
                assert same, f"batch {at} is wrong and not flagged"
            journal.bodies.append(decided(events, found))
            worker.journalled(journal.last)
            if at in (3, 7):
                self.corrupt(chance, first=at == 3)
        self.settle(workers, journal, truth, chance)
        return "flagged and mended" if flagged else "never noticed"

    def settle(
        self, workers: list[SharedFeaturizer], journal: Journal, truth: WindowFeaturizer, chance: Chance
    ) -> None:
        """Left alone, the store is whole again after a few attempts, and both workers decide with it."""
        for at in range(12, 24):
            clean = True
            for worker in workers:
                if worker.behind:
                    self.rejoin(worker, journal)
            for k, worker in enumerate(workers):
                events = batch(chance, 1 + 12 * at + 6 * k, 2 * at + k)
                expected, found = truth.features(events), worker.features(events)
                journal.bodies.append(decided(events, found))
                worker.journalled(journal.last)
                clean &= not found.fallback
                same = np.array_equal(found.values, expected.values, equal_nan=True)
                assert same or found.fallback, "wrong and not flagged, after all was over"
            if clean:
                return
        raise AssertionError(f"the store does not come back: {[worker.trouble for worker in workers]}")

    def rejoin(self, worker: SharedFeaturizer, journal: Journal) -> None:
        try:
            rejoin(worker, worker.store, journal, 0)  # type: ignore[arg-type]
        except Unavailable as error:
            sentence(error)
            worker.trouble = str(error)

    def corrupt(self, chance: Chance, first: bool) -> None:
        keys = sorted(self.client.keys("*"))
        if first:  # Later the store may be at the beginning of being made again.
            assert any(key.startswith(b"log:") for key in keys) and any(b"through" in key for key in keys)
        elif not keys:
            return
        for key in chance.choice(
            np.array(keys, object), min(len(keys), int(chance.integers(1, 3))), replace=False
        ).tolist():
            ttl = self.client.ttl(key)
            self.put(key, chance)
            if ttl > 0 and chance.random() < 0.5:
                self.client.expire(key, ttl)
        if chance.random() < 0.3:
            self.put(b"homeostat:{v}:rebuilding", chance)

    def put(self, key: bytes, chance: Chance) -> None:
        self.client.delete(key)
        noise = chance.bytes(int(chance.integers(0, 200)))
        words: list[Any] = [
            noise,
            b"",
            b"x",
            b"7",
            b"-1:5",
            b"1:999999999",
            b"9" * 40,
            b"1:2:3",
            bytes(16),
            b"\xff" * 16,
        ]
        match int(chance.integers(8)):
            case 0:
                self.client.rpush(key, noise, b"a")
            case 1:
                self.client.sadd(key, noise, b"a")
            case 2:
                self.client.zadd(key, {noise: 1.0})
            case 3:
                self.client.hset(key, mapping={b"log": noise, b"a": b"b"})
            case 4:
                self.client.xadd(key, {b"a": noise})
            case 5 if not key.startswith(b"log:"):
                pass  # Gone; a log that is gone can't be told from one that expired.
            case _:
                self.client.set(key, words[int(chance.integers(len(words)))])


__all__ = ["RedisKeys"]
