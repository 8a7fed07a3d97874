"""Whether outcomes are reported as they were: how late, how many never, flipped ones, and a few accounts' odd ones."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Known, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering, hashed
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.noted import Noted
from homeostat.maintain.monitor.outcomes import SEEN, Ripening, seen_of
from homeostat.maintain.monitor.reference import Reference, Spans, looked_at
from homeostat.maintain.monitor.rows_of_ticks import counts_of, totals_of
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.identity import ABSENT
from homeostat.records.signals import Kind, Measured, Series

AGES = (0.1, 0.3, 0.6, 1.0, 1.4)  # Of the age of maturity; a share of outcomes is known by then.
_BINS = 512  # Of events by time; they cover 1.5 times the age of maturity.
_TABLE = 4096
_DAY_NS = 86_400 * 10**9
_HALF_LIFE_DAYS = 7.0
_OFTEN = 3.0  # So many positives of one account within some days are many.
_MUCH = 0.015  # Of all positives of that time; both make an account one of few.


class LabelsMonitor(Remembering):
    """See the module. Series at the node `labels`, by kind:

    delay : share of events whose outcome is known at each of some ages; mean age of the outcomes that are reported
    flips : share of the positives whose risk is among the lowest, share of negatives where it is highest; share of the
        positives that are reported at the age at which negatives are
    poisoning : share of the positives that are reported sooner than nearly all of the past; share that is of an account
        that had several lately, by entity and by source of the reports

    matures_ns, span_ns : the age of maturity, and the span of a tick
    censoring : actions that hide the outcome
    """

    name = "labels"

    def __init__(self, names: Names, matures_ns: int, span_ns: int, censoring: tuple[int, ...] = ()) -> None:
        name, at = self.name, "labels"
        who = [*names.entities, "source of the reports"]
        self.series: tuple[Series, ...] = (
            *(Series(name, at, Kind.DELAY, f"known at {age:g} of maturity", side="down", weight=0.5) for age in AGES),
            Series(name, at, Kind.DELAY, "mean age of reports", "parts of maturity", "up", "mean"),
            Series(name, at, Kind.FLIPS, "positives at the lowest risks", side="up"),
            Series(name, at, Kind.FLIPS, "negatives at the highest risks", side="up", weight=0.5),
            Series(name, at, Kind.FLIPS, "positives at the age of negatives", side="up"),
            Series(name, at, Kind.POISONING, "positives sooner than ever", side="up"),
            *(Series(name, at, Kind.POISONING, f"of few: {one}", side="up") for one in who),
        )
        self._matures_ns, self._censoring = max(matures_ns, span_ns), censoring
        self._bin_ns = max(span_ns, -(-int(1.5 * self._matures_ns) // (_BINS - 2)))
        self._bin_ns = -(-self._bin_ns // span_ns) * span_ns
        self._risk, self._ages = Reference(1), Reference(1)
        self._ripening = Ripening(matures_ns)
        self._memory: Memory = {
            "decided": np.zeros(_BINS), "answered": np.zeros(_BINS), "bin": np.zeros(2, np.int64),
            "negative": np.zeros(3), "of": np.zeros((len(who), _TABLE)), "day": np.zeros(1, np.int64),
        }  # fmt: skip
        self._noted = Noted()

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found, whole, known = Figures(len(self.series), len(block)), block.whole, block.whole.known
        rows = shared(block, SEEN, seen_of)
        self._noted.begin()
        self._delays(block, rows.reports, found)
        at, offsets = shared(block, "rows looked at", lambda one: looked_at(one.offsets))
        place = self._risk.places_of(
            known.risk[:, None], block.known_offsets, np.nan_to_num(whole.risk[at], nan=0.0)[:, None], offsets,
            Spans(block.start_ns, block.end_ns),
        )[:, 0]  # fmt: skip
        reporting = np.diff(np.searchsorted(rows.reports, block.known_offsets)) > 0
        self._confident(block, rows.mature, place, reporting, found)
        self._like_negatives(block, rows.reports, found)
        self._poisoned(block, rows.positives, reporting, found)
        ripe = self._ripening.ripe_ticks(block.end_ns)
        found.value[~ripe], found.n[~ripe], found.spread[~ripe] = np.nan, 0.0, np.nan
        return found.measured()

    def _delays(self, block: Block, at: Int, found: Figures) -> None:
        """Events and their reported outcomes by the time of the events; the shares that are known at each age.

        at : the rows of reports
        """
        memory, known = self._memory, block.whole.known
        decided, answered, edges = memory["decided"], memory["answered"], np.searchsorted(at, block.known_offsets)
        age = np.clip(known.known_ns[at] - known.time_ns[at], 0, None) / self._matures_ns
        reports = np.diff(edges).astype(np.float64)
        found.set(len(AGES), np.array(totals_of(age, edges)) / np.maximum(reports, 1.0), reports)
        events = counts_of(block.offsets, ~np.isin(block.whole.action, self._censoring)).tolist()
        bins, limits = -(-known.time_ns[at] // self._bin_ns), edges.tolist()
        back = [1 + int(np.ceil(one * self._matures_ns / self._bin_ns)) for one in AGES]
        first, last = memory["bin"].tolist()
        for tick, now in enumerate((block.end_ns // self._bin_ns).tolist()):
            if not first:
                first, last = now, now - 1
            for number in range(max(last + 1, now - _BINS + 1), now + 1):
                decided[number % _BINS] = answered[number % _BINS] = 0.0
            decided[now % _BINS] += events[tick]
            if limits[tick] < limits[tick + 1]:
                of = bins[limits[tick] : limits[tick + 1]]
                of = of[(of > now - _BINS) & (of <= now) & (of >= first)] % _BINS
                answered += np.bincount(of, minlength=_BINS)
            if now != last:
                for k, bins_back in enumerate(back):
                    old = now - bins_back
                    if old > first and old > now - _BINS and decided[old % _BINS] > 0:
                        n = float(decided[old % _BINS])
                        found.set_one(tick, k, min(float(answered[old % _BINS]), n) / n, n)
            last = now
        memory["bin"][:] = first, last

    def _confident(self, block: Block, at: Int, place: Float, reporting: Mask, found: Figures) -> None:
        """Of all mature positives those at the lowest risks, which no base rate moves; negatives at the highest risks.

        at : their rows; place : of all outcomes among the risks
        """
        k, label, place = len(AGES) + 1, block.whole.known.label[at], place[at]
        offsets = np.searchsorted(at, block.known_offsets)
        fine = reporting & (counts_of(offsets, np.isnan(place)) == 0)
        with np.errstate(invalid="ignore"):
            low, high = place < 0.5, place > 0.98
        positive = label == 1.0
        for series, of, wrong in ((k, positive, low), (k + 1, high, label == 0.0)):
            found.share(series, counts_of(offsets, of & wrong), np.where(fine, counts_of(offsets, of), 0.0))

    def _like_negatives(self, block: Block, at: Int, found: Figures) -> None:
        """Positives that come when negatives do. at : the rows of reports"""
        known, k = block.whole.known, len(AGES) + 3
        age, positive = (known.known_ns[at] - known.time_ns[at]) / 3.6e12, known.label[at] == 1.0
        edges = np.searchsorted(at, block.known_offsets).tolist()
        mean, away, n = self._memory["negative"].tolist()
        for tick in np.flatnonzero(np.diff(edges)).tolist():
            rows = slice(edges[tick], edges[tick + 1])
            of, ours = age[rows], positive[rows]
            many = int(np.count_nonzero(ours))
            if n >= 100 and many:
                near = np.abs(of[ours] - mean) <= 2.0 * away + 0.002 * self._matures_ns / 3.6e12
                found.set_one(tick, k, np.count_nonzero(near) / many, float(many))
            negative = of[~ours] if many else of
            if len(negative):
                total = min(n + len(negative), 5_000.0)
                pace = len(negative) / total
                mean += (float(negative.mean()) - mean) * pace
                away += (float(np.abs(negative - mean).mean()) - away) * pace
                n = total
        self._memory["negative"][:] = mean, away, n

    def _poisoned(self, block: Block, at: Int, reporting: Mask, found: Figures) -> None:
        """Surprising positives by the accounts that they are of.

        at : the rows of positives; reporting : (k,) whether a tick has reports
        """
        known, memory, begin = block.whole.known, self._memory, len(AGES) + 4
        edges = np.searchsorted(at, block.known_offsets)
        self._soon(block, at, edges, begin, found)
        keys = [self._keys(known, at, j) for j in range(len(memory["of"]))]
        slots = [hashed(one) % _TABLE for one in keys]
        limits, days = edges.tolist(), (block.end_ns // _DAY_NS).tolist()
        named = counts_of(block.known_offsets, known.source != 0) > 0
        for tick in np.flatnonzero(reporting).tolist():
            if days[tick] != memory["day"][0]:
                memory["of"] *= 0.5 ** (1.0 / _HALF_LIFE_DAYS)
                memory["day"][0] = days[tick]
            rows = slice(limits[tick], limits[tick + 1])
            n = limits[tick + 1] - limits[tick]
            for j in range(len(keys)) if n else ():
                if j >= known.keys.shape[1] and not named[tick]:
                    continue
                key, slot, of = keys[j][rows], slots[j][rows], memory["of"][j]
                there = key != ABSENT
                often = there & (of[slot] >= max(_OFTEN, _MUCH * float(of.sum())))
                found.set_one(tick, begin + 1 + j, float(np.count_nonzero(often)) / n, float(n))
                np.add.at(of, slot[there], 1.0)
                if often.any():
                    self._noted.put(
                        begin + 1 + j, tick, {"accounts": [int(one) for one in np.unique(key[often])[:5]]}
                    )  # fmt: skip

    def _soon(self, block: Block, at: Int, edges: Int, k: int, found: Figures) -> None:
        """Positives by the time until they are reported, against that of the past. Only ticks with positives teach it.

        at : the rows of positives; edges : their offsets
        """
        known, some = block.whole.known, np.flatnonzero(np.diff(edges))
        age = ((known.known_ns[at] - known.time_ns[at]) / 3.6e12)[:, None]
        of, spans = edges[np.append(some, len(edges) - 1)], Spans(block.start_ns[some], block.end_ns[some])
        for first, stop in self._ages.stretches(age, of, spans) if len(some) else ():
            if self._ages.ready:
                least, part = self._ages.grid[0, 1], of[first : stop + 1]
                sooner = counts_of(part - part[0], age[part[0] : part[-1], 0] < least)
                n = np.diff(part).astype(np.float64)
                found.value[some[first:stop], k], found.n[some[first:stop], k] = sooner / n, n

    @staticmethod
    def _keys(known: Known, at: Int, j: int) -> Int:
        """The accounts of outcomes: an entity's keys, or the sources of the reports."""
        return known.keys[at, j] if j < known.keys.shape[1] else known.source[at]

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The accounts that were odd last."""
        return self._noted.get(series, at)

    def parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory,
            "risk": self._risk.memory,
            "ages": self._ages.memory,
            "ripening": self._ripening.memory,
        }
