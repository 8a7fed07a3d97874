"""Scorers of metrics: how far a row is from the normal course that was learned, without outcomes.

A scorer remembers nothing: the past is in the windows' features. Its raw output is the log-odds of an anomaly, 0 where
the declared budget of false alarms is kept. Where a row says too little, or its series is too young, it gives no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from homeostat.decide.scorers.columns import confidence_of, resolve
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.features import Features
from homeostat.records.parts import Part, PartError
from homeostat.stats.normal import profile, reconstruction
from homeostat.stats.normal.profile import DAY_HOURS, WEEK_HOURS, Profile
from homeostat.stats.normal.reconstruction import Others
from homeostat.stats.normal.surprises import (
    Surprises,
    bounds,
    log_odds,
    metric_surprises,
    scores_of,
    shares,
    together,
)
from homeostat.stats.tails import WIDTH

KINDS = ("reconstruction", "profile")
SERIES_MAX = 100_000


class Normal(Protocol):
    """A model of the normal course. `halves` is how many residuals it makes of a metric."""

    @property
    def halves(self) -> int: ...

    def residuals(self, values: Float) -> Float:
        """(n, halves * metrics) of features (n, features)."""
        ...

    def band(self, values: Float, low: Float, high: Float) -> tuple[Float, Float]:
        """(n, metrics) twice: the values whose residuals are `low` and `high`, (halves * metrics,) each."""
        ...


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    columns: Int
    part: Others
    halves: int = 2

    def residuals(self, values: Float) -> Float:
        out = np.empty((len(values), 2 * len(self.columns)))
        reconstruction.residuals(values, self.columns, *self.part, out)
        return out

    def band(self, values: Float, low: Float, high: Float) -> tuple[Float, Float]:
        metrics, part = len(self.columns), self.part
        found = self.residuals(values)
        rebuilt = found[:, metrics:] - found[:, :metrics] * part.spread
        middle, unit = part.center + rebuilt * part.scale, part.scale * part.spread
        alone_low, alone_high = part.center + low[metrics:] * part.scale, part.center + high[metrics:] * part.scale
        return (
            np.maximum(middle + low[:metrics] * unit, np.minimum(alone_low, middle)),
            np.minimum(middle + high[:metrics] * unit, np.maximum(alone_high, middle)),
        )


@dataclass(frozen=True, slots=True)
class _Profiled:
    columns: Int
    places: Int
    part: Profile
    halves: int = 1

    def residuals(self, values: Float) -> Float:
        out = np.empty((len(values), len(self.columns)))
        profile.residuals(values, self.columns, self.places, *self.part, out)
        return out

    def band(self, values: Float, low: Float, high: Float) -> tuple[Float, Float]:
        series, hour, weekday = self.places.tolist()
        cells = [profile.cell_of(values, row, series, hour, weekday, self.part.codes) for row in range(len(values))]
        known, slot = (np.array(found, np.int64) for found in zip(*cells, strict=True)) if cells else (_NONE, _NONE)
        location, spread = self.part.location[known, slot], self.part.spread[known, slot]
        return location + low * spread, location + high * spread


_NONE: Int = np.empty(0, np.int64)


class SeriesScorer:
    """Serves a `reconstruction` or a `profile`. A `decide.contracts.AbstainingScorer`."""

    abstains = True

    def __init__(self, name: str, part: Part, available: Sequence[str]) -> None:
        """Raises PartError where the part is not whole, MissingFeature where the app lacks a feature."""
        if part.kind not in KINDS:
            raise PartError(f"{part.kind!r} is no model of metrics")
        metrics = part.settings.get("metrics")
        if not isinstance(metrics, list) or not metrics or not set(metrics) <= set(part.features):
            raise PartError(f"a {part.kind} needs the list of its metrics")
        self.name = name
        self._columns = resolve(name, metrics, available)
        self._history, self._history_min = _history(name, part, available)
        make = _rebuilt if part.kind == "reconstruction" else _profiled
        self._normal: Normal = make(name, part, self._columns, available)
        self._tails = _surprises(part, self._normal.halves * len(metrics))

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and (n,) the share of its metrics that are fresh; NaN and 0 where it has no opinion."""
        raw = self.raw(features)
        scores, confidence = np.empty(len(raw)), confidence_of(features, self._columns)
        scores_of(raw, scores)
        silent = self._silent(features.values)
        if silent.any():
            scores[silent], confidence[silent] = np.nan, 0.0
        return scores, confidence

    def raw(self, features: Features) -> Float:
        """(n,) log-odds."""
        surprises = self._metric_surprises(features)
        combined, out = np.empty(len(surprises)), np.empty(len(surprises))
        together(surprises, combined)
        log_odds(combined, self._tails.total, self._tails.level, out)
        return out

    def contributions(self, features: Features) -> tuple[Float, float]:
        """(n, features) each metric's part of the log-odds, at least 0, and the log-odds of a row without surprise."""
        surprises = self._metric_surprises(features)
        combined, raw = np.empty(len(surprises)), np.empty(len(surprises))
        together(surprises, combined)
        log_odds(combined, self._tails.total, self._tails.level, raw)
        out = np.zeros(features.values.shape)
        shares(surprises, raw, self._tails.level, self._columns, out)
        return out, -float(self._tails.level[0])

    def bands(self, features: Features) -> tuple[Float, Float]:
        """(n, features) twice: between which values each metric is usual by itself; NaN for other features."""
        low, high = (np.full(features.values.shape, np.nan) for _ in range(2))
        low[:, self._columns], high[:, self._columns] = self._normal.band(features.values, *bounds(self._tails))
        return low, high

    def _metric_surprises(self, features: Features) -> Float:
        out = np.empty((len(features), len(self._columns)))
        metric_surprises(self._normal.residuals(features.values), self._tails.up, self._tails.down, out)
        return out

    def _silent(self, values: Float) -> Mask:
        """(n,) where no metric has a value, or too little of the past is known."""
        silent = np.isnan(values[:, self._columns]).all(axis=1)
        if self._history >= 0:
            silent |= ~(values[:, self._history] >= self._history_min)
        return np.asarray(silent)


def _rebuilt(name: str, part: Part, columns: Int, available: Sequence[str]) -> Normal:
    metrics = len(columns)
    center, scale, spread = (_array(part, key, (metrics,)) for key in ("center", "scale", "spread"))
    weights = _array(part, "weights", (metrics, metrics))
    if (scale <= 0).any() or (spread <= 0).any() or np.diag(weights).any():
        raise PartError("a reconstruction's scales must be positive, and no metric may be rebuilt of itself")
    return _Rebuilt(columns, Others(center, scale, weights, spread))


def _profiled(name: str, part: Part, columns: Int, available: Sequence[str]) -> Normal:
    places = [_place(name, part, key, available) for key in ("series", "hour", "weekday")]
    slots = WEEK_HOURS if places[1] >= 0 and places[2] >= 0 else DAY_HOURS if places[1] >= 0 else 1
    codes = _array(part, "codes", (-1,))
    if len(codes) > SERIES_MAX or (np.diff(codes) <= 0).any():
        raise PartError("a profile's series must ascend, each once")
    shape = (len(codes) + 1, slots, len(columns))
    location, spread = _array(part, "location", shape), _array(part, "spread", shape)
    if (spread <= 0).any():
        raise PartError("a profile's spreads must be positive")
    return _Profiled(columns, np.array(places, np.int64), Profile(codes, location, spread))


def _surprises(part: Part, residuals: int) -> Surprises:
    up, down = (_array(part, key, (residuals, WIDTH)) for key in ("up", "down"))
    found = Surprises(up, down, _array(part, "total", (1, WIDTH)), _array(part, "level", (1,)))
    for tails in (found.up, found.down, found.total):
        knots, rest = tails[:, : WIDTH - 3], tails[:, WIDTH - 3 :]
        if (np.diff(knots, axis=1) < 0).any() or (rest[:, :2] <= 0).any() or (rest[:, 2] <= -1).any():
            raise PartError(f"a {part.kind}'s tails must ascend, with positive scales")
    return found


def _history(name: str, part: Part, available: Sequence[str]) -> tuple[int, float]:
    least = part.settings.get("history_min")
    if not isinstance(least, float) or not np.isfinite(least):
        raise PartError(f"a {part.kind} needs a number history_min")
    return _place(name, part, "history", available), least


def _place(name: str, part: Part, key: str, available: Sequence[str]) -> int:
    """The column of the feature that a setting names; -1 where it names none."""
    feature = part.settings.get(key)
    if feature == "":
        return -1
    if not isinstance(feature, str) or feature not in part.features:
        raise PartError(f"a {part.kind}'s {key} must be one of its features")
    return int(resolve(name, [feature], available)[0])


def _array(part: Part, key: str, shape: tuple[int, ...]) -> Float:
    """A finite float64 array of a shape, -1 for any extent. Raises PartError."""
    found: Any = part.arrays.get(key)
    fits = (
        found is not None
        and found.dtype in (np.float64, np.float32)
        and found.ndim == len(shape)
        and all(wanted in (-1, extent) for wanted, extent in zip(shape, found.shape))
    )
    if not fits or not np.isfinite(found).all():
        raise PartError(f"a {part.kind} needs finite numbers {key!r} of shape {shape}")
    return np.ascontiguousarray(found, np.float64)
