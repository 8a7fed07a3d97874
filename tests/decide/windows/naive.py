"""The naive twin: every window recomputed from the list of all that has arrived."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from homeostat.decide.windows.plan import (
    ABSENT_KEY,
    LABEL,
    NO_VALUE,
    Aggregate,
    Kind,
    LabelFilter,
    RowKind,
    Window,
    WindowPlan,
)

FRESH, STALE, ABSENT = 0, 1, 2


@dataclass
class Row:
    """One row of a batch."""

    time: int
    keys: tuple[int, ...]
    values: tuple[float, ...]
    masks: tuple[bool, ...]
    label: float
    tag: int
    kind: int = int(RowKind.EVENT)


@dataclass
class Logged:
    time: int
    values: tuple[float, ...]
    masks: tuple[bool, ...]
    label: float
    tag: int


@dataclass
class Twin:
    """Takes rows one by one; the events of each entity stay in a list for ever, sorted by time, then arrival."""

    plan: WindowPlan
    newest: int = -(2**62)
    logs: dict[tuple[int, int], list[Logged]] = field(default_factory=dict)

    def advance(self, row: Row) -> tuple[list[float], list[int]]:
        late = row.kind == RowKind.EVENT and row.time < self.newest - self.plan.lateness_ns
        inserted = row.kind == RowKind.EVENT and not late
        if inserted:
            self.newest = max(self.newest, row.time)
        features, freshness = [math.nan] * self.plan.features, [FRESH] * self.plan.features
        me = Logged(row.time, row.values, row.masks, row.label, row.tag)
        for entity, key in enumerate(row.keys):
            windows = [w for w in self.plan.windows if w.entity == entity]
            horizon = self.newest - max((w.delay_ns + w.length_ns for w in windows), default=0) - self.plan.lateness_ns
            log = self.logs.setdefault((entity, key), [])
            if row.kind == RowKind.OUTCOME:
                known = [one for one in log if one.time == row.time and one.tag == row.tag]
                if known and row.time > horizon and key != ABSENT_KEY:
                    known[0].label = row.label
                continue
            for window in windows:
                held, stale = self.held(window, log, me, horizon)
                for a in window.aggregates:
                    features[a.slot], freshness[a.slot] = (
                        self.value(window, a, held, me),
                        STALE if stale else FRESH,
                    )
                    if key == ABSENT_KEY:
                        counted = a.kind in (Kind.COUNT, Kind.SUM, Kind.RATE, Kind.DISTINCT)
                        features[a.slot], freshness[a.slot] = 0.0 if counted else math.nan, ABSENT
            if inserted and key != ABSENT_KEY:
                log.append(me)
                log.sort(key=lambda one: one.time)
        return features, freshness

    def held(self, w: Window, log: list[Logged], me: Logged, horizon: int) -> tuple[list[Logged], bool]:
        stop = me.time - w.delay_ns
        start = max(stop - w.length_ns, horizon)
        held = [one for one in log if start < one.time <= stop]
        if w.delay_ns == 0 and not w.past:
            held.append(me)
        return [one for one in held if w.mask < 0 or one.masks[w.mask]], stop - w.length_ns < horizon

    def admitted(self, w: Window, a: Aggregate, one: Logged) -> float | None:
        if w.label == LabelFilter.POSITIVE and one.label != 1:
            return None
        if w.label == LabelFilter.NEGATIVE and one.label != 0:
            return None
        if w.label == LabelFilter.KNOWN and math.isnan(one.label):
            return None
        if a.value == NO_VALUE:
            return 0.0
        x = one.label if a.value == LABEL else one.values[a.value]
        if a.value == LABEL and math.isnan(x) and self.plan.unknown_is_negative:
            return 0.0
        return x if math.isfinite(x) else None

    def value(self, w: Window, a: Aggregate, held: list[Logged], me: Logged) -> float:
        events = [(one, x) for one in held if (x := self.admitted(w, a, one)) is not None]
        xs = [x for _, x in events]
        times = [one.time for one, _ in events if one is not me]
        match a.kind:
            case Kind.COUNT:
                return float(len(xs))
            case Kind.RATE:
                return len(xs) / (w.length_ns / 1e9)
            case Kind.SUM:
                return rounded(total(xs))
            case Kind.MEAN:
                return rounded(total(xs) / len(xs)) if xs else math.nan
            case Kind.STD:
                return rounded_root(variance(xs)) if len(xs) > 1 else math.nan
            case Kind.MIN:
                return min(xs, default=math.nan)
            case Kind.MAX:
                return max(xs, default=math.nan)
            case Kind.DISTINCT:
                return float(len(set(xs)))
            case Kind.LAST:
                return xs[-1] if xs else math.nan
            case Kind.SINCE_LAST:
                return (me.time - times[-1]) / 1e9 if times else math.nan
            case Kind.SINCE_FIRST:
                return (me.time - times[0]) / 1e9 if times else math.nan
            case Kind.COUNT_SINCE:
                positive = [k for k, one in enumerate(held) if one.label == 1]
                if not positive:
                    return math.nan
                return float(sum(self.admitted(w, a, one) is not None for one in held[positive[-1] + 1 :]))


def total(xs: Sequence[float]) -> Fraction:
    return sum(map(Fraction, xs), Fraction(0))


def variance(xs: Sequence[float]) -> Fraction:
    """Of a sample."""
    n, squares = len(xs), sum((Fraction(x) ** 2 for x in xs), Fraction(0))
    return (n * squares - total(xs) ** 2) / (n * (n - 1))


def rounded(x: Fraction) -> float:
    """The nearest float; NaN where there is none."""
    try:
        return float(x)
    except OverflowError:
        return math.nan


def rounded_root(x: Fraction) -> float:
    """The float nearest to the root of x: of 200 bits or more and an odd last bit for those left out."""
    if x == 0:
        return 0.0
    shift = max(0, 200 + (x.denominator.bit_length() - x.numerator.bit_length()) // 2)
    scaled = x.numerator * 4**shift
    root = math.isqrt(scaled // x.denominator)
    if root * root * x.denominator != scaled:
        root |= 1
    return rounded(Fraction(root, 2**shift))


def _halves(key: int) -> tuple[int, int]:
    return (key, 0) if key == ABSENT_KEY else (key >> 1, key & 1)


def as_batch(plan: WindowPlan, rows: list[Row]) -> dict[str, np.ndarray]:
    """Rows as the engine's columns."""
    n = len(rows)
    return {
        "time_ns": np.array([r.time for r in rows], dtype=np.int64),
        # Keys share codes by twos: their checks alone tell them apart.
        "keys": np.array([[_halves(k)[0] for k in r.keys] for r in rows], dtype=np.int64).reshape(n, plan.entities),
        "checks": np.array([[_halves(k)[1] for k in r.keys] for r in rows], dtype=np.int64).reshape(n, plan.entities),
        "values": np.array([r.values for r in rows], dtype=np.float64).reshape(n, plan.values),
        "masks": np.array([r.masks for r in rows], dtype=np.bool_).reshape(n, plan.masks),
        "label": np.array([r.label for r in rows], dtype=np.float64),
        "tag": np.array([r.tag for r in rows], dtype=np.int64),
        "kind": np.array([r.kind for r in rows], dtype=np.uint8),
    }
