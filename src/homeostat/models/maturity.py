"""Which events teach: those of which good and bad outcomes could both be known.

Frauds are reported within days, and only silence until the end says that all was well. At any moment the newest events
with a known outcome are therefore frauds alone, and who learns from them takes everything for a fraud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float, Int

DAY_NS = 86_400 * 10**9
_RATIO = 2.0  # The rate has to double or halve,
_DEVIATIONS = 5.0  # and by more than chance does in any ordinary number of training runs.
_BEYOND = 1.25  # Out of the range of earlier spans, by a quarter.
_NEWEST_MAX = 14


@dataclass(frozen=True, slots=True)
class Maturity:
    """When an event is old enough to teach.

    age_ns : at this age good and bad outcomes are both known
    silence_negative : an event of that age without an outcome is a negative, instead of nothing
    """

    age_ns: int
    silence_negative: bool


@dataclass(frozen=True, slots=True)
class Matured:
    """`n` events at the moment of learning.

    label : (n,) 1 positive, 0 negative, NaN where the event teaches nothing
    young, young_positives : left out because of their age, and of these the known positives
    silent : old enough, but nothing is known of them and silence says nothing
    censored : old enough, but nothing is known of them, and nothing could be because of what was done with them
    """

    label: Float
    young: int
    young_positives: int
    silent: int
    censored: int = 0


def complete_until(time_ns: Int, label: Float, censored: np.ndarray | None = None) -> int:
    """The time of the earliest event whose outcome is missing; all before it are known. See `matured`."""
    missing = np.isnan(label) if censored is None else np.isnan(label) & ~censored
    return int(time_ns[missing].min(initial=np.iinfo(np.int64).max))


def matured(
    time_ns: Int, label: Float, moment_ns: int, maturity: Maturity, censored: np.ndarray | None = None,
    complete_ns: int | None = None,
) -> Matured:  # fmt: skip
    """The events that teach at a moment, and why the others do not.

    time_ns : (n,) of the events; label : (n,) as known at the moment, NaN where nothing is
    censored : (n,) whether an event's outcome could not be seen, as it was blocked; its silence then says nothing
    complete_ns : of `complete_until`, where these are some of several events; None: they are all
    An event teaches when it is of age, or when nothing is missing up to it: the outcome of each event that is as old or
    older is known. Then both kinds are, whatever their age.

    >>> time_ns, label = np.array([1, 2, 3, 4]), np.array([0.0, np.nan, 1.0, np.nan])
    >>> matured(time_ns, label, 5, Maturity(3, True)).label.tolist()
    [0.0, 0.0, nan, nan]
    """
    hidden = np.zeros(len(label), bool) if censored is None else np.isnan(label) & censored
    unknown = np.isnan(label) & ~hidden
    of_age = time_ns <= moment_ns - maturity.age_ns
    complete = time_ns < (complete_until(time_ns, label, censored) if complete_ns is None else complete_ns)
    known = ~np.isnan(label) & (of_age | complete)
    silent = unknown & of_age
    out = np.where(known, label, np.where(silent & maturity.silence_negative, 0.0, np.nan))
    young = ~of_age & ~known & ~hidden
    return Matured(
        out,
        int(np.count_nonzero(young)),
        int(np.count_nonzero(young & (label == 1.0))),
        0 if maturity.silence_negative else int(np.count_nonzero(silent)),
        int(np.count_nonzero(hidden)),
    )


@dataclass(frozen=True, slots=True)
class Jump:
    """The newest events have another share of positives than those before.

    span_ns : how long ago the newest ones begin, counted from the newest of all
    newest, before : shares of positives
    """

    span_ns: int
    newest: float
    before: float


def base_rate_jump(time_ns: Int, label: Float) -> Jump | None:
    """The newest days whose share of positives differs most from that before; None where it is nothing unusual.

    It has to be far from the share before, by more than chance does, and beyond that of every earlier span of the same
    length, since frauds come in waves.

    time_ns, label : (n,) of what is learned from; no NaN
    Days are counted back from the newest event; of a history of less than ten days, tenths of it.
    """
    if len(time_ns) == 0:
        return None
    ago = time_ns.max() - time_ns
    unit = int(min(DAY_NS, ago.max() // 10 + 1))
    day = ago // unit
    rows, positives = (np.bincount(day, weights=w).cumsum() for w in (np.ones(len(label)), label))
    last = min(_NEWEST_MAX, (len(rows) - 1) // 3)
    if last < 1:
        return None
    n, p = rows[:last], positives[:last]
    rest, rest_positives = rows[-1] - n, positives[-1] - p
    pooled = positives[-1] / rows[-1]
    before = rest_positives / rest
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * n * rest / rows[-1], 1e-12))
    deviations = (p - n * pooled) / spread
    newest = p / n
    far = (newest >= _RATIO * before) | (newest * _RATIO <= before)
    far &= np.array([_beyond(rows, positives, k + 1) for k in range(last)])
    odd = np.where(far & (np.abs(deviations) >= _DEVIATIONS), np.abs(deviations), 0.0)
    worst = int(np.argmax(odd))
    if odd[worst] == 0.0:
        return None
    return Jump((worst + 1) * unit, float(newest[worst]), float(before[worst]))


def _beyond(rows: Float, positives: Float, days: int) -> bool:
    """Whether the newest days' share is beyond those of all earlier spans of so many days.

    rows, positives : (days,) of the newest day, the newest two, and so on
    """
    ends = np.arange(days - 1, len(rows), days)
    n, p = np.diff(rows[ends], prepend=0.0), np.diff(positives[ends], prepend=0.0)
    share = p[n > 0] / n[n > 0]
    newest, earlier = share[0], share[1:]
    return bool(newest > _BEYOND * earlier.max() or newest * _BEYOND < earlier.min())
