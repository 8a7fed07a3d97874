"""Excess that adds up along calls: of a duration, the time above the usual; of failures, their number above the usual.

A node's excess is its requests times (value - usual value). A caller waits for those it calls and fails with them, so
its excess holds theirs; its own excess is the rest.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.maintain.investigate.kinds import FAILING, Kind, alike, average_first
from homeostat.records.arrays import Float, Mask

Metrics = Mapping[Hashable, Float]
_ROBUST = 1.4826  # The standard deviation of normal values over their median absolute deviation.
_QUIET = 0.25  # Rows up to this share of the target's highest excess are quiet.
_RANGE = 0.15  # Of the highest row: if all rows lie nearer to each other, none of them is quiet.
_MOVED = 5.0  # Standard deviations between a window's lowest and highest row, from which on its lowest rows are quiet.


@dataclass(frozen=True, slots=True)
class Course:
    """The excess of a node by row, in the normal period and in the window; NaN where it is not known."""

    normal: Float
    window: Float


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric of a node in both periods; a higher value is worse.

    normal, window : its values by row
    requests, requests_in : how many requests each row stands for, in the normal period and in the window
    failing : True if it measures failures, and not time
    """

    normal: Float
    window: Float
    requests: Float
    requests_in: Float
    failing: bool

    @property
    def usual(self) -> float:
        """The usual value of a request: the median, of shares that fail the average over requests."""
        known = np.isfinite(self.normal)
        if self.failing and self.requests[known].sum() > 0:
            return float(np.average(self.normal[known], weights=self.requests[known]))
        return float(np.median(self.normal[known]))

    def usual_in(self, quiet: Mask) -> float:
        """The usual value in the window: that of its quiet rows, if it lies far from that of the normal period.

        A node's level may move for good in the months between both, and this explains nothing.
        """
        usual = self.usual
        known = quiet & np.isfinite(self.window) & (self.requests_in > 0)
        if not known.any():
            return usual
        moved = float(np.average(self.window[known], weights=self.requests_in[known])) - usual
        noise = 4 * spread(self.normal) ** 2 / known.sum()
        return usual + (moved * (moved**2 / (moved**2 + noise)) if moved**2 > 0 else 0.0)

    def course(self, quiet: Mask) -> Course:
        """Its excess: requests times the value above the usual; a row without a request has none.

        quiet : rows of the window in which the target is as usual
        """
        return Course(
            np.where(self.requests > 0, self.requests * (self.normal - self.usual), 0.0),
            np.where(self.requests_in > 0, self.requests_in * (self.window - self.usual_in(quiet)), 0.0),
        )

    def a_request(self) -> Course:
        """The value of one request above the usual."""
        return Course(self.normal - self.usual, self.window - self.usual)


def reading(normal: Metrics, window: Metrics, kinds: Mapping[Hashable, Kind], wanted: Hashable) -> Reading | None:
    """A node's metric of the kind of the wanted one, None if it has none with values in the normal period.

    normal, window : the node's metrics
    wanted : the target's metric; a node without it is measured by another one of its kind, averages first
    """
    kind = kinds[wanted]
    others = average_first(name for name in window if name != wanted and alike(kind, kinds[name]))
    usable = (n for n in (wanted, *others) if n in normal and n in window and np.isfinite(normal[n]).any())
    if (name := next(usable, None)) is None:
        return None
    counts = (n for n in average_first(window) if kinds[n] is Kind.COUNT and n in normal and n != name)
    count = next(counts, None)
    before, during = _requests(normal[name], window[name], *((normal[count], window[count]) if count else (None, None)))
    sign = -1.0 if kinds[name] is Kind.SUCCESS else 1.0
    first, then = sign * normal[name], sign * window[name]
    if kinds[name] is Kind.FAILURES:
        first, then = (values / np.maximum(by, 1.0) for values, by in ((first, before), (then, during)))
    return Reading(first, then, before, during, kinds[name] in FAILING)


def _requests(normal: Float, window: Float, before: Float | None, during: Float | None) -> tuple[Float, Float]:
    """Requests by row; a gap is filled with the median of its period. One a row if nothing is counted."""
    if before is None or during is None or not np.any(before > 0):
        return np.ones_like(normal), np.ones_like(window)
    usual = float(np.nanmedian(before))
    later = float(np.nanmedian(during)) if np.isfinite(during).any() else usual
    filled = ((before, usual), (during, later))
    first, then = (np.maximum(np.where(np.isfinite(count), count, median), 0.0) for count, median in filled)
    return first, then


def spread(values: Float) -> float:
    """A robust standard deviation: of the middle, or of all values where most of them are equal."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0
    level = float(np.median(known))
    near = _ROBUST * float(np.median(np.abs(known - level)))
    return near if near > 1e-9 * abs(level) else float(np.sqrt(np.mean((known - level) ** 2)))


def quiet_rows(target: Course) -> Mask:
    """The rows of the window in which the target is as usual, or nearest to it if its level has moved for good.

    target : what lies above the usual for one request
    """
    values = np.nan_to_num(target.window, nan=np.inf)
    known = target.window[np.isfinite(target.window)]
    highest, lowest = float(known.max(initial=0.0)), float(known.min(initial=np.inf))
    calm = max(float(np.nanquantile(target.normal, 0.9)), 0.0)
    as_usual = values <= min(calm, _QUIET * highest)
    if as_usual.any() or highest - lowest < max(_MOVED * spread(target.normal), _RANGE * highest):
        return np.asarray(as_usual)
    return np.asarray(values <= lowest + _QUIET * (highest - lowest))


def own(of: Course, callees: Sequence[Course]) -> Course:
    """The excess of a node that its callees do not explain; one that does better than usual explains nothing."""
    normal, window = of.normal.copy(), of.window.copy()
    for one in callees:
        normal -= np.maximum(np.nan_to_num(one.normal), 0.0)
        window -= np.maximum(np.nan_to_num(one.window), 0.0)
    return Course(normal, window)
