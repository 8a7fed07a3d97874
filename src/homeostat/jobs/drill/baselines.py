"""Two detectors that others use, on the same runs: DDM on matured labels, and Kolmogorov and Smirnov by feature.

Both know the same four quiet weeks. A feature that differs day after day alarms once, on the first of these days.

Sources: Gama, Medas, Castillo, Rodrigues (2004), Learning with Drift Detection, SBIA, 286-295. Smirnov (1948), Annals
of Mathematical Statistics 19, 279-281, for the limit of the statistic's distribution.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from homeostat.jobs.drill.deciding import Hour
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.compiled import compiled
from homeostat.sim.faults.traffic import DAY_NS

_LEAST, _DRIFT = 30, 3.0  # Outcomes before which DDM says nothing, and deviations at which it alarms: as published.
_ALPHA = 0.05
_REFERENCE_ROWS = 5_000


@compiled
def _ddm(error: Float, memory: Float) -> Int:
    """Rows at which DDM alarms. memory: (5,) count, mean, least mean, its deviation, least sum; reset at an alarm."""
    found = np.empty(len(error), np.int64)
    alarms = 0
    for row in range(len(error)):
        memory[0] += 1.0
        n = memory[0]
        memory[1] += (error[row] - memory[1]) / n
        p = memory[1]
        s = np.sqrt(p * (1.0 - p) / n)
        if n < _LEAST:
            continue
        if p + s <= memory[4]:
            memory[2], memory[3], memory[4] = p, s, p + s
        if p + s > memory[2] + _DRIFT * memory[3] and memory[3] > 0:
            found[alarms] = row
            alarms += 1
            memory[0], memory[1], memory[2], memory[3], memory[4] = 0.0, 0.0, np.inf, np.inf, np.inf
    return found[:alarms]


@dataclass(slots=True)
class Ddm:
    """DDM on the errors of decisions whose outcome is known: one that was not let through by itself counts as positive.

    alarms : when each was raised
    """

    alarms: list[int] = field(default_factory=list)
    _memory: Float = field(default_factory=lambda: np.array([0.0, 0.0, np.inf, np.inf, np.inf]))
    _taken: dict[int, bool] = field(default_factory=dict)

    def take(self, hour: Hour) -> None:
        """Take an hour in."""
        if hour.outcomes is not None:
            ids, label = hour.outcomes.id_code.tolist(), hour.outcomes.label
            harsh = np.array([self._taken.pop(one, False) for one in ids])
            error = (harsh != (label > 0)).astype(np.float64)
            self.alarms += [int(hour.outcomes.known_ns[row]) for row in _ddm(error, self._memory)]
        for decisions in hour.decisions:
            harsh_ids = decisions.events.id_code[decisions.ruling.action > 0]
            self._taken.update(dict.fromkeys(harsh_ids.tolist(), True))


@dataclass(slots=True)
class KolmogorovSmirnov:
    """Each day's values of each feature against the quiet past, at 5 % over all features and days together.

    start_ns : until then the past is gathered
    days : that are compared
    alarms : the ends of the days on which a feature began to differ
    """

    start_ns: int
    days: int
    alarms: list[int] = field(default_factory=list)
    _past: list[Float] = field(default_factory=list)
    _reference: list[Float] | None = None
    _today: list[Float] = field(default_factory=list)
    _differed: Mask | None = None

    def take(self, hour: Hour) -> None:
        """Take an hour in."""
        rows = [decisions.features.values for decisions in hour.decisions]
        if hour.end_ns <= self.start_ns:
            self._past += [one.copy() for one in rows]
            return
        self._today += rows
        if (hour.end_ns - self.start_ns) % DAY_NS == 0:
            self._compare(hour.end_ns)

    def _compare(self, now_ns: int) -> None:
        if self._reference is None:
            past = np.concatenate(self._past)
            step = max(1, len(past) // _REFERENCE_ROWS)
            self._reference = [_sorted(column) for column in past[::step].T]
            self._past = []
        if not self._today:
            return
        today = np.concatenate(self._today)
        self._today = []
        alpha = _ALPHA / max(1, len(self._reference) * self.days)
        differs = np.array([
            _p_value(reference, _sorted(column)) < alpha for reference, column in zip(self._reference, today.T)
        ])  # fmt: skip
        before = np.zeros(len(differs), np.bool_) if self._differed is None else self._differed
        if (differs & ~before).any():
            self.alarms.append(now_ns)
        self._differed = differs


def _sorted(column: Float) -> Float:
    return np.sort(column[np.isfinite(column)])


def _p_value(a: Float, b: Float) -> float:
    """The two-sided p-value by the limit distribution; 1 where either has too few values."""
    n, m = len(a), len(b)
    if min(n, m) < 8:
        return 1.0
    points = np.concatenate([a, b])
    gap = np.abs(np.searchsorted(a, points, "right") / n - np.searchsorted(b, points, "right") / m).max()
    x = gap * np.sqrt(n * m / (n + m))
    if x < 0.2:
        return 1.0
    k = np.arange(1, 101)
    return float(np.clip(2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * (k * x) ** 2)), 0, 1))


@dataclass(slots=True)
class Baselines:
    """Both, over one run; a copy of them goes on from a fork."""

    ddm: Ddm
    ks: KolmogorovSmirnov

    @classmethod
    def from_start(cls, start_ns: int, days: int) -> Baselines:
        """Both, before the quiet past."""
        return cls(Ddm(), KolmogorovSmirnov(start_ns, days))

    def take(self, hour: Hour) -> None:
        """Take an hour in."""
        self.ddm.take(hour)
        self.ks.take(hour)

    def copy(self) -> Baselines:
        """The same, to go on by itself; what it has gathered is shared until it is replaced."""
        ks = self.ks
        own = KolmogorovSmirnov(
            ks.start_ns, ks.days, list(ks.alarms), list(ks._past), ks._reference, list(ks._today), ks._differed
        )
        return Baselines(deepcopy(self.ddm), own)
