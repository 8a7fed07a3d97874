"""The loop's counts of its decisions: fixed tables that a compiled kernel adds to, read when somebody asks.

A batch of one costs about three microseconds with its stages, a row of a large batch about a tenth of one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np

from homeostat.ports import Clock
from homeostat.records.arrays import Bytes, Float, Int, Small
from homeostat.records.compiled import compiled
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Fallback, Reason

STAGES = ("intake", "windows", "scorers", "fusion", "policy", "guards", "journal", "learning")
STAGE_BOUNDS_NS = tuple(int(k * 10**e) for e in range(3, 10) for k in (1, 2.5, 5))  # 1 us to 5 s.
TOOK_BOUNDS_US = (
    50.0, 100.0, 200.0, 300.0, 500.0, 750.0, 1e3, 2e3, 3e3, 5e3, 7.5e3, 1e4, 2e4, 3e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 5e6
)  # fmt: skip
ROWS_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0)
# Finer where fraud is rare and where it is sure.
SHARE_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 1.0
)  # fmt: skip
LATELY_NS = 300 * 10**9  # Events ahead of the clock are shown of this span and the one before it.
DECIDED_BY = ("fallback", "breaker", "chance", "policy", "rule")

_FEATURES = (Fallback.FEATURES_STALE, Fallback.FEATURES_ABSENT)
_BITS = 256
_BY = 4 + 64  # The fallback, the breaker, chance, the policy, and each of at most 64 rules.
_SHARES = len(SHARE_BOUNDS) + 1  # The last cell counts what is missing.
_TOOK = _BITS
_ROWS = _TOOK + len(TOOK_BOUNDS_US) + 1
_RULED = _ROWS + len(ROWS_BOUNDS) + 1
_FRESHNESS = 4


@dataclass(slots=True)
class Distribution:
    """A histogram.

    counts : by bound, each up to and including it; what `StageTimes` and latencies have above the last comes last
    total : sum of the values
    missing : values that were none; not among the counts
    """

    counts: Int
    total: float
    missing: int = 0


@dataclass(frozen=True, slots=True)
class MeterReading:
    """The counts so far; a copy.

    fallbacks : decisions by `Fallback` cause
    decisions : (actions, 68) by action, and by who decided: the fallback, the breaker, chance, the policy, each rule
    took : microseconds, a value for each decision: that of its batch
    scores, freshness : by scorer; by feature, the decisions by `Freshness` code
    """

    fallbacks: dict[Reason, int]
    decisions: Int
    took: Distribution
    rows: Distribution
    risk: Distribution
    scores: dict[str, Distribution]
    freshness: dict[str, Int]
    bad: dict[str, int]

    def by(self, action: int) -> dict[str, int]:
        """The number of decisions on an action, by the part that decided."""
        row = self.decisions[action]
        counts = [*row[:4].tolist(), int(row[4:].sum())]
        return dict(zip(DECIDED_BY, counts, strict=True))

    def rules(self) -> list[int]:
        """How often each rule decided."""
        return [int(count) for count in self.decisions[:, 4:].sum(axis=0)]


@dataclass(slots=True)
class _Tables:
    """The kernel's tables for batches of these scorers and features.

    counts : in order: fallback bytes, latencies, batch sizes, actions by who decided, risk, scores, freshness
    sums : microseconds, rows, risk, each scorer's scores
    """

    scorers: tuple[str, ...]
    features: tuple[str, ...]
    counts: Int
    sums: Float


def _no_time() -> int:
    """The time where there is no clock."""
    return 0


@dataclass(slots=True)
class StageTimes:
    """How long one stage took, batch by batch: by bound of `STAGE_BOUNDS_NS`, the last cell beyond; and in all.

    As a context manager it times one batch; a stage works on one batch at a time.
    """

    now_ns: Callable[[], int] = _no_time
    counts: list[int] = field(default_factory=lambda: [0] * (len(STAGE_BOUNDS_NS) + 1))
    total_ns: int = 0
    _begun_ns: int = 0

    def __enter__(self) -> None:
        self._begun_ns = self.now_ns()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.add(self.now_ns() - self._begun_ns)

    def add(self, took_ns: int) -> None:
        """Count one."""
        self.counts[bisect_left(STAGE_BOUNDS_NS, took_ns)] += 1
        self.total_ns += took_ns


class Meters:
    """Counts of one loop. Fed by the loop's thread; `reading`, `spent_aside` and `failed` may be called by any.

    actions : how many the app has
    clock : tells what was counted lately; without one all was
    aside : times of stages that other threads see to; where the loop has one of that name, these stand for it
    failures : by stage, part and reason, what the stages don't count themselves
    """

    def __init__(self, actions: int, clock: Clock | None = None) -> None:
        self._now_ns = _no_time if clock is None else clock.monotonic_ns
        self.stages = {name: StageTimes(self._now_ns) for name in STAGES}
        self._actions, self._clock = actions, clock
        self._ahead: dict[int, int] = {}
        self._tables = self._empty((), ())
        self._earlier: list[_Tables] = []
        self._bad: dict[str, int] = {}
        self.aside: dict[str, StageTimes] = {}
        self.failures: dict[tuple[str, str, Reason], int] = {}
        self._lock = threading.Lock()

    def timed(self, stage: str) -> StageTimes:
        """A context manager that times a stage's work on a batch."""
        return self.stages[stage]

    def spent_aside(self, stage: str, took_ns: int) -> None:
        """A stage took so long for a batch, in whatever thread."""
        with self._lock:
            times = self.aside.get(stage) or StageTimes()
            times.add(took_ns)
            self.aside[stage] = times

    def failed(self, stage: str, part: str, reason: Reason) -> None:
        """A part failed, in whatever thread."""
        with self._lock:
            self.failures[stage, part, reason] = self.failures.get((stage, part, reason), 0) + 1

    def decided(self, decisions: DecisionBatch) -> None:
        """Count a batch of new decisions."""
        tables, scores, features = self._tables, decisions.scores, decisions.features
        if scores.names is not tables.scorers or features.names is not tables.features:
            tables = self._fit(scores.names, features.names)
        for bit in _FEATURES if features.fallback else ():
            if features.fallback & bit:
                self.failed("windows", "features", Fallback.NAMES[bit])
        proposal, ruling = decisions.proposal, decisions.ruling
        _count(
            tables.counts, tables.sums, scores.values, features.freshness, decisions.fused.risk, ruling.action,
            ruling.rule, proposal.explored, decisions.fallback, decisions.took_us, self._actions,
        )  # fmt: skip

    def buried(self, letters: Iterable[DeadLetter]) -> None:
        """Count events and outcomes that could not be read."""
        for letter in letters:
            self._bad[letter.reason] = self._bad.get(letter.reason, 0) + 1
            self.came(letter.ahead_ns)

    def came(self, ahead_ns: int) -> None:
        """An event's time was so far ahead of the clock as it came, whether it was decided or refused."""
        if ahead_ns <= 0:
            return
        with self._lock:
            span = self._span()
            self._ahead = {k: ns for k, ns in self._ahead.items() if k >= span - 1}
            self._ahead[span] = max(ahead_ns, self._ahead.get(span, 0))

    @property
    def ahead_ns(self) -> int:
        """How far ahead of the clock an event was at most, of those that came within the last minutes."""
        with self._lock:
            span = self._span()
            return max((ns for k, ns in self._ahead.items() if k >= span - 1), default=0)

    def _span(self) -> int:
        return 0 if self._clock is None else self._clock.monotonic_ns() // LATELY_NS

    def reading(self) -> MeterReading:
        """Everything counted so far, under whatever models."""
        eras = [*self._earlier, self._tables]
        counts = [era.counts.copy() for era in eras]
        head = np.sum([c[: self._head] for c in counts], axis=0)
        sums = np.sum([era.sums[:3] for era in eras], axis=0)
        risk = head[self._head - _SHARES :]
        scores: dict[str, Distribution] = {}
        freshness: dict[str, Int] = {}
        for era, counted in zip(eras, counts, strict=True):
            at = self._head
            for column, name in enumerate(era.scorers):
                known = scores.setdefault(name, Distribution(np.zeros(_SHARES - 1, np.int64), 0.0))
                known.counts = known.counts + counted[at : at + _SHARES - 1]
                known.missing += int(counted[at + _SHARES - 1])
                known.total += float(era.sums[3 + column])
                at += _SHARES
            table = counted[at:].reshape(-1, _FRESHNESS)
            for name, row in zip(era.features, table, strict=True):
                freshness[name] = freshness.get(name, 0) + row
        bits = np.arange(_BITS)
        return MeterReading(
            {reason: int(head[:_BITS][bits & bit != 0].sum()) for bit, reason in Fallback.NAMES.items()},
            head[_RULED : self._head - _SHARES].reshape(self._actions, _BY),
            Distribution(head[_TOOK:_ROWS], float(sums[0])),
            Distribution(head[_ROWS:_RULED], float(sums[1])),
            Distribution(risk[:-1], float(sums[2]), int(risk[-1])),
            scores, freshness, dict(self._bad),
        )  # fmt: skip

    @property
    def _head(self) -> int:
        """Cells that every table begins with."""
        return _RULED + self._actions * _BY + _SHARES

    def _fit(self, scorers: tuple[str, ...], features: tuple[str, ...]) -> _Tables:
        """Tables for these scorers and features: what was counted of others stays."""
        was = self._tables
        if (was.scorers, was.features) == (scorers, features):
            was.scorers, was.features = scorers, features
            return was
        tables = self._empty(scorers, features)
        self._earlier = [*self._earlier, was]
        self._tables = tables
        return tables

    def _empty(self, scorers: tuple[str, ...], features: tuple[str, ...]) -> _Tables:
        size = self._head + len(scorers) * _SHARES + len(features) * _FRESHNESS
        return _Tables(scorers, features, np.zeros(size, np.int64), np.zeros(3 + len(scorers)))


@compiled
def _count(
    counts: Int,
    sums: Float,
    scores: Float,
    freshness: Bytes,
    risk: Float,
    action: Small,
    rule: Small,
    explored: Bytes,
    fallback: Bytes,
    took_us: float,
    actions: int,
) -> None:
    """Add a batch to the tables; see `_Tables` for what lies where."""
    n, scorers = scores.shape
    columns = freshness.shape[1]
    at_risk = _RULED + actions * _BY
    at_freshness = at_risk + (1 + scorers) * _SHARES
    counts[_TOOK + _cell(took_us, TOOK_BOUNDS_US)] += n
    counts[_ROWS + _cell(float(n), ROWS_BOUNDS)] += 1
    sums[0] += took_us * n
    sums[1] += n
    for column in range(columns):  # All are fresh, as nearly all are; the rows take out those that are not.
        counts[at_freshness + column * _FRESHNESS] += n
    for row in range(n):
        counts[fallback[row] & (_BITS - 1)] += 1
        by = np.int64(rule[row]) + 3  # The guards' codes begin at -3: the fallback, the breaker, no rule.
        if by > 2 or (by == 2 and explored[row] & 1 == 0):
            by += 1
        counts[_RULED + action[row] * _BY + by] += 1
        sums[2] += _share(counts, at_risk, risk[row])
        for scorer in range(scorers):
            sums[3 + scorer] += _share(counts, at_risk + (1 + scorer) * _SHARES, scores[row, scorer])
        for column in range(columns):
            code = freshness[row, column]
            if code != 0:
                counts[at_freshness + column * _FRESHNESS] -= 1
                counts[at_freshness + column * _FRESHNESS + code] += 1


@compiled
def _cell(value: float, bounds: tuple[float, ...]) -> int:
    """The first bound that is not below the value."""
    cell = 0
    while cell < len(bounds) and value > bounds[cell]:
        cell += 1
    return cell


@compiled
def _share(counts: Int, start: int, value: float) -> float:
    """Count a number in [0, 1] and return it; 0 where there is none."""
    if value != value:
        counts[start + _SHARES - 1] += 1
        return 0.0
    counts[start + min(_cell(value, SHARE_BOUNDS), _SHARES - 2)] += 1
    return value
