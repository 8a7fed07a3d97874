"""The models of the normal course of metrics, trained without outcomes: reconstruction and profile.

Training data may hold anomalies. Medians, robust spreads and held values carry the models; the largest surprises may
have no part in the tails. The surprises that set the level come from rows that the model did not see: it is trained on
every other week, or day, and tried on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.models.training.extras import BadSetting, at_least, read_settings
from homeostat.models.training.profile_fit import fit_profile
from homeostat.models.training_set import NothingToLearn, Progress, TrainingSet
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.parts import Part
from homeostat.stats.normal import profile, reconstruction
from homeostat.stats.normal.surprises import metric_surprises, together
from homeostat.stats.tails import episode_length, fit_tail, surprise

_COMMON: dict[str, Any] = {"alarms": 0.1, "contamination": 0.02, "history": "", "history_min": 1.0}
RECONSTRUCTION_DEFAULTS: dict[str, Any] = {"kept": 0.9, **_COMMON}
PROFILE_DEFAULTS: dict[str, Any] = {"series": "", "hour": "", "weekday": "", "rows_min": 500, **_COMMON}
PLACES = ("series", "hour", "weekday", "history")
"""Settings that name a feature which is no metric."""

_ROWS_MIN = 50
_WEEKLY_DAYS_MIN = 14  # In a shorter time no weekday is seen twice.
_ALARMED_MAX = 0.02  # Of the rows: a budget beyond that is no budget.
_DAY_NS = 86_400 * 10**9
_MAD = 1.4826  # Standard deviation of a normal figure over its median distance from the median.
_FLAT = 1e-3  # The least scale, as a share of the largest usual value.

_Normal = Callable[[Float], Float]
"""The residuals of rows."""


class _Fit(Protocol):
    """Learns from some rows: the arrays, and what makes residuals of them. `whole` is what all rows gave before."""

    def __call__(self, learn: Mask, whole: dict[str, Float] | None = None) -> tuple[dict[str, Float], _Normal]: ...


def train_reconstruction(rows: TrainingSet, features: tuple[str, ...] | None, settings: Mapping[str, Any],
                         progress: Progress) -> Part:  # fmt: skip
    """Each metric rebuilt of the others, by principal components.

    Settings: kept, the share of the variance that the components carry; alarms, false alarms a series and day;
    contamination, the share of the rows that may be anomalies; history, the feature that says how much of the past is
    known, and history_min, with how much of it a row is scored.
    """
    chosen = read_settings("reconstruction", RECONSTRUCTION_DEFAULTS, settings)
    _check("reconstruction", chosen)
    metrics, others, x = _columns("reconstruction", rows, features, chosen)
    at = np.arange(len(metrics))

    def fit(learn: Mask, whole: dict[str, Float] | None = None) -> tuple[dict[str, Float], _Normal]:
        arrays = {**_of_others(x[learn][:, at], chosen["kept"]), **_spread_of(whole)}

        def residuals(values: Float) -> Float:
            out = np.empty((len(values), 2 * len(metrics)))
            reconstruction.residuals(
                values, at, arrays["center"], arrays["scale"], arrays["weights"], arrays["spread"], out
            )
            return out

        return arrays, residuals

    return _trained("reconstruction", rows, x, _Named(metrics, others), chosen, fit, progress)


def train_profile(rows: TrainingSet, features: tuple[str, ...] | None, settings: Mapping[str, Any],
                  progress: Progress) -> Part:  # fmt: skip
    """The expected value and spread of each metric by hour and weekday, for each series of at least rows_min rows.

    Settings: series, hour, weekday: the features that say whose a row is, and when; rows_min; and those that
    `train_reconstruction` has too. Weekdays count where the rows are of at least two weeks.
    """
    chosen = read_settings("profile", PROFILE_DEFAULTS, settings)
    _check("profile", chosen)
    at_least("profile", chosen, rows_min=_ROWS_MIN)
    if chosen["weekday"] and not chosen["hour"]:
        raise BadSetting("profile: weekday is used beside hour; name the feature that holds the hour")
    metrics, others, x = _columns("profile", rows, features, chosen)
    names = metrics + others
    at = np.arange(len(metrics))
    places = np.array([names.index(chosen[key]) if chosen[key] else -1 for key in ("series", "hour", "weekday")])

    by_weekday = weekly(rows.time_ns)

    def fit(learn: Mask, whole: dict[str, Float] | None = None) -> tuple[dict[str, Float], _Normal]:
        known = None if whole is None else whole["codes"]
        least = chosen["rows_min"]
        arrays = fit_profile(x[learn], len(metrics), places, rows.time_ns[learn], least, by_weekday, known)
        arrays |= _spread_of(whole)

        def residuals(values: Float) -> Float:
            out = np.empty((len(values), len(metrics)))
            profile.residuals(values, at, places, arrays["codes"], arrays["location"], arrays["spread"], out)
            return out

        return arrays, residuals

    return _trained("profile", rows, x, _Named(metrics, others), chosen, fit, progress)


NORMAL_TRAINERS = {"reconstruction": train_reconstruction, "profile": train_profile}


@dataclass(frozen=True, slots=True)
class _Named:
    metrics: tuple[str, ...]
    others: tuple[str, ...]


def _check(kind: str, chosen: Mapping[str, Any]) -> None:
    at_least(kind, dict(chosen), alarms=1e-6, contamination=0.0)
    if chosen["contamination"] > 0.2 or chosen.get("kept", 0.5) > 1.0:
        raise BadSetting(f"{kind}: contamination is at most .2, and kept at most 1")


def _columns(
    kind: str, rows: TrainingSet, features: tuple[str, ...] | None, chosen: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...], Float]:
    """The metrics, the other features that are read, and (n, both) their values."""
    others = tuple(dict.fromkeys(chosen[key] for key in PLACES if chosen.get(key)))
    for name in others:
        if name not in rows.names:
            raise BadSetting(f"{kind}: there is no feature {name!r} to name in its settings")
    given = rows.names if features is None else features
    metrics = tuple(name for name in given if name not in others and (features or name not in rows.categories))
    raw = [name for name in metrics if name in rows.categories]
    if raw:
        raise BadSetting(f"{kind} reads numbers, and {', '.join(raw)} are categories: leave them out of its features")
    if not metrics:
        raise BadSetting(f"{kind} needs a feature that is a number")
    if len(rows) < _ROWS_MIN:
        raise NothingToLearn(f"{kind} learns from at least {_ROWS_MIN} rows, and there are {len(rows)}")
    _, x = rows.columns((*metrics, *others))
    return metrics, others, np.ascontiguousarray(x)


def _trained(
    kind: str, rows: TrainingSet, x: Float, named: _Named, chosen: dict[str, Any],
    fit: _Fit, progress: Progress,
) -> Part:  # fmt: skip
    """The model of all rows, with the level that rows which it did not see give."""
    progress(kind, 0.0)
    part = _halves(rows.time_ns)
    arrays, residuals = fit(np.ones(len(rows), bool))
    found = np.empty(0)
    for half in range(2) if part.any() else ():
        progress(kind, 0.3 + 0.3 * half)
        unseen = fit(part != half, arrays)[1](x[part == half])
        found = found if len(found) else np.empty((len(rows), unseen.shape[1]))
        found[part == half] = unseen
    if not len(found):
        found = residuals(x)
    calibration, facts = _calibrated(rows, found, len(named.metrics), chosen)
    progress(kind, 1.0)
    kept = {name: array.astype(np.float32) if array.ndim == 3 else array for name, array in arrays.items()}
    return Part(
        kind, named.metrics + named.others, {**kept, **calibration},
        settings={**chosen, "metrics": list(named.metrics), **facts},
    )  # fmt: skip


def _spread_of(whole: dict[str, Float] | None) -> dict[str, Float]:
    """The unit of residuals is that of the model that serves, also where other rows made the expected values."""
    return {} if whole is None else {"spread": whole["spread"]}


def _halves(time_ns: Int) -> Int:
    """(n,) 0 or 1 for every other week, or day where there are no two weeks; 0 for all where there are no two days."""
    day = (time_ns - int(time_ns.min())) // _DAY_NS
    return (day // 7 if weekly(time_ns) else day) % 2


def weekly(time_ns: Int) -> bool:
    """Whether times are long enough apart to know weekdays."""
    return bool(np.ptp(time_ns) >= (_WEEKLY_DAYS_MIN - 1) * _DAY_NS)


def _calibrated(
    rows: TrainingSet, residuals: Float, metrics: int, chosen: Mapping[str, Any]
) -> tuple[dict[str, Float], dict[str, float]]:
    """The arrays of `stats.normal.surprises.Surprises`, and the figures that the level rests on."""
    usual = rows.y != 1.0  # Known anomalies say nothing of the usual course; without outcomes, every row counts.
    residuals, time_ns, series = residuals[usual], rows.time_ns[usual], rows.groups[usual]
    outlying = chosen["contamination"]
    columns = [column[~np.isnan(column)] if not np.isnan(column).all() else np.zeros(1) for column in residuals.T]
    up = np.stack([fit_tail(column, outlying) for column in columns])
    down = np.stack([fit_tail(-column, outlying) for column in columns])
    surprises, combined = np.empty((len(residuals), metrics)), np.empty(len(residuals))
    metric_surprises(residuals, up, down, surprises)
    together(surprises, combined)
    total = fit_tail(combined, outlying)
    length, daily = episode_length(combined, series, time_ns), rows_a_day(time_ns, series)
    share = min(chosen["alarms"] * length / daily, _ALARMED_MAX)
    # No more of the training rows may be above the level than are anomalies at most.
    most = float(np.quantile(combined, max(1.0 - outlying - share, 0.0)))
    level = max(-np.log(share), float(surprise(most, total)))
    facts = {"rows_a_day": daily, "episode_rows": length}
    return {"up": up, "down": down, "total": total[None, :], "level": np.array([level])}, facts


def rows_a_day(time_ns: Int, series: Int) -> float:
    """How many rows a series has in a day, on average.

    >>> rows_a_day(np.arange(49) * 3600 * 10**9, np.zeros(49, np.int64))
    24.0
    """
    codes, place, counts = np.unique(series, return_inverse=True, return_counts=True)
    first, last = np.full(len(codes), np.iinfo(np.int64).max), np.full(len(codes), np.iinfo(np.int64).min)
    np.minimum.at(first, place, time_ns)
    np.maximum.at(last, place, time_ns)
    days = float((last - first).sum()) / _DAY_NS
    return max(float((counts - 1).sum()) / days, 1.0) if days > 0.0 else float(max(counts.max(), 1))


def _of_others(x: Float, kept: float) -> dict[str, Float]:
    """The arrays of `stats.normal.reconstruction.Others`, in their order."""
    there = ~np.isnan(x)
    with np.errstate(all="ignore"):
        center = np.array([np.median(column[known]) if known.any() else 0.0 for column, known in zip(x.T, there.T)])
    scale = np.array([robust_spread(column[known] - mid) for column, known, mid in zip(x.T, there.T, center)])
    z = np.clip((x - center) / scale, -reconstruction.HELD, reconstruction.HELD)
    z = np.where(np.isnan(z), 0.0, z)
    weights = reconstruction.weights_of(z, kept)
    left = z - z @ weights.T
    spread = np.array([robust_spread(column[known]) for column, known in zip(left.T, there.T)])
    return {"center": center, "scale": scale, "weights": weights, "spread": spread}


def robust_spread(residuals: NDArray[np.float64]) -> float:
    """A standard deviation from the median distance from 0, and at least a tenth of that within which 95 in 100 are.

    >>> round(robust_spread(np.array([-1.0, 0.0, 1.0, 2.0])), 3)
    1.483
    """
    size = np.abs(residuals)
    if len(size) == 0:
        return 1.0
    found = _MAD * float(np.median(size))
    wide = float(np.quantile(size, 0.95))
    return max(found, 0.1 * wide, 1e-9) if max(found, wide) > 0.0 else max(_FLAT * float(size.max()), 1e-9)
