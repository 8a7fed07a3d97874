"""Positives where the risk was low, as soon as they are reported: another law of outcomes shows in them first.

Their number stays where decisions are as good as ever. Only first positives count (see `first_positives`). The outcomes
of an hour are of events of many days, so after a change few of them follow the new law for days. Those of young events
all do: they are counted apart, too.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering
from homeostat.maintain.monitor.first_positives import FirstPositives
from homeostat.maintain.monitor.outcomes import SEEN, Ripening, seen_of
from homeostat.maintain.monitor.quality import LOW
from homeostat.maintain.monitor.reference import Reference, Spans, looked_at
from homeostat.maintain.monitor.rows_of_ticks import counts_of, ticks_of, totals_of
from homeostat.records.arrays import Float, Int, Mask
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
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found, known = Figures(len(self.series), len(block)), block.whole.known
        at = shared(block, SEEN, seen_of).positives
        of, spans = np.searchsorted(at, block.known_offsets), Spans(block.start_ns, block.end_ns)
        events, low, ready = self._low_risk(block, at, of, spans)
        age = np.clip(known.known_ns[at] - known.time_ns[at], 0, None) / 3.6e12
        bound = np.full(len(block), np.nan)
        for first, stop in self._ages.stretches(age[:, None], of, spans):
            bound[first:stop] = self._ages.grid[0, YOUNG] if self._ages.ready else np.nan
        chosen = self._first.chosen(known, at, of, block.end_ns)
        hits = counts_of(of, chosen & low), counts_of(of, chosen & low & (age <= bound[ticks_of(of)]))
        hours = self._mean_ages(age, of), bound
        known_yet = np.flatnonzero(ready & ~np.isnan(bound))
        for k in range(len(hours)):
            self._count(k, hits[k], hours[k], events, known_yet, spans, found)
        self._remember(events)
        ripe = self._ripening.ripe_ticks(block.end_ns)
        found.value[~ripe], found.n[~ripe] = np.nan, 0.0
        return found.measured()

    def _low_risk(self, block: Block, at: Int, of: Int, spans: Spans) -> tuple[Float, Mask, Mask]:
        """(k,) the events of each tick at low risk; (m,) whether each positive is; (k,) whether the past is known.

        at : (m,) rows of positives; of : their offsets
        """
        rows, offsets = shared(block, "rows looked at", lambda one: looked_at(one.offsets))
        risk, theirs = block.whole.risk[rows], block.whole.known.risk[at][:, None]
        risk = np.nan_to_num(risk, nan=0.0)[:, None]
        of_rows, of_positives = np.zeros(len(rows), np.bool_), np.zeros(len(at), np.bool_)
        ready = np.zeros(len(block), np.bool_)
        for first, stop in self._risk.stretches(risk, offsets, spans):
            for values, edges, into in ((risk, offsets, of_rows), (theirs, of, of_positives)):
                some = slice(edges[first], edges[stop])
                into[some] = self._risk.places(values[some])[:, 0] < LOW
            ready[first:stop] = self._risk.ready
        share = counts_of(offsets, of_rows) / np.maximum(np.diff(offsets), 1)
        return np.maximum(block.events_n, block.rows) * share, of_positives, ready

    def _count(
        self, k: int, hits: Float, hours: Float, events: Float, ticks: Int, spans: Spans, found: Figures
    ) -> None:  # fmt: skip
        """First positives at low risk, against the mean events at low risk of the hours that they can be of.

        hits, hours, events : of each tick; ticks : those that are counted
        """
        memory, size = self._memory, len(events)
        before = int(memory["ticks"][0])
        past = memory["events"][(before + np.arange(_TICKS)) % _TICKS]  # The oldest first.
        newest_first = np.concatenate([past, events])[::-1].copy()
        an_hour = 3.6e12 / (spans.end_ns - spans.start_ns)
        lengths = np.clip(np.round(hours[ticks] * an_hour[ticks]), 1, np.minimum(_TICKS, before + ticks + 1))
        for tick, length in zip(ticks.tolist(), lengths.astype(np.int64).tolist(), strict=True):
            place = size - 1 - tick
            mean = float(np.add.reduce(newest_first[place : place + length])) / length
            if mean >= 1.0:
                found.set_one(tick, k, min(float(hits[tick]), mean) / mean, mean)

    def _mean_ages(self, age: Float, of: Int) -> Float:
        """(k,) twice the mean age of positives as it was known before each tick, in hours; then learn of their ages."""
        mean, n = self._memory["age"].tolist()
        sums, counts, found = totals_of(age, of), np.diff(of).tolist(), np.zeros(len(of) - 1)
        for tick, count in enumerate(counts):
            found[tick] = 2.0 * mean
            if count:
                n = min(n + count, 500.0)
                mean += (sums[tick] / count - mean) * count / n
        self._memory["age"][:] = mean, n
        return found

    def _remember(self, events: Float) -> None:
        """Keep the last ticks' events."""
        memory, first = self._memory, int(self._memory["ticks"][0])
        number = first + np.arange(max(0, len(events) - _TICKS), len(events))
        memory["events"][number % _TICKS] = events[number - first]
        memory["ticks"][0] = first + len(events)

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """None."""
        return {}

    def parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "risk": self._risk.memory, "ages": self._ages.memory, "first": self._first.memory,
            "ripening": self._ripening.memory,
        }  # fmt: skip
