"""Anomalies in one series of metrics: score, alarm, expected band and each metric's part of the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float, Mask
from homeostat.stats.series.alarms import judge, warming
from homeostat.stats.series.frozen import ROWS_MIN, FrozenDetector, freeze
from homeostat.stats.series.kernel import advance
from homeostat.stats.series.shapes import MANY, SLOTS, Series, new_series, parts_of

ALARMS_PER = 10_000.0  # A week of minutes.
_DAY_S = 86_400.0


class SeriesError(HomeostatError, ValueError):
    """Measurements that can't be scored as a series, and what to do about it."""

    why = "a series is scored row by row, each a number for each of the same metrics"
    remedy = "Correct the table, or the option that the text names"


@dataclass(frozen=True, slots=True)
class SeriesScores:
    """The scores of n rows of p metrics.

    score : (n,) in [0, 1); 0 while the series warms up; .5 for a row as strange as the strangest so far
    flag : (n,) whether the row belongs to an alarm
    scored : (n,) False while the series warms up
    low, high : (n, p) the expected band, in the units of the values; NaN while the series warms up
    contributions : (n, p) each metric's part of the score; they sum to it
    """

    score: Float
    flag: Mask
    scored: Mask
    low: Float
    high: Float
    contributions: Float


class SeriesDetector:
    """Scores the rows of one series from the rows before; memory is the same after a million rows as after a thousand.

    alarms_per : ordinary rows for each false alarm, about, > 20
    threshold : the score from which on a row is flagged, in [0, 1]; None for the level that keeps to alarms_per

    >>> detector = SeriesDetector(1)
    >>> values = np.sin(np.arange(600.0))[:, None]
    >>> values[500] = 9.0
    >>> bool(detector.add_all(values).score[500] > 0.8)
    True
    """

    def __init__(self, metrics: int, *, alarms_per: float = ALARMS_PER, threshold: float | None = None) -> None:
        if metrics < 1:
            raise SeriesError("a series has at least one metric: name a column of numbers")
        if not alarms_per > 20:
            raise SeriesError(f"alarms_per is {alarms_per:g}: it must be above 20 rows")
        if threshold is not None and not 0 <= threshold <= 1:
            raise SeriesError(f"the threshold is {threshold:g}: it must be from 0 to 1, as scores are")
        self.metrics = metrics
        self._parts = parts_of(metrics)
        self._frozen: FrozenDetector | None = None
        self._budget = 1.0 / alarms_per
        self._threshold = np.nan if threshold is None else float(threshold)
        self._series = new_series(metrics)

    def add_all(self, values: Float, times_s: Float | None = None) -> SeriesScores:
        """Score rows in their order and learn them.

        values : (n, p), NaN where one is missing
        times_s : (n,) seconds since 1970, NaN where unknown; None for rows without times, which have no time of day
        Raises SeriesError for infinite values or another number of metrics.
        """
        values = np.ascontiguousarray(values, np.float64)
        if values.ndim != 2 or values.shape[1] != self.metrics:
            raise SeriesError(f"the rows have the shape {values.shape}: this series has {self.metrics} metrics")
        if np.isinf(values).any():
            row, metric = np.argwhere(np.isinf(values))[0]
            raise SeriesError(f"row {row}: metric {metric} is infinite; leave the value empty if it is missing")
        n = len(values)
        if self._frozen is not None:
            score, flag, parts = self._frozen.add_all(values)
            return SeriesScores(score, flag, np.ones(n, np.bool_), *self._frozen.band(n), parts)
        raw, score, flag = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
        shares, low, high = np.zeros(values.shape), np.zeros(values.shape), np.zeros(values.shape)
        waits = min(n, warming(self._series))
        advance(self._series, self._parts, half_hours(times_s, n), values, raw, shares, low, high)
        judge(self._series, raw, waits, self._budget, self._threshold, score, flag)
        of_raw = np.divide(score, raw, out=np.zeros(n), where=raw > 0)
        return SeriesScores(score, flag, np.arange(n) >= waits, low, high, shares * of_raw[:, None])

    def freeze(self, values: Float) -> bool:
        """Compare all rows from now on with these alone, where they are enough; returns whether they are.

        values : (n, p) a training part, NaN where one is missing. At least 1,000 rows of more than eight metrics are
        enough: fewer metrics have an own past that says more.
        """
        if self.metrics <= MANY or len(values) < ROWS_MIN:
            return False
        self._frozen = FrozenDetector(freeze(np.asarray(values, np.float64)), self._budget, self._threshold)
        return True

    def state(self) -> dict[str, Float]:
        """All that was learned, to `restore` in another detector of as many metrics. Raises SeriesError once frozen."""
        if self._frozen is not None:
            raise SeriesError("a series that compares with its training part alone has no state: freeze it again")
        return {name: value.copy() for name, value in self._series._asdict().items()}

    def restore(self, state: dict[str, Float]) -> None:
        """Go on where `state` was taken. Raises SeriesError for a state of another number of metrics."""
        own = self._series._asdict()
        wrong = [name for name, value in own.items() if name not in state or state[name].shape != value.shape]
        if wrong:
            raise SeriesError(f"the saved state does not fit ({', '.join(wrong)}): train it again on these metrics")
        self._series = Series(**{name: np.array(state[name], value.dtype) for name, value in own.items()})


def half_hours(times_s: Float | None, rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(n,) the half hour of the day, UTC, of each row; -1 where the time is unknown.

    >>> half_hours(np.array([0.0, 5400.0, np.nan]), 3).tolist()
    [0, 3, -1]
    """
    if times_s is None:
        return np.full(rows, -1, np.int64)
    known = np.isfinite(times_s)
    of_day = np.mod(np.where(known, times_s, 0.0), _DAY_S) // (_DAY_S / SLOTS)
    return np.where(known, of_day, -1).astype(np.int64)
