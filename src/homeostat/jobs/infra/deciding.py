"""Decides the metrics of a simulated data centre, and keeps by step and host what was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build
from homeostat.engine.assembly import Prepared, bundle_of
from homeostat.jobs.simulated import SECOND_NS
from homeostat.models.training_set import Progress
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch
from homeostat.sim.infra.centre import METRICS, service_of
from homeostat.sim.infra.world import Infra

BATCH_ROWS = 65_536
OUT_OF = tuple(name for name in METRICS if name != "restarts")
"""The metrics that have a band."""
_FIRST_KEY = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """The decisions, by step and host. A step without an event has action 0 and NaN.

    action : (steps, hosts) index into the app's actions
    out : (steps, hosts, metrics) spreads out of the band, in the order of OUT_OF
    now, low, high : (steps, hosts, metrics) the mean of three minutes, and the ends of the band
    """

    action: Bytes
    out: Float
    now: Float
    low: Float
    high: Float

    @classmethod
    def nothing(cls, steps: int, hosts: int) -> Seen:
        """Before the first decision."""
        empty = (np.full((steps, hosts, len(OUT_OF)), np.nan) for _ in range(4))
        return cls(np.zeros((steps, hosts), np.uint8), *empty)


def events_of(infra: Infra, rows: slice = slice(None)) -> EventBatch:
    """The events of a data centre as the app takes them; hosts and services have whole numbers as keys."""
    time_s, host, number = infra.time_s[rows], infra.host[rows], np.arange(*rows.indices(len(infra)))
    service = np.array([service_of(one) for one in range(infra.spec.hosts)])[host]
    values = np.concatenate([infra.values[rows], infra.deploying[rows, None].astype(np.float64)], axis=1)
    n = len(time_s)
    return EventBatch(
        number, time_s * SECOND_NS, np.stack([host + _FIRST_KEY, service + _FIRST_KEY], axis=1).astype(np.int64),
        values, np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip


class Watch:
    """One loop over one data centre. A context manager.

    journal : a file, kept in memory when absent
    """

    def __init__(self, infra: Infra, prepared: Prepared, journal: str = ":memory:") -> None:
        self.infra, self.prepared = infra, prepared
        self.step = (infra.time_s - infra.spec.start_s) // infra.spec.step_s
        self.seen = Seen.nothing(infra.spec.steps, infra.spec.hosts)
        self.single_us: list[float] = []
        self._clock = SystemClock()
        self._journal = SqliteJournal(journal, app=prepared.app.app, secret=prepared.coding.secret)
        ports = Ports(self._journal, self._clock, prepared.coding, bounded=False)
        parts = brain(prepared.app, prepared.features, bundle_of(prepared, None))
        self._loop = build(prepared.app, prepared.features, parts, ports)
        self._columns: dict[str, Int] = {
            end: np.array([prepared.features.names.index(f"{name}_{end}") for name in OUT_OF])
            for end in ("out", "now", "low", "high")
        }

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.close()
        self._journal.close()

    def absorb(self, steps: int, progress: Progress) -> None:
        """Let the first steps fill the windows, undecided."""
        end = int(np.searchsorted(self.step, steps))
        for start in range(0, end, BATCH_ROWS):
            self._loop.absorb(events_of(self.infra, slice(start, min(end, start + BATCH_ROWS))))
            progress("filling windows", min(end, start + BATCH_ROWS) / end)

    def decide(self, first: int, steps: int) -> None:
        """Decide the events of so many steps."""
        a, b = np.searchsorted(self.step, [first, first + steps]).tolist()
        for start in range(a, b, BATCH_ROWS):
            self._decide(slice(start, min(b, start + BATCH_ROWS)))

    def decide_singly(self, first: int, steps: int) -> None:
        """The same, each event by itself."""
        a, b = np.searchsorted(self.step, [first, first + steps]).tolist()
        for row in range(a, b):
            self._decide(slice(row, row + 1))

    def _decide(self, rows: slice) -> None:
        batch = self._loop.decide(events_of(self.infra, rows)).fresh
        assert batch is not None and len(batch) == rows.stop - rows.start, "a data centre repeats no event"
        self._keep(rows, batch)

    def _keep(self, rows: slice, batch: DecisionBatch) -> None:
        if len(batch) == 1:
            self.single_us.append(batch.took_us)
        step, host, seen = self.step[rows], self.infra.host[rows], self.seen
        seen.action[step, host] = batch.ruling.action
        for end, kept in (("out", seen.out), ("now", seen.now), ("low", seen.low), ("high", seen.high)):
            kept[step, host] = batch.features.values[:, self._columns[end]]
