"""The cost of reading logs again after a worker forgot them: `Anew` in `benchmarks.scale_model`.

    python -m benchmarks.scale_reread

The payments app's windows, 1,000 customers with 300 events each at 5,000 terminals. Batches of 1,000 events, one of
each customer, after forgetting and without. Processor time of both sides, and what Redis sent.
"""

from __future__ import annotations

import time

import numpy as np
import psutil
import redis

from homeostat.adapters.redis.features import RedisFeatures
from homeostat.checks.servers import redis_server
from homeostat.decide.windows.shared import SharedFeaturizer, log_version
from homeostat.engine.assembly import prepare
from homeostat.records.arrays import Int
from homeostat.records.events import EventBatch

DAY_NS, BEGAN_NS = 86_400 * 10**9, 1_780_000_000 * 10**9
CUSTOMERS, TERMINALS, EVENTS, BATCH, ROUNDS = 1_000, 5_000, 300_000, 1_000, 12


def events_of(first: int, time_ns: Int, customers: Int, terminals: Int, chance: np.random.Generator) -> EventBatch:
    """Payments with ids from `first` on."""
    n = len(time_ns)
    keys = np.column_stack([customers, terminals]).astype(np.int64)
    return EventBatch(
        np.arange(first, first + n),
        time_ns,
        keys,
        chance.random((n, 1)) * 50,
        np.full(n, np.nan),
        np.zeros(n, np.uint8),
    )


class Trial:
    """A featurizer on a server, and the events that it gets.

    server : its process
    """

    def __init__(self, featurizer: SharedFeaturizer, server: psutil.Process, client: redis.Redis) -> None:
        self.featurizer, self.server, self.client = featurizer, server, client
        self.chance, self.next = np.random.default_rng(1), EVENTS

    def fill(self) -> None:
        """Write two months of events."""
        time_ns = np.sort(self.chance.integers(0, 60 * DAY_NS, EVENTS)) + BEGAN_NS
        customers = self.chance.permutation(np.arange(EVENTS) % CUSTOMERS)
        terminals = self.chance.permutation(np.arange(EVENTS) % TERMINALS)
        for at in range(0, EVENTS, BATCH):
            some = slice(at, at + BATCH)
            self.featurizer.write(events_of(at, time_ns[some], customers[some], terminals[some], self.chance))

    def batch(self) -> tuple[float, float, float, float]:
        """One batch: milliseconds that passed, of the worker's processor and of Redis's, and kB that Redis sent."""
        n = np.arange(BATCH)
        time_ns = BEGAN_NS + 60 * DAY_NS + (self.next - EVENTS) * 10**6 + n * 1_000
        events = events_of(self.next, time_ns, self.chance.permutation(CUSTOMERS), n * 5, self.chance)
        self.next += BATCH
        before = self._now()
        self.featurizer.features(events)
        wall, own, server, sent = (after - since for after, since in zip(self._now(), before, strict=True))
        return wall * 1e3, own * 1e3, server * 1e3, sent / 1e3

    def _now(self) -> tuple[float, float, float, float]:
        sent = self.client.info("stats")["total_net_output_bytes"]
        return time.perf_counter(), time.process_time(), sum(self.server.cpu_times()[:2]), float(sent)


def main() -> None:
    """Print what a batch costs, and what each kB that is read again does."""
    prepared = prepare("payments")
    with redis_server() as started, redis.Redis.from_url(started.url) as client:
        store = RedisFeatures(started.url, log_version(prepared.features))
        featurizer = SharedFeaturizer(prepared.features, store, tuple(prepared.app.events.entities))
        trial = Trial(featurizer, psutil.Process(client.info("server")["process_id"]), client)
        trial.fill()
        trial.batch()  # The kernels are compiled, or loaded.
        anew, remembered = [], []
        for _ in range(ROUNDS):
            featurizer.forget()
            anew.append(trial.batch())
            remembered += [trial.batch(), trial.batch()]
        first, then = np.mean(anew, axis=0), np.mean(remembered, axis=0)
        for how, (wall, own, server, sent) in (("anew", first), ("remembered", then)):
            print(f"{how}: {wall:.1f} ms, worker {own:.1f} ms, Redis {server:.1f} ms, {sent:,.0f} kB from Redis")
        more = first - then
        print(f"each kB read again: worker {1e3 * more[1] / more[3]:.2f} us, Redis {1e3 * more[2] / more[3]:.2f} us")
        store.close()


if __name__ == "__main__":
    main()
