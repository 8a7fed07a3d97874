"""The alarm scale: the figures of all monitors become signals, within one budget of false alarms.

Each series is compared with its own past, `stats.seasonal`: hour, weekday, growth, noise, autocorrelation. A mixture of
bets adds up the evidence that it has left its past, `stats.e_detector`. A series with the share w of all weights alarms
when its evidence reaches (ticks of the budget's span) / (alarms allowed in it) / w.

The guarantee: as long as nothing changes, the mean time to the first alarm of any series is at least the budget's span
per alarm, however many series there are and however they depend on each other. It assumes that residuals behave as
they did in the last four weeks: the season repeats, tails are no heavier and slow waves no larger than those seen.

Nothing is judged before the learning period is over, `LEARNING_NS` and twice that for seasonal series. A series
without values has "not enough data". A fact needs no past: it alarms at once. The learned past stands still while a
series is raised, and otherwise forgets measurements after four weeks. A change that lasts for `ADOPTED_NS` becomes the
new past.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.scale_steps import (
    ADOPTED_NS,
    BACK,
    DAY_NS,
    KNOWN_LEAST,
    Rings,
    Rules,
    Standing,
    Ticks,
    advance,
    levels,
)  # fmt: skip
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.signals import Kind, Measured, Series, Signal
from homeostat.stats import e_detector, seasonal
from homeostat.stats.change_point import change_point
from homeostat.stats.e_detector import Bettors
from homeostat.stats.seasonal import Ordinary

HOUR_NS = 3_600_000_000_000
LEARNING_NS = 7 * DAY_NS
_MEMORY_NS = 28 * DAY_NS
_RING = (28, 2688)  # Ticks that are remembered, at least and at most.
_LEARNS = ((0, 1), (16, 3), (60, 7))
"""From so many days on, the past is learned again every so many days: a long past moves slowly."""
_WAITS_DAYS, _LONG_DAYS = 4, 21  # A long past is learned without its last days: a slow change must not hide itself.
_MONDAY_NS = 4 * DAY_NS  # 1970-01-05.
_CERTAIN = 1e12  # The evidence of a fact.
_SCALES = {"share": seasonal.SHARE, "mean": seasonal.MEAN, "count": seasonal.COUNT, "fact": seasonal.FACT}
_SIDES = {"up": e_detector.UP, "down": e_detector.DOWN, "both": e_detector.BOTH}
AFTER_NS, WINDOWS_NS = 8 * DAY_NS, 30 * DAY_NS  # How long outcomes of a campaign come in, and windows hold it.
_OF_PEOPLE = frozenset({
    Kind.VOLUME, Kind.DISTRIBUTION, Kind.ACTIONS, Kind.FLOOD, Kind.BASE_RATE, Kind.LATENCY, Kind.SILENCE, Kind.FROZEN,
    Kind.PROBING, Kind.CONCEPT, Kind.CALIBRATION, Kind.QUALITY, Kind.SEGMENT,
})  # fmt: skip
"""Kinds that move with who comes and how many."""


class Span(NamedTuple):
    """A stretch of event time, [start_ns, end_ns)."""

    start_ns: int
    end_ns: int


def _no_rings(k: int, w: int) -> Rings:
    value, n, spread, z, u = (np.full((k, w), np.nan, np.float32) for _ in range(5))
    inside, hour, end_ns = np.zeros((k, w), np.uint8), np.zeros(w, np.int64), np.zeros(w, np.int64)
    return Rings(value, n, spread, z, u, inside, hour, end_ns)


def _all_quiet(k: int) -> Standing:
    since, low, high, raised, named, first = (np.zeros(k, np.int64) for _ in range(6))
    effect, recent, evidence, p_value = (np.zeros(k) for _ in range(4))
    return Standing(
        np.zeros(k, np.uint8), since, low, high, raised, named, effect, recent, first, evidence, p_value
    )  # fmt: skip


class Scale:
    """See the module. It implements `maintain.contracts.AlarmScale`.

    app : goes into the signals' ids
    series : all that will be judged, in their order
    tick_ns : the span of a tick
    false_alarms, per_ns : the budget
    campaigns : in these, series that move with who comes and how many are not judged, and nothing is learned of them;
        nor for `AFTER_NS` after them, in which their outcomes come in, and distributions for `WINDOWS_NS`
    """

    def __init__(
        self, app: str, series: Sequence[Series], tick_ns: int, *, false_alarms: float = 1.0,
        per_ns: int = 30 * DAY_NS, campaigns: Iterable[Span] = (),
    ) -> None:  # fmt: skip
        self._app, self._series, self._tick_ns = app, tuple(series), tick_ns
        self._campaigns = tuple(campaigns)
        k = len(self._series)
        self._scale = np.array([_SCALES[one.scale] for one in self._series], np.int64)
        self._is_fact = self._scale == seasonal.FACT
        weight = np.array([one.weight for one in self._series])
        weight = np.where(self._is_fact, 0.0, weight)
        self._alone = np.array([one.alone for one in self._series], bool)
        place = [one.node.partition(":")[0] for one in self._series]
        self._of_outcomes = np.array([one in ("outcome", "segment") for one in place], bool)
        whole = np.where(self._alone, weight[self._alone].sum(), weight.sum())
        with np.errstate(divide="ignore"):
            self.bound: Float = per_ns / tick_ns / false_alarms / (weight / np.maximum(whole, 1e-300))
        self._day = max(1, DAY_NS // tick_ns)
        self._rules = Rules(
            self._scale, np.array([_SIDES[one.side] for one in self._series], np.int64), self.bound,
            np.array([LEARNING_NS * (2 if one.seasonal else 1) for one in self._series], np.int64),
            np.array([one.seasonal or one.kind in _OF_PEOPLE for one in self._series], bool),
            np.array([one.kind == Kind.DISTRIBUTION for one in self._series], bool), self._day,
        )  # fmt: skip
        w = min(max(_MEMORY_NS // tick_ns, _RING[0]), _RING[1])
        self._rings = _no_rings(k, w)
        self._ordinary, self._bettors = seasonal.nothing_known(k), e_detector.bettors(k)
        self._standing = _all_quiet(k)
        self._count = np.zeros(1, np.int64)
        self._stepped = e_detector.Stepped(*np.full((5, k), np.nan))  # Of the last tick.

    def judge(self, tick: Tick, series: Sequence[Series], measured: Measured) -> list[Signal]:
        """See `AlarmScale`. `series` are those that it was made for."""
        assert len(series) == len(self._series), "the scale was made for other series"
        return self.take(tick.end_ns, measured)

    def judge_block(self, block: Block, series: Sequence[Series], measured: Measured) -> list[list[Signal]]:
        """See `AlarmScale`."""
        assert len(series) == len(self._series), "the scale was made for other series"
        return self.take_all(block.end_ns, measured)

    def take(self, end_ns: int, measured: Measured) -> list[Signal]:
        """The same, of the tick that ends at `end_ns`."""
        one = Measured(measured.value[None], measured.n[None], measured.spread[None])
        return self.take_all(np.array([end_ns]), one)[0]

    def take_all(self, end_ns: Int, measured: Measured) -> list[list[Signal]]:
        """The same, of k ticks that end at `end_ns` (k,); measured : columns (k, series)."""
        signals: list[list[Signal]] = [[] for _ in end_ns]
        value, n, spread = (np.ascontiguousarray(one) for one in (measured.value, measured.n, measured.spread))
        hour = (end_ns - self._tick_ns - _MONDAY_NS) // HOUR_NS % seasonal.WEEK_HOURS
        ticks = Ticks(value, n, spread, end_ns, hour, *self._explained(end_ns))
        at = 0
        while True:
            at = advance(
                ticks, at, self._rules, self._rings, self._ordinary, self._bettors, self._standing, self._count,
                self._stepped,
            )  # fmt: skip
            if at == len(end_ns):
                return signals
            signals[at] = self._act(int(end_ns[at]), measured.value[at], ticks.muted(self._rules, at))
            at += 1

    def _act(self, end_ns: int, value: Float, muted: Mask) -> list[Signal]:
        """Raise and end signals at a tick that has just been taken in, and learn where it is time for that."""
        found = self._stepped
        signals = self._ended(end_ns, found) + self._raised(end_ns, found, muted) + self._facts(end_ns, value)
        self._count[0] += 1
        days = int(self._count[0]) // self._day
        if self._count[0] % self._day == 0 and days % next(each for least, each in _LEARNS[::-1] if days > least) == 0:
            self._learn(end_ns)
        return sorted(signals, key=lambda one: one.series.key) + self._again(end_ns)

    def declare(self, campaign: Span) -> None:
        """Learn of a campaign."""
        if campaign not in self._campaigns:
            self._campaigns = (*self._campaigns, campaign)

    def verdicts(self) -> list[str]:
        """Of each series: `raised`, `quiet`, `learning` or `not enough data`.

        >>> from homeostat.records.signals import Kind, Series
        >>> Scale("payments", [Series("contract", "field:amount", Kind.MISSING, "null share")], HOUR_NS).verdicts()
        ['not enough data']
        """
        last = int(self._rings.end_ns.max(initial=0))
        recent = self._rings.end_ns > last - 3 * DAY_NS
        seen = np.isfinite(self._rings.value[:, recent]).sum(axis=1)
        first = self._standing.first_ns
        ready = (first > 0) & (last - first >= self._rules.learning_ns) & (self._ordinary.known >= KNOWN_LEAST)
        words = []
        for k in range(len(self._series)):
            if self._standing.raised[k]:
                words.append("raised")
            elif not seen[k] or last == 0:
                words.append("not enough data")
            else:
                words.append("quiet" if ready[k] or self._is_fact[k] else "learning")
        return words

    def state(self) -> State:
        """All that it remembers."""
        found = {f"{name}.{key}": one.copy() for name, part in self._parts() for key, one in part._asdict().items()}
        return {**found, "count": self._count.copy()}

    def restore(self, state: State) -> None:
        """Go on from what was remembered."""
        for name, part in self._parts():
            for key, one in part._asdict().items():
                one[...] = state[f"{name}.{key}"]
        self._count[...] = state["count"]

    def _parts(self) -> tuple[tuple[str, Rings | Ordinary | Bettors | Standing], ...]:
        return (
            ("ring", self._rings), ("ordinary", self._ordinary), ("bettors", self._bettors),
            ("standing", self._standing),
        )  # fmt: skip

    def _explained(self, end_ns: Int) -> tuple[Mask, Mask]:
        """(k,) twice: whether a campaign explains what series of people, and what distributions, show at each tick."""
        last = np.full(len(end_ns), np.iinfo(np.int64).min // 2)
        for one in self._campaigns:
            last = np.where(one.start_ns < end_ns, np.maximum(last, one.end_ns), last)
        return end_ns <= last + AFTER_NS, end_ns <= last + WINDOWS_NS

    def _learn(self, end_ns: int) -> None:
        rings, first = self._rings, self._standing.first_ns
        chosen = (first > 0) & (end_ns - first >= LEARNING_NS - self._tick_ns) & (self._standing.raised == 0)
        flags = np.asarray(chosen & ~self._is_fact, np.uint8)
        w, n = len(rings.hour), int(self._count[0])
        order = np.arange(max(0, n - w), n, dtype=np.int64) % w
        inside = rings.inside.copy()
        if len(order) > _LONG_DAYS * self._day:
            inside[np.ix_(self._of_outcomes, order[-_WAITS_DAYS * self._day :])] = 0
        seasonal.learn(
            self._ordinary, flags, self._scale, rings.value, rings.n, rings.spread, inside, rings.z, rings.u,
            rings.hour, rings.end_ns.astype(np.float64), order,
        )  # fmt: skip
        dear = np.asarray(~self._alone, np.uint8)
        e_detector.set_prices(self._ordinary, self._bettors, flags, dear, rings.u, inside, order)

    def _raised(self, end_ns: int, found: e_detector.Stepped, muted: Mask) -> list[Signal]:
        """Signals of the series whose evidence has just reached its bound."""
        at, signals = self._standing, []
        for k in np.flatnonzero(
            (found.evidence >= self.bound) & (at.raised == 0) & ~muted & ~np.isnan(found.z)
        ).tolist():
            order = self._order()
            start = change_point(self._rings.u[k, order].astype(np.float64), float(self._ordinary.sums[k, 1]))
            begin = self._rings.end_ns[order] - self._tick_ns
            at.since_ns[k], at.low_ns[k], at.high_ns[k] = begin[start.at], begin[start.low], begin[start.high]
            at.evidence[k], at.p_value[k] = found.evidence[k], self._p_value(k, float(found.u[k]))
            signal = self._signal(k, end_ns, still=True)
            least = float(self._ordinary.least[k])
            moved = seasonal.residual(int(self._scale[k]), signal.value, signal.before)
            if not abs(moved) >= least:
                continue  # A certain difference that is too small to matter.
            z = self._rings.z[k, order[start.at :]]
            at.raised[k], at.raised_ns[k], at.named_ns[k] = 1, end_ns, end_ns
            at.effect[k] = at.recent[k] = float(np.nanmean(z.astype(np.float64)))
            self._rings.inside[k, order[start.low :]] = 0
            self._bettors.capital[k] = 0.0
            signals.append(signal)
        return signals

    def _ended(self, end_ns: int, found: e_detector.Stepped) -> list[Signal]:
        """Signals of the series that are back, and of those whose change has lasted so long that it is the new past."""
        at = self._standing
        size = np.maximum(np.abs(at.effect), 1e-9)
        measured = (at.raised == 1) & ~np.isnan(found.z) & ~self._is_fact
        back = measured & (at.recent * np.sign(at.effect) < BACK * np.minimum(size, 3.0))
        lasting = (at.raised == 1) & ~self._is_fact & (end_ns - at.raised_ns >= ADOPTED_NS)
        signals = []
        for k in np.flatnonzero(back | lasting).tolist():
            signals.append(self._signal(k, end_ns, still=False, notes={} if back[k] else {"adopted": True}))
            self._close(k)
            if not back[k]:
                after = self._rings.end_ns > at.since_ns[k]
                self._rings.inside[k] = after
                self._rings.z[k], self._rings.u[k] = np.nan, np.nan
                self._ordinary.known[k], at.first_ns[k] = 0.0, max(end_ns - ADOPTED_NS, 1)
        return signals

    def _close(self, k: int) -> None:
        self._standing.raised[k] = 0
        self._bettors.capital[k] = 0.0
        self._bettors.filtered[k] = 0.0

    def _facts(self, end_ns: int, value: Float) -> list[Signal]:
        at, signals = self._standing, []
        wrong = self._is_fact & np.isfinite(value) & (value != 0.0)
        well = self._is_fact & (value == 0.0)
        for k in np.flatnonzero(wrong & (at.raised == 0)).tolist():
            at.raised[k], at.raised_ns[k], at.named_ns[k] = 1, end_ns, end_ns
            at.since_ns[k] = at.low_ns[k] = at.high_ns[k] = end_ns - self._tick_ns
            at.evidence[k], at.p_value[k] = _CERTAIN, 0.0
            signals.append(self._signal(k, end_ns, still=True))
        for k in np.flatnonzero(well & (at.raised == 1)).tolist():
            signals.append(self._signal(k, end_ns, still=False))
            self._close(k)
        return signals

    def _again(self, end_ns: int) -> list[Signal]:
        """Once a day, the signals that go on."""
        at, signals = self._standing, []
        for k in np.flatnonzero((at.raised == 1) & (end_ns - at.named_ns >= DAY_NS)).tolist():
            at.named_ns[k] = end_ns
            signals.append(self._signal(k, end_ns, still=True))
        return signals

    def _order(self) -> Int:
        """The ring's places, oldest first, with that of this tick."""
        w, n = len(self._rings.hour), int(self._count[0]) + 1
        return np.arange(max(0, n - w), n, dtype=np.int64) % w

    def _p_value(self, k: int, u: float) -> float:
        past = self._rings.u[k, self._rings.inside[k] == 1]
        past = np.abs(past[~np.isnan(past)])
        return float((1 + (past >= abs(u)).sum()) / (1 + len(past)))

    def _signal(self, k: int, end_ns: int, still: bool, notes: dict[str, object] | None = None) -> Signal:
        series, rings, since = self._series[k], self._rings, int(self._standing.since_ns[k])
        place = np.flatnonzero((rings.end_ns > since) & (rings.end_ns <= end_ns) & ~np.isnan(rings.value[k]))
        place = place[np.argsort(rings.end_ns[place], kind="stable")]
        value, n = rings.value[k, place].astype(np.float64), rings.n[k, place].astype(np.float64)
        size = _size(series, value, n, self._before(k, place), rings.z[k, place].astype(np.float64))
        widened = float(np.sqrt(self._ordinary.sums[k, -1]))
        low, high = size.effect - 1.96 * size.error * widened, size.effect + 1.96 * size.error * widened
        identity = hashlib.sha256(f"{self._app}|{series.key}|{since}".encode()).hexdigest()[:16]
        method = "fact" if self._is_fact[k] else "Shiryaev-Roberts e-detector on seasonal residuals"
        at = self._standing
        return Signal(
            identity, series, end_ns, since, int(at.low_ns[k]), int(at.high_ns[k]), float(at.evidence[k]),
            float(at.p_value[k]), size.value, size.before, size.effect, low, high, int(n.sum()), method,
            int(at.low_ns[k]), end_ns, still=still, notes=notes or {},
        )  # fmt: skip

    def _before(self, k: int, place: Int) -> Float:
        """The levels that the past expects at these ring places."""
        if self._is_fact[k]:
            return np.zeros(len(place))
        rings = self._rings
        found: Float = levels(self._ordinary, k, int(self._scale[k]), rings.hour[place], rings.end_ns[place])
        return found


class Size(NamedTuple):
    """Value, level before, their difference and its standard error, in the series' unit."""

    value: float
    before: float
    effect: float
    error: float


def _size(series: Series, value: Float, n: Float, before: Float, z: Float) -> Size:
    """The mean difference since the change; its error from the single residuals and from their spread."""
    if not len(value):
        return Size(float("nan"), float("nan"), float("nan"), float("nan"))
    weight = np.ones(len(value)) if series.scale in ("count", "fact") else np.maximum(n, 1e-9)
    weight = weight / weight.sum()
    gone = value - before
    effect = float(weight @ gone)
    if series.scale == "fact":
        return Size(float(value[-1]), 0.0, float(value[-1]), 0.0)
    one = np.where(np.abs(z) > 1e-9, np.abs(gone) / np.maximum(np.abs(z), 1e-9), 0.0)
    error = float(np.sqrt((weight**2) @ np.nan_to_num(one) ** 2))
    if len(value) >= 4:
        error = max(error, float(np.sqrt((weight**2) @ (gone - effect) ** 2)))
    return Size(float(weight @ value), float(weight @ before), effect, error)
