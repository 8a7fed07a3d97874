"""The use of a remedy that lies in load or time, measured on recent traffic: events beyond a limit, time of a decision.

No rate of exchange is declared between load and money. So such a measure stands only for a remedy that costs nothing to
do, and only where the same rehearsal does not show that decisions come to cost more under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from homeostat.maintain.plan.rehearsing import Effect, against, effect_of
from homeostat.ports.rehearsal import Again
from homeostat.records.arrays import Float, Int
from homeostat.records.plans import Rehearsed

LOAD = "load"
_Z = 1.959963984540054  # Two-sided 95 % of a normal law.
_HOUR_NS = 3_600_000_000_000
_LEAST = 30  # Decisions below which nothing is claimed.
_LEAST_HOURS = 6  # Hours of traffic below which their differences say nothing of chance.


def effect_of_limit(again: Again, senders: Sequence[int], count: int, span_ns: int, actions: int) -> Effect:
    """The effect of a limit of `count` events in `span_ns` for each first entity.

    senders : the entities that send too much
    Its measure is the number of events an hour that senders have beyond the limit, less those of all others that the
    limit reaches. Known outcomes may speak against it: the risk of entities that flood was never shown to hold.
    """
    known = effect_of(again, actions, labels_only=True)
    if _loses(known):
        return known
    effect = effect_of(again, actions)
    kept = again.kept.astype(bool) & (again.served_action >= 0)
    theirs = np.isin(again.keys[:, 0], np.asarray(list(senders), np.int64))
    beyond = ranks(again.keys[:, 0], again.time_ns // span_ns) >= count
    reached = beyond | (kept & (again.action != again.served_action))
    inside, outside = int((kept & beyond & theirs).sum()), int((kept & reached & ~theirs).sum())
    hours = _hours(again)
    value, error = (inside - outside) / hours, _Z * float(np.sqrt(inside + outside)) / hours
    return replace(effect, rehearsed=_measured(value, error, int(kept.sum())))


def effect_of_lighter(now: Again, other: Again, actions: int) -> Effect | None:
    """The effect of leaving out a part of each decision: the seconds an hour that decisions take less.

    now, other : the same span decided again, as at present and without the part
    None where nobody measured how long decisions take.
    """
    if now.took_us is None or other.took_us is None:
        return None
    effect = effect_of(against(now, other), actions)
    if _loses(effect):
        return effect
    _, ours, theirs = np.intersect1d(now.id_code, other.id_code, return_indices=True)
    usable = np.isfinite(now.took_us[ours]) & np.isfinite(other.took_us[theirs])
    less = (now.took_us[ours] - other.took_us[theirs])[usable] / 1e6
    by_hour = _sums(now.time_ns[ours][usable] // _HOUR_NS, less)
    if len(by_hour) < _LEAST_HOURS:
        return replace(effect, rehearsed=replace(_measured(0.0, 0.0, 0), how="none"))
    error = _Z * float(by_hour.std(ddof=1)) / float(np.sqrt(len(by_hour)))
    return replace(effect, rehearsed=_measured(float(by_hour.mean()), error, len(less)))


def ranks(key: Int, span: Int) -> Int:
    """(n,) how many earlier rows have the same key in the same span.

    >>> ranks(np.array([5, 7, 5, 5]), np.array([0, 0, 0, 1])).tolist()
    [0, 0, 1, 0]
    """
    order = np.lexsort((span, key))
    first = np.r_[True, (np.diff(key[order]) != 0) | (np.diff(span[order]) != 0)][: len(key)]
    begin = np.flatnonzero(first)[np.cumsum(first) - 1] if len(key) else order
    found = np.empty(len(key), np.int64)
    found[order] = np.arange(len(key)) - begin
    return found


def _loses(effect: Effect) -> bool:
    """Whether decisions surely cost more under it."""
    return effect.rehearsed.high < 0


def _measured(value: float, error: float, n: int) -> Rehearsed:
    how = LOAD if n >= _LEAST else "none"
    return Rehearsed(value, value - error, value + error, n, how)


def _hours(again: Again) -> float:
    return max(1.0, float(np.ptp(again.time_ns)) / _HOUR_NS) if len(again) else 1.0


def _sums(group: Int, values: Float) -> Float:
    """The sum of the values of each group."""
    _, place = np.unique(group, return_inverse=True)
    found: Float = np.bincount(place, weights=values).astype(np.float64)
    return found
