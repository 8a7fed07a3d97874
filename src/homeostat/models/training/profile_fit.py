"""The expected course of metrics by hour of the day and of the week, from robust medians.

Each profile is drawn towards its mean by the share of its variance that is chance, so that a metric without a season
gets none; a slot far beyond chance keeps its own effect. Sources: James and Stein (1961), Proceedings of the fourth
Berkeley Symposium 1, 361-379; Breiman (1995), Technometrics 37, 373-384.
"""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.stats.normal.profile import DAY_HOURS, WEEK_HOURS

_MAD = 1.4826
_MEDIAN_NOISE = 1.57  # The variance of a median, in that of a mean.
_DAY_NS = 86_400 * 10**9
_LEAST = 0.05  # The least spread, as a share of the metric's spread over all series.
_SURE = 4.0  # So many times chance, a slot's effect is one even where those of other slots are none.
_DAYS_OF_HOUR = 3.0  # An hour's own spread counts half where so many days of it are known.


def fit_profile(
    x: Float, metrics: int, places: Int, time_ns: Int, rows_min: int, by_weekday: bool = True,
    codes: Float | None = None,
) -> dict[str, Float]:  # fmt: skip
    """The arrays of `stats.normal.profile.Profile`, in their order.

    x : (n, features), the metrics first; places : (3,) columns of series, hour and weekday, -1 where there is none
    time_ns : (n,); rows_min : a series of fewer rows belongs to the others
    by_weekday : whether weekdays differ; if not, the slots of all weekdays are alike
    codes : the known series, where they are given; rows_min counts for nothing then
    """
    codes, series = _series(x, int(places[0]), rows_min, codes)
    hour = _whole(x, int(places[1]), DAY_HOURS)
    weekday = _whole(x, int(places[2]), WEEK_HOURS // DAY_HOURS)
    slots = WEEK_HOURS if places[2] >= 0 else DAY_HOURS if places[1] >= 0 else 1
    shape = (len(codes) + 1, slots, metrics)
    location, spread = np.empty(shape), np.empty(shape)
    day = (time_ns - int(time_ns.min())) // _DAY_NS
    for m in range(metrics):
        known = ~np.isnan(x[:, m])
        values, least = x[known, m], _LEAST * _wide(x[known, m])
        for whose, count in ((series[known], len(codes) + 1), (np.zeros(len(values), np.int64), 1)):
            # The second time all series together, for those that are not known by themselves.
            found, width = _course(values, whose, count, hour[known], weekday[known], day[known], slots, by_weekday)
            rows = slice(0, 1) if count == 1 else slice(0, count)
            location[rows, :, m], spread[rows, :, m] = found, np.maximum(width, max(least, 1e-9))
    return {"codes": codes, "location": location, "spread": spread}


def _series(x: Float, place: int, rows_min: int, codes: Float | None) -> tuple[Float, Int]:
    """The codes of the series of enough rows, and (n,) the row of each in the profile; 0 for all others."""
    if place < 0:
        return np.empty(0), np.zeros(len(x), np.int64)
    if codes is None:
        found, counts = np.unique(x[~np.isnan(x[:, place]), place], return_counts=True)
        codes = found[counts >= rows_min]
    at = np.searchsorted(codes, x[:, place])
    same = np.zeros(len(x), bool)
    inside = at < len(codes)
    same[inside] = codes[at[inside]] == x[inside, place]
    return codes, np.where(same, at + 1, 0)


def _whole(x: Float, place: int, count: int) -> Int:
    if place < 0:
        return np.zeros(len(x), np.int64)
    return np.clip(np.nan_to_num(x[:, place]), 0, count - 1).astype(np.int64)


def _wide(values: Float) -> float:
    """The spread of the values about their median, as a normal figure's."""
    return float(np.diff(np.quantile(values, [0.05, 0.95]))[0]) / 3.29 if len(values) else 0.0


def _course(
    values: Float, series: Int, count: int, hour: Int, weekday: Int, day: Int, slots: int, by_weekday: bool
) -> tuple[Float, Float]:
    """(count, slots) expected values and spreads of each series."""
    level = _medians(values, series, count)
    location = np.repeat(np.where(np.isnan(level), 0.0, level)[:, None], slots, axis=1)
    rest = values - location[series, 0]
    slot = hour + DAY_HOURS * weekday if slots == WEEK_HOURS else hour if slots == DAY_HOURS else np.zeros_like(hour)
    if slots > 1:
        by_hour = _drawn_in(rest, series, count, hour, DAY_HOURS, day)
        location += np.tile(by_hour, slots // DAY_HOURS)
        rest = values - location[series, slot]
    if slots == WEEK_HOURS and by_weekday:
        location += _drawn_in(rest, series, count, slot, WEEK_HOURS, day)
        rest = values - location[series, slot]
    return location, _spreads(rest, series, count, hour if slots > 1 else slot, min(slots, DAY_HOURS), day, slots)


def _drawn_in(rest: Float, series: Int, count: int, slot: Int, slots: int, day: Int) -> Float:
    """(count, slots) medians of the residuals by slot, drawn towards 0 by the share that is chance."""
    cell = series * slots + slot
    effect = _medians(rest, cell, count * slots).reshape(count, slots)
    days = _distinct_days(cell, day, count * slots).reshape(count, slots)
    known = ~np.isnan(effect)
    effect = np.where(known, effect, 0.0)
    within = _medians(np.abs(rest - effect[series, slot]), series, count)
    variance = _MEDIAN_NOISE * np.nan_to_num(_MAD * within) ** 2
    # Each day of a cell is one observation, since rows of one hour lie close together; one day shows no variance.
    chance = np.where(known, variance[:, None] / np.maximum(days - 1.0, 0.5), 0.0)
    size = effect**2
    whole = np.maximum(0.0, 1.0 - chance.sum(axis=1) / np.maximum(size.sum(axis=1), 1e-300))
    alone = np.maximum(0.0, 1.0 - _SURE * chance / np.maximum(size, 1e-300))
    drawn_in: Float = effect * np.maximum(whole[:, None], alone)
    return drawn_in


def _spreads(rest: Float, series: Int, count: int, slot: Int, kinds: int, day: Int, slots: int) -> Float:
    """(count, slots) spreads of the residuals by hour, drawn towards that of the series."""
    whole = _MAD * _medians(np.abs(rest), series, count)
    wide = np.array([_wide(rest[series == s]) if count == 1 else np.nan for s in range(count)])
    whole = np.fmax(np.nan_to_num(whole), 0.0)
    whole = np.maximum(whole, 0.1 * np.nan_to_num(wide))
    cell = series * kinds + slot
    own = _MAD * _medians(np.abs(rest), cell, count * kinds).reshape(count, kinds)
    days = _distinct_days(cell, day, count * kinds).reshape(count, kinds)
    weight = np.where(np.isnan(own), 0.0, days / (days + _DAYS_OF_HOUR))
    mixed = np.sqrt(weight * np.nan_to_num(own) ** 2 + (1.0 - weight) * whole[:, None] ** 2)
    return np.tile(mixed, slots // kinds)


def _medians(values: Float, cell: Int, cells: int) -> Float:
    """(cells,) the median of the values of each cell, NaN for an empty one."""
    order = np.lexsort((values, cell))
    counts = np.bincount(cell, minlength=cells)
    begin = np.concatenate([[0], np.cumsum(counts)[:-1]])
    out = np.full(cells, np.nan)
    there = counts > 0
    low, high = begin[there] + (counts[there] - 1) // 2, begin[there] + counts[there] // 2
    ordered = values[order]
    out[there] = 0.5 * (ordered[low] + ordered[high])
    return out


def _distinct_days(cell: Int, day: Int, cells: int) -> Float:
    """(cells,) on how many days each cell has a value."""
    both = np.unique(cell * (int(day.max()) + 1 if len(day) else 1) + day)
    return np.bincount(both // (int(day.max()) + 1 if len(day) else 1), minlength=cells).astype(np.float64)
