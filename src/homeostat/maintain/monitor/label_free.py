"""Quality before outcomes are known: AUC, average precision, accuracy, F1 and cost of each day's decisions, estimated.

The law of outcomes is learned of the mature outcomes of the app's own past (`label_law`), first after two weeks of them
and then every eight weeks. Each day's decisions get their probabilities by it, and the figures follow with a band that
holds the realised ones in 95 of 100 cases (`stats.label_free`). The mature outcomes that come later are held against
the same law. Their usual distance makes the bands wider. A distance beyond chance says that the law holds no more: then
the assumption is broken, and the estimates are not to be trusted.

An estimate moves only where inputs, risks or actions move, which have monitors of their own. So its signals are
evidence in incidents, and make none by themselves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering, part
from homeostat.maintain.monitor.label_law import EACH_MIN, LabelLaw
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import SEEN, Ripening, seen_of
from homeostat.maintain.monitor.promises import Promises
from homeostat.maintain.monitor.thinned import Thinned
from homeostat.records.arrays import AnyArray, Float, Int, Small, State
from homeostat.records.decisions import mark_of
from homeostat.records.signals import BROKEN, Kind, Measured, Series
from homeostat.stats.label_free.bands import CHUNKS_MIN, Estimate, Excess, contradiction, estimate
from homeostat.stats.label_free.estimates import FIGURES, Costs, Ranked, expected, ranked, values

PricesOf = Callable[[Float, Int, Int, Small], tuple[Float, Float]]
"""Fields (n, fields), entities (n, entities), event times (n,) and actions (n,) -> the costs of the actions, if the
outcomes are positive and if they are negative, (n,) each."""

DECISIONS, OUTCOMES = 1024, 2048  # Rows of a day, and of a chunk of outcomes, that are looked at.
DECISIONS_MIN = 200  # A day with fewer decisions is counted to the next.
FEATURES_MAX = 32
LEARNING_DAYS, RENEWED_DAYS = 14, 56
FORGOTTEN_DAYS = 28  # So long after a break all that is remembered is of the new law.
POSITIVES_MIN = 10.0  # Of a chunk of outcomes: fewer say too little.
CHUNK_DAYS_MAX = 7
_DAY_NS = 86_400 * 10**9
_LIMIT = 1e30  # Features are remembered as float32.
_NEVER = -1


class LabelFreeMonitor(Remembering):
    """See the module. A decision counts as positive where its action is harsher than the mildest. Series, by kind:

    quality : at `fusion`, the estimate of each figure, once a day
    concept : at `outcome`, how far mature outcomes contradict the law, a fact: 0 unless they do, else in deviations

    matures_ns : the age at which outcomes are mature
    prices : of decisions; None where the app declares no costs
    memory : `day` of the last tick; `first` day with mature outcomes; `learned` day; `chunk`: days of the present chunk
        of outcomes, and of a whole one; `maker` of the law, of the last day, and of the last tick; `last`: day and
        number of the last estimates; `figures`: value, low and high of each
    """

    name = "label_free"

    def __init__(self, names: Names, matures_ns: int, prices: PricesOf | None = None) -> None:
        self._prices, self._width = prices, min(len(names.features), FEATURES_MAX)
        self.figures = (*FIGURES, *(("cost",) if prices is not None else ()))
        self.series: tuple[Series, ...] = (
            *(_series(self.name, one) for one in self.figures),
            Series(self.name, "outcome", Kind.CONCEPT, "outcomes contradict the law", "deviations", "up", "fact",
                   alone=False),
        )  # fmt: skip
        columns: dict[str, AnyArray] = {
            "features": np.zeros((0, self._width), np.float32),
            "risk": np.zeros(0),
            "action": np.zeros(0, np.int16),
        }
        if prices is not None:
            columns |= {
                "numbers": np.zeros((0, len(names.fields))), "keys": np.zeros((0, len(names.entities)), np.int64),
                "time_ns": np.zeros(0, np.int64),
            }  # fmt: skip
        self._decided = Thinned(DECISIONS, columns)
        self._outcomes = Thinned(OUTCOMES, columns | {"label": np.zeros(0)})
        self._law, self._promises = LabelLaw(self._width), Promises(self.figures)
        self._ripening = Ripening(matures_ns)
        self._noted: list[dict[str, Any]] = []  # The standing, from those ticks of the last block on.
        self._noted_at: list[int] = []
        k = len(self.figures)
        self._memory: Memory = {
            "day": np.full(1, _NEVER), "first": np.full(1, _NEVER), "learned": np.full(1, _NEVER),
            "chunk": np.array([0, 1]), "maker": np.zeros(3, np.int64), "last": np.array([_NEVER, 0]),
            "figures": np.full((k, 3), np.nan),
        }  # fmt: skip

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`. The rows of a day are taken in at once."""
        memory, shape = self._memory, (len(block), len(self.series))
        found = Measured(np.full(shape, np.nan), np.zeros(shape), np.full(shape, np.nan))
        self._noted = self._noted[-1:] or [self.standing()]
        self._noted_at = [0]
        self._ripening.ripe(int(block.end_ns[0]))
        days, start = block.end_ns // _DAY_NS, 0
        ends = np.flatnonzero(days != np.concatenate([memory["day"], days[:-1]]))
        for end in ends.tolist():
            self._take(block, start, end + 1)
            if memory["day"][0] != _NEVER:
                figures = Figures(len(self.series))
                self._end_day(int(days[end]), figures)
                made = figures.measured()
                found.value[end], found.n[end] = made.value, made.n
                self._noted.append(self.standing())
                self._noted_at.append(end)
            memory["day"][0], start = days[end], end + 1
        self._take(block, start, len(block))
        return found

    def _take(self, block: Block, start: int, stop: int) -> None:
        """Remember the decisions and the mature outcomes of some ticks, from `start` up to `stop`."""
        if start == stop:
            return
        self._decide(block.whole, int(block.offsets[start]), int(block.offsets[stop]))
        busy = np.flatnonzero(block.rows[start:stop])
        if len(busy):
            last = start + int(busy[-1])
            version = block.whole.version[block.offsets[last] : block.offsets[last + 1]]
            self._memory["maker"][2] = int(mark_of(block.whole.versions[int(np.bincount(version).argmax())]))
        ripe = next((one for one in range(start, stop) if self._ripening.ripe(int(block.end_ns[one]))), stop)
        begin, end = int(block.known_offsets[ripe]), int(block.known_offsets[stop])
        if begin < end:
            self._learn_of(block, begin, end)

    def _decide(self, tick: Tick, begin: int, end: int) -> None:
        """Remember the decisions of some rows."""
        rows = begin + np.flatnonzero(np.isfinite(tick.risk[begin:end]) & (tick.action[begin:end] >= 0))
        at, events = self._decided.wanted(len(rows)), tick.events
        take = rows[at]
        columns = self._columns(
            tick.features.values[take], tick.risk[take], tick.action[take], events.numbers[take], events.keys[take],
            events.time_ns[take],
        )  # fmt: skip
        self._decided.add(len(rows), at, columns)

    def _learn_of(self, block: Block, begin: int, end: int) -> None:
        """Remember the mature outcomes of some rows."""
        known, rows = block.whole.known, shared(block, SEEN, seen_of).mature
        rows = rows[slice(*np.searchsorted(rows, (begin, end)))]
        at = self._outcomes.wanted(len(rows))
        take = rows[at]
        columns = self._columns(
            known.features[take], known.risk[take], known.action[take], known.numbers[take], known.keys[take],
            known.time_ns[take],
        )  # fmt: skip
        self._outcomes.add(len(rows), at, columns | {"label": (known.label[take] == 1.0).astype(np.float64)})

    def _columns(
        self, features: Float, risk: Float, action: Small, numbers: Float, keys: Int, time_ns: Int
    ) -> dict[str, AnyArray]:
        clipped = np.clip(features[:, : self._width], -_LIMIT, _LIMIT).astype(np.float32)
        found: dict[str, AnyArray] = {"features": clipped, "risk": np.clip(risk, 0.0, 1.0), "action": action}
        if self._prices is not None:
            found |= {"numbers": numbers, "keys": keys, "time_ns": time_ns}
        return found

    def _end_day(self, day: int, found: Figures) -> None:
        """Estimate the day's figures; where a chunk of outcomes is full, hold the law against it."""
        memory = self._memory
        memory["maker"][1] = memory["maker"][2]
        if self._law.ready and self._promises.ready and len(self._decided) >= DECISIONS_MIN:
            self._estimate(day, found)
        if not self._law.ready or len(self._decided) >= DECISIONS_MIN:
            self._decided.clear()
        memory["chunk"][0] += 1
        if len(self._outcomes) and memory["chunk"][0] >= memory["chunk"][1]:
            self._end_chunk(day)
        if self._law.ready:
            found.set(len(self.figures), self._promises.contradicted, float(max(1, self._promises.rows)))

    def _estimate(self, day: int, found: Figures) -> None:
        rows, order = self._ranked(self._decided)
        if not len(rows["risk"]):
            return
        q = self._law.probabilities(rows["features"], rows["risk"])
        made = estimate(order, q, self._promises.excess)
        memory, n = self._memory, float(len(rows["risk"]))
        for k, name in enumerate(self.figures):
            memory["figures"][k] = _three(made[name])
        memory["last"][:] = day, int(n)
        found.set(slice(0, len(self.figures)), memory["figures"][:, 0], n)

    def _end_chunk(self, day: int) -> None:
        """Hold the law against a chunk of mature outcomes, put the chunk to the past, and learn again in time."""
        memory = self._memory
        rows, order = self._ranked(self._outcomes)
        label = rows["label"]
        memory["first"][0] = day if memory["first"][0] == _NEVER else memory["first"][0]
        if self._law.ready and len(label):
            q = self._law.probabilities(rows["features"], rows["risk"])
            likely = float(q[0].sum())
            if min(likely, len(label) - likely) >= POSITIVES_MIN:
                cost = values(expected(order, q[0])).get("cost", float("nan"))
                self._promises.hold(contradiction(order, label, q, Excess({}, 0)), len(label), day, cost)
        if len(label):
            self._law.remember(rows["features"], rows["risk"], label)
        ones = float(label.sum())
        rare = max(min(ones, len(label) - ones), 1.0) / int(memory["chunk"][0])
        memory["chunk"][0] = 0
        self._outcomes.clear()  # The rows above are views of it.
        if self._due(day) and self._law.learn():
            memory["learned"][0], memory["maker"][0] = day, memory["maker"][1]
            memory["chunk"][1] = int(np.clip(np.ceil(POSITIVES_MIN / rare), 1, CHUNK_DAYS_MAX))
            self._promises.renew()

    def _due(self, day: int) -> bool:
        """Whether the law is to be learned: late enough for the first, and never of a mixture of two laws."""
        memory, broken = self._memory, self._promises.broken_since
        if memory["learned"][0] == _NEVER:
            return bool(day - memory["first"][0] >= LEARNING_DAYS)
        if broken is not None:
            return day - broken >= FORGOTTEN_DAYS
        return bool(day - memory["learned"][0] >= RENEWED_DAYS)

    def _ranked(self, of: Thinned) -> tuple[dict[str, AnyArray], Ranked]:
        """The rows that are kept, by risk, with their costs. Decisions whose cost is not known are left out."""
        rows, costs = of.rows(), None
        if self._prices is not None:
            positive, negative = self._prices(rows["numbers"], rows["keys"], rows["time_ns"], rows["action"])
            good = np.isfinite(positive) & np.isfinite(negative)
            rows = {name: column[good] for name, column in rows.items()}
            positive, negative = positive[good], negative[good]
            costs = Costs(negative, positive, positive, negative)
        return rows, ranked(rows["risk"], rows["action"] > 0, costs=costs)

    def standing(self) -> dict[str, Any]:
        """The last estimates for people, and whether they can be trusted.

        `estimated` has value, low and high by figure; it is empty before the first. `assumption_broken` is None before
        outcomes were held against the law.
        """
        memory, held = self._memory, self._promises
        estimated = {}
        if memory["last"][0] != _NEVER:
            for name, (value, low, high) in zip(self.figures, memory["figures"].tolist(), strict=True):
                estimated[name] = {"value": _known(value), "low": _known(low), "high": _known(high)}
        return {
            "estimated": estimated, "decisions": int(memory["last"][1]),
            "at_ns": int(memory["last"][0]) * _DAY_NS if estimated else 0,
            "assumption_broken": (held.contradicted > 0) if held.ready else None, "why": self._why(),
        }  # fmt: skip

    def _why(self) -> str:
        """The reason to doubt the estimates, or why there are none; empty where all is well."""
        memory = self._memory
        if not self._law.ready:
            return self._not_learned()
        if not self._promises.ready:
            return (
                "estimates are held against outcomes before they are shown: "
                f"{self._promises.held} of {CHUNKS_MIN} spans with enough outcomes have come"
            )
        if self._promises.contradicted:
            return f"mature outcomes contradict the law: {self._promises.wording()}"
        if memory["maker"][0] != memory["maker"][1]:
            return "another version decides than the one that the law was learned of"
        return ""

    def _not_learned(self) -> str:
        """Why there is no law yet: how many outcomes there are, of how many that it takes."""
        positives, negatives = self._law.counts()
        begun, day = int(self._memory["first"][0]), int(self._memory["day"][0])
        days = 0 if begun == _NEVER else day - begun
        return (
            "too few outcomes are mature (old enough that good and bad ones are both known: outcomes.maturity, or else "
            f"outcomes.horizon). It takes {LEARNING_DAYS} days of them, with {EACH_MIN} positive and {EACH_MIN} "
            f"negative ones. There are {days} days, with {positives} and {negatives}"
        )

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The band of an estimate, whether its assumption is broken, and why."""
        place = len(self._noted) if at < 0 else bisect_right(self._noted_at, at)
        standing = self._noted[place - 1] if place else self.standing()
        found: dict[str, object] = {BROKEN: bool(standing["assumption_broken"])}
        if standing["why"]:
            found["why"] = standing["why"]
        if series < len(self.figures) and standing["estimated"]:
            found["band"] = standing["estimated"][self.figures[series]]
            found["of decisions"] = standing["decisions"]
        return found

    def parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "decided": self._decided.memory, "outcomes": self._outcomes.memory,
            "promises": self._promises.memory, "ripening": self._ripening.memory,
        }  # fmt: skip

    def state(self) -> State:
        """All that it remembers."""
        return super().state() | {f"law/{key}": v for key, v in self._law.state().items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        super().restore(state)
        self._noted, self._noted_at = [], []
        self._law.restore(part(state, "law"))


_WORDS = {
    "auc": "estimated AUC", "accuracy": "estimated accuracy", "f1": "estimated F1",
    "average_precision": "estimated average precision", "cost": "estimated cost of a decision",
}  # fmt: skip


def _series(monitor: str, figure: str) -> Series:
    cost = figure == "cost"
    return Series(
        monitor, "fusion", Kind.QUALITY, _WORDS[figure], "money" if cost else figure.replace("_", " "),
        "up" if cost else "down", "mean", weight=0.3, alone=False,
    )  # fmt: skip


def _three(one: Estimate) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
