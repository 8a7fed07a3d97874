"""Positives where the risk was low, as soon as they are reported: another law of outcomes shows in them first.

Their number stays where decisions are as good as ever. Only first positives count (see `first_positives`). The outcomes
of an hour are of events of many days, so after a change few of them follow the new law for days. Those of young events
all do: they are counted apart, too.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering
from homeostat.maintain.monitor.first_positives import FirstPositives
from homeostat.maintain.monitor.outcomes import Ripening, seen
from homeostat.maintain.monitor.quality import LOW
from homeostat.maintain.monitor.reference import Reference
from homeostat.records.arrays import Float, Int
from homeostat.records.signals import Kind, Measured, Series
from homeostat.stats.place import GRID

YOUNG = GRID // 3
"""A positive is young if it is reported sooner than so many of `GRID` parts of the past ones."""
_TICKS = 1024


class EarlyMonitor(Remembering):
    """See the module. Series of kind concept at the node `outcome`: first positives at low risk, and the young ones of
    them. Both are shares of the events at low risk that they can be of.

    entities : of each event
    matures_ns : the age at which outcomes are mature
    """

    name = "early"

    def __init__(self, entities: int, matures_ns: int) -> None:
        self.series: tuple[Series, ...] = tuple(
            Series(self.name, "outcome", Kind.CONCEPT, text, side="up", seasonal=True)
            for text in ("first positives at low risk", "young first positives at low risk")
        )
        self._risk, self._ages, self._first = Reference(1), Reference(1), FirstPositives(entities)
        self._ripening = Ripening(matures_ns)
        self._memory: Memory = {"events": np.zeros(_TICKS), "ticks": np.zeros(1, np.int64), "age": np.zeros(2)}

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found = Figures(len(self.series))
        risk = np.nan_to_num(tick.risk[Reference.looked_at(len(tick))], nan=0.0)[:, None]
        low = self._risk.places(risk)[:, 0] < LOW
        memory = self._memory
        events = float(max(tick.events_n, len(tick))) * (float(low.mean()) if len(low) else 0.0)
        memory["events"][int(memory["ticks"][0]) % _TICKS] = events
        memory["ticks"][0] += 1
        at = seen(tick.known).positives
        age, first = self._age(tick, at), self._first.among(tick.known, at, tick.end_ns)
        if self._risk.ready and self._ages.ready:
            self._count(tick, at[first], age[first], found)
        self._learn(tick, age)
        self._risk.add(risk, tick.start_ns, tick.end_ns)
        return found.measured() if self._ripening.ripe(tick.end_ns) else Figures(len(self.series)).measured()

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found = [self.measure(tick) for tick in block.ticks]
        value, n, spread = ([getattr(one, name) for one in found] for name in ("value", "n", "spread"))
        return Measured(np.stack(value), np.stack(n), np.stack(spread))

    def _count(self, tick: Tick, at: Int, age: Float, found: Figures) -> None:
        """First positives at low risk, against the events of the hours that they can be of."""
        ticks_an_hour = 3.6e12 / (tick.end_ns - tick.start_ns)
        bound = float(self._ages.grid[0, YOUNG])
        low = self._risk.places(tick.known.risk[at][:, None])[:, 0] < LOW
        spans = (2.0 * float(self._memory["age"][0]), bound)
        for k, (hours, hits) in enumerate(zip(spans, (low, low & (age <= bound)), strict=True)):
            events = self._events(hours * ticks_an_hour)
            if events >= 1.0:
                found.share(k, min(float(hits.sum()), events), events)

    def _events(self, ticks: float) -> float:
        """The mean events at low risk of so many last ticks."""
        count = int(self._memory["ticks"][0])
        length = int(np.clip(round(ticks), 1, min(_TICKS, count)))
        return float(self._memory["events"][(count - 1 - np.arange(length)) % _TICKS].mean())

    @staticmethod
    def _age(tick: Tick, at: Int) -> Float:
        """(m,) the ages of outcomes when they were reported, in hours."""
        found: Float = np.clip(tick.known.known_ns[at] - tick.known.time_ns[at], 0, None) / 3.6e12
        return found

    def _learn(self, tick: Tick, age: Float) -> None:
        """The ages at which positives are reported."""
        if len(age):
            mean, of = self._memory["age"].tolist()
            of = min(of + len(age), 500.0)
            self._memory["age"][:] = mean + (float(age.mean()) - mean) * len(age) / of, of
        self._ages.add(age[:, None], tick.start_ns, tick.end_ns)

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """None."""
        return {}

    def parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "risk": self._risk.memory, "ages": self._ages.memory, "first": self._first.memory,
            "ripening": self._ripening.memory,
        }  # fmt: skip
