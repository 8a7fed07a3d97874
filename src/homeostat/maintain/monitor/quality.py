"""Quality by outcomes: how decisions rank, how well risk is calibrated, what they cost, whether the law has changed.

Positive outcomes speak as soon as they are reported: their number against the events of the time that they can be of,
and their place among the risks of all decisions, whose mean is the area under the ROC curve. All else waits until the
outcomes of an event are mature, so that late outcomes bias nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from homeostat.maintain.contracts import Known, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import Ripening, Seen, chance_of, seen
from homeostat.maintain.monitor.reference import Reference
from homeostat.records.arrays import Float, State
from homeostat.records.signals import Kind, Measured, Series
from homeostat.stats.metrics import ranking

CostOf = Callable[[Known], Float]
"""Outcomes -> what each decision cost in the end, (m,)."""

BANDS = (0.0, 0.5, 0.8, 0.95, 1.0)
FEATURES_MAX = 32
LOW = 0.8  # A positive whose risk lies below that of so many decisions is a surprise.
_DAY_NS = 86_400 * 10**9
_COUNTS = 1024
_FIXED = 9


class QualityMonitor:
    """See the module. Series at the node `outcome`, by kind:

    base_rate : positives reported, of the events that they can be of; share of positives among mature outcomes; mean
        risk, for positives whose outcome an action hides
    quality : mean place of positives; log loss beyond the expected; average precision of a day; cost of a decision
    calibration : label less risk
    concept : share of the reported positives that are surprises; share of positives in each band of places of the risk;
        for each feature, how label less risk leans on it

    matures_ns : the age at which outcomes are mature
    cost : of a decision; None where the app declares no costs
    """

    name = "quality"

    def __init__(self, names: Names, matures_ns: int, cost: CostOf | None = None) -> None:
        self._cost, self._matures_ns = cost, max(matures_ns, 1)
        self._features = min(len(names.features), FEATURES_MAX)
        name, at = self.name, "outcome"
        self.series: tuple[Series, ...] = (
            Series(name, at, Kind.BASE_RATE, "positives reported", seasonal=True),
            Series(name, at, Kind.BASE_RATE, "share of positives"),
            Series(name, at, Kind.QUALITY, "mean place of positives", "place", "down", "mean"),
            Series(name, at, Kind.QUALITY, "log loss beyond the expected", "nats", "up", "mean"),
            Series(name, at, Kind.QUALITY, "average precision", "precision", "down", "mean"),
            Series(name, at, Kind.QUALITY, "cost of a decision", "money", "up", "mean", weight=0.3),
            Series(name, at, Kind.CALIBRATION, "label less risk", "share", "both", "mean"),
            Series(name, at, Kind.CONCEPT, "surprising positives", side="up"),
            Series(name, at, Kind.BASE_RATE, "positives expected by risk", "share", "both", "mean", seasonal=True),
            *(
                Series(name, at, Kind.CONCEPT, f"positives between places {low:g} and {high:g}",
                       side="down" if high == 1.0 else "up", weight=0.5)
                for low, high in pairwise(BANDS)
            ),
            *(
                Series(name, at, Kind.CONCEPT, f"label less risk by {one}", "share", "both", "mean", weight=0.1,
                       alone=False)
                for one in names.features[: self._features]
            ),
        )  # fmt: skip
        self._risk, self._of_features = Reference(1), Reference(self._features)
        self._ripening = Ripening(matures_ns)
        self._memory: Memory = {
            "counts": np.zeros(_COUNTS), "ticks": np.zeros(1, np.int64), "age": np.zeros(2),
            "day": np.full((2, 4096), np.nan), "of_day": np.zeros(2, np.int64),
        }  # fmt: skip

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, rows = Figures(len(self.series)), seen(tick.known)
        self._positives(tick, rows, found)
        risk = tick.risk[np.isfinite(tick.risk)]
        if len(risk):
            found.set(8, float(risk.mean()), float(len(risk)))
        if len(rows.mature):
            self._mature(tick, rows, found)
        self._whole_day(tick, rows, found)
        at = Reference.looked_at(len(tick))
        self._risk.add(np.nan_to_num(tick.risk[at], nan=0.0)[:, None], tick.start_ns, tick.end_ns)
        return found.measured() if self._ripening.ripe(tick.end_ns) else Figures(len(self.series)).measured()

    def _positives(self, tick: Tick, rows: Seen, found: Figures) -> None:
        """Positives as they are reported."""
        memory, span = self._memory, tick.end_ns - tick.start_ns
        number, known = int(memory["ticks"][0]), tick.known
        memory["counts"][number % _COUNTS] = float(max(tick.events_n, len(tick)))
        memory["ticks"][0] += 1
        at = rows.positives
        if len(at):
            age = float(np.clip(known.known_ns[at] - known.time_ns[at], 0, None).mean())
            total = min(memory["age"][1] + len(at), 500.0)
            memory["age"][0] += (age - memory["age"][0]) * len(at) / total
            memory["age"][1] = total
            place = self._risk.places(known.risk[at][:, None])[:, 0]
            place = place[~np.isnan(place)]
            if len(place):
                found.set(2, float(place.mean()), float(len(place)))
                found.share(7, float((place < LOW).sum()), float(len(place)))
        if memory["age"][1] >= 20:
            length = int(np.clip(round(2.0 * memory["age"][0] / span), 1, min(_COUNTS, number + 1)))
            events = float(memory["counts"][(number - np.arange(length)) % _COUNTS].mean())
            if events >= 1.0:
                found.share(0, min(float(len(at)), events), events)

    def _mature(self, tick: Tick, rows: Seen, found: Figures) -> None:
        """Mature outcomes: calibration, loss, cost, bands and features."""
        known = tick.known
        at = rows.mature
        label, risk = known.label[at], chance_of(known.risk[at])
        n, rest, noise = float(len(at)), label - risk, risk * (1.0 - risk)
        odds = np.log(risk / (1.0 - risk))
        found.share(1, label.sum(), n)
        found.set(6, float(rest.mean()), n, float(np.sqrt(noise.sum())) / n)
        # The expectation of -y log r - (1 - y) log(1 - r), taken away, leaves (r - y) times the log-odds.
        found.set(3, float((-rest * odds).mean()), n, float(np.sqrt((noise * odds**2).sum())) / n)
        if self._cost is not None:
            cost = self._cost(known)[at]
            cost = cost[np.isfinite(cost)]
            if len(cost):
                found.set(5, float(cost.mean()), float(len(cost)))
        place = self._risk.places(known.risk[at][:, None])[:, 0]
        if not np.isnan(place).any():
            band = np.clip(np.searchsorted(BANDS, place, "right") - 1, 0, len(BANDS) - 2)
            size = np.bincount(band, minlength=len(BANDS) - 1).astype(np.float64)
            found.share(slice(_FIXED, _FIXED + len(BANDS) - 1), np.bincount(band, label, len(BANDS) - 1), size)
        self._leaning(tick, rest, noise, found)

    def _leaning(self, tick: Tick, rest: Float, noise: Float, found: Figures) -> None:
        """How label less risk leans on each feature."""
        features = tick.known.features[seen(tick.known).mature][:, : self._features]
        values = np.where(np.isfinite(features), features, np.nan)
        place = self._of_features.places(values)
        lean = np.where(np.isnan(place), 0.0, 2.0 * place - 1.0)
        n = (~np.isnan(place)).sum(axis=0).astype(np.float64)
        size = np.maximum(n, 1.0)
        spread = np.sqrt(noise @ lean**2) / size
        begin = _FIXED + len(BANDS) - 1
        found.set(slice(begin, begin + self._features), rest @ lean / size, n, np.where(spread > 0, spread, np.nan))
        self._of_features.add(values, tick.start_ns, tick.end_ns)

    def _whole_day(self, tick: Tick, rows: Seen, found: Figures) -> None:
        """Average precision of the mature outcomes of a day, when it ends."""
        memory = self._memory
        kept, of_day = memory["day"], memory["of_day"]
        if tick.end_ns // _DAY_NS != of_day[0]:
            n = min(int(of_day[1]), kept.shape[1])
            positives = float(kept[0, :n].sum())
            if positives >= 3:
                found.set(4, ranking(kept[0, :n], kept[1, :n])[1], positives)
            of_day[:] = tick.end_ns // _DAY_NS, 0
        at = rows.mature[: max(0, kept.shape[1] - int(of_day[1]))]
        begin = int(of_day[1])
        kept[0, begin : begin + len(at)], kept[1, begin : begin + len(at)] = tick.known.label[at], tick.known.risk[at]
        of_day[1] = begin + len(at)

    def notes(self, series: int) -> dict[str, object]:
        """The mean age of positives when they are reported."""
        return {"age of positives in hours": round(float(self._memory["age"][0]) / 3.6e12, 1)} if series < 3 else {}

    def _parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "risk": self._risk.memory, "features": self._of_features.memory,
            "ripening": self._ripening.memory,
        }  # fmt: skip

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self._parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self._parts().items():
            taken(memory, part(state, name))
