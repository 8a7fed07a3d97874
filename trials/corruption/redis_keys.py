"""Every kind of key that is ours in Redis, replaced with garbage of every type while workers decide."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis

from homeostat.adapters.redis.features import RedisFeatures
from homeostat.adapters.redis.wire import Wire
from homeostat.checks.servers import redis_server
from homeostat.decide.windows.features import FeaturePlan, FeatureSpec, WindowGroup, plan_features
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.shared.rejoining import rejoin
from homeostat.expressions import Type
from homeostat.ports import Entry, Unavailable
from homeostat.records.arrays import State
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import Coding
from trials.corruption.noise import Chance
from trials.corruption.road import sentence

HOUR = 3_600 * 10**9
START = 1_600_000_000 * 10**9
STORES = 16  # Whole ones, of which a case damages a copy.
BEFORE = 2  # Batches that are decided before a case.


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

    def wait_until_written(self, seconds: float) -> bool:
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


@dataclass(frozen=True, slots=True)
class Whole:
    """The contents of the store after two workers have decided some events together.

    stores : the workers', with what they know of the marks
    truth : the state of windows that saw the same events
    keys : each as `DUMP` writes it, with the milliseconds until it expires, 0 for never
    """

    stores: list[RedisFeatures]
    truth: State
    bodies: list[DecisionBatch]
    keys: dict[bytes, tuple[int, bytes]]


class RedisKeys:
    """Two workers on one store; what they decide without a flag must be right, and the store must come back.

    A case begins with a copy of a store and two workers that have decided already: bringing them there takes longer
    than all that is tried in it.
    """

    def __init__(self, folder: Path) -> None:
        self.server = redis_server()
        self.server.__enter__()
        self.client = redis.Redis(port=self.server.port)
        self.plan = plan()
        self.wires = [Wire(self.server.url) for _ in range(2)]
        self.whole = [self.prepared(np.random.default_rng(number)) for number in range(STORES)]

    def close(self) -> None:
        for wire in self.wires:
            wire.close()
        self.client.close()
        self.server.__exit__(None, None, None)

    def prepared(self, chance: Chance) -> Whole:
        """The start of a case: each worker has decided, and the store shows what is in it."""
        self.client.flushall()
        workers = []
        for wire in self.wires:
            store = RedisFeatures(self.server.url, "v", show_every_s=0.0, sign_every_s=0.0)
            store._wire = wire  # One connection for all cases.
            workers.append(SharedFeaturizer(self.plan, store, ("customer", "terminal")))
        journal, truth = Journal(), WindowFeaturizer(self.plan)
        for worker in workers:
            rejoin(worker, worker.store, journal)  # type: ignore[arg-type]
        for at in range(BEFORE):
            assert self.step(workers[at % 2], journal, truth, batch(chance, 1 + 6 * at, at))
        keys = self.client.keys("*")
        held = {key: (max(self.client.pttl(key), 0), self.client.dump(key)) for key in keys}
        assert any(key.startswith(b"log:") for key in keys) and any(b"through" in key for key in keys)
        return Whole([worker.store for worker in workers], truth.state(), journal.bodies, held)  # type: ignore[misc]

    def case(self, number: int, chance: Chance) -> str:
        whole = self.whole[int(chance.integers(len(self.whole)))]
        workers, truth = [self.worker(store, len(whole.bodies)) for store in whole.stores], WindowFeaturizer(self.plan)
        truth.restore(whole.truth)
        journal = Journal()
        journal.bodies = list(whole.bodies)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.flushall()
            for key, (ttl_ms, data) in whole.keys.items():
                pipe.restore(key, ttl_ms, data)
            pipe.execute()
        for at, worker in enumerate(workers, BEFORE):  # Each knows the logs when they are damaged.
            assert self.step(worker, journal, truth, batch(chance, 1 + 6 * at, at))
        self.corrupt(sorted(whole.keys), chance)
        return self.decide(workers, journal, truth, chance)

    def worker(self, store: RedisFeatures, through: int) -> SharedFeaturizer:
        """A worker that goes on with a store, over the same connection."""
        wire = store._wire
        made = SharedFeaturizer(self.plan, deepcopy(store, {id(wire): wire}), ("customer", "terminal"))
        made.through = through
        return made

    def decide(self, workers: list[SharedFeaturizer], journal: Journal, truth: WindowFeaturizer, chance: Chance) -> str:
        flagged, again = 0, chance.random() < 0.3
        for at in range(BEFORE + 2, BEFORE + (6 if again else 4)):
            worker = workers[int(chance.integers(2))]
            if worker.behind:
                self.rejoin(worker, journal)
            flagged += not self.step(worker, journal, truth, batch(chance, 1 + 6 * at, at))
            if again and at == BEFORE + 3:  # The store may be at the beginning of being made again.
                self.corrupt(sorted(self.client.keys("*")), chance)
        self.recover(workers, journal, truth, chance)
        return "flagged and mended" if flagged else "never noticed"

    def step(self, worker: SharedFeaturizer, journal: Journal, truth: WindowFeaturizer, events: EventBatch) -> bool:
        """Decide events; whether the features were right. Wrong ones must be flagged."""
        expected, found = truth.features(events), worker.features(events)
        same = np.array_equal(found.values, expected.values, equal_nan=True)
        assert same or found.fallback, f"events from {events.id_code[0]} on are wrong and not flagged"
        assert worker.trouble or not found.fallback
        journal.bodies.append(decided(events, found))
        worker.journalled(journal.last)
        return not found.fallback

    def recover(
        self, workers: list[SharedFeaturizer], journal: Journal, truth: WindowFeaturizer, chance: Chance
    ) -> None:
        """Left alone, the store is whole again after a few attempts, and both workers decide with it."""
        for at in range(12, 24):
            clean = True
            for worker in workers:
                if worker.behind:
                    self.rejoin(worker, journal)
            for k, worker in enumerate(workers):
                clean &= self.step(worker, journal, truth, batch(chance, 1 + 12 * at + 6 * k, 2 * at + k))
            if clean:
                return
        raise AssertionError(f"the store does not come back: {[worker.trouble for worker in workers]}")

    def rejoin(self, worker: SharedFeaturizer, journal: Journal) -> None:
        try:
            rejoin(worker, worker.store, journal, 0)  # type: ignore[arg-type]
        except Unavailable as error:
            sentence(error)
            worker.trouble = str(error)

    def corrupt(self, keys: list[bytes], chance: Chance) -> None:
        """Put garbage under one or two of the keys, and sometimes into the lock of who makes the store again."""
        chosen = chance.choice(np.array(keys, object), min(len(keys), int(chance.integers(1, 3))), replace=False)
        with self.client.pipeline(transaction=False) as pipe:
            for key in chosen.tolist() if keys else ():
                self.put(pipe, key, chance)
                if chance.random() < 0.5:
                    pipe.expire(key, 100_000)
            if chance.random() < 0.3:
                self.put(pipe, b"homeostat:{v}:rebuilding", chance)
            pipe.execute()

    def put(self, pipe: Any, key: bytes, chance: Chance) -> None:
        pipe.delete(key)
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
                pipe.rpush(key, noise, b"a")
            case 1:
                pipe.sadd(key, noise, b"a")
            case 2:
                pipe.zadd(key, {noise: 1.0})
            case 3:
                pipe.hset(key, mapping={b"log": noise, b"a": b"b"})
            case 4:
                pipe.xadd(key, {b"a": noise})
            case 5 if not key.startswith(b"log:"):
                pass  # Gone; a log that is gone can't be distinguished from one that expired.
            case _:
                pipe.set(key, words[int(chance.integers(len(words)))])


__all__ = ["RedisKeys"]
