"""Whether outcomes are reported as they were: how late, how many never, flipped ones, and a few accounts' odd ones."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Known, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, hashed, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import Ripening, Seen, seen
from homeostat.maintain.monitor.reference import Reference
from homeostat.records.arrays import Int, State
from homeostat.records.identity import ABSENT
from homeostat.records.signals import Kind, Measured, Series

AGES = (0.1, 0.3, 0.6, 1.0, 1.4)  # Of the age of maturity; a share of outcomes is known by then.
_BINS = 512  # Of events by time; they cover 1.5 times the age of maturity.
_TABLE = 4096
_DAY_NS = 86_400 * 10**9
_HALF_LIFE_DAYS = 7.0
_OFTEN = 3.0  # So many positives of one account within some days are many.
_MUCH = 0.015  # Of all positives of that time; both make an account one of few.


class LabelsMonitor:
    """See the module. Series at the node `labels`, by kind:

    delay : share of events whose outcome is known at each of some ages; mean age of the outcomes that are reported
    flips : share of positives where risk is lowest, share of negatives where it is highest; share of the positives that
        are reported at the age at which negatives are
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
        self._noted: dict[int, dict[str, object]] = {}

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, known, rows = Figures(len(self.series)), tick.known, seen(tick.known)
        self._delays(tick, rows, found)
        if len(rows.reports):
            self._flipped(known, rows, found)
            self._poisoned(tick, rows, found)
        at = Reference.looked_at(len(tick))
        self._risk.add(np.nan_to_num(tick.risk[at], nan=0.0)[:, None], tick.start_ns, tick.end_ns)
        return found.measured() if self._ripening.ripe(tick.end_ns) else Figures(len(self.series)).measured()

    def _delays(self, tick: Tick, rows: Seen, found: Figures) -> None:
        """Events and their reported outcomes by the time of the events; the shares that are known at each age."""
        memory, known = self._memory, tick.known
        now = tick.end_ns // self._bin_ns
        first, last = memory["bin"].tolist()
        if not first:
            memory["bin"][:] = first, last = now, now - 1
        for number in range(max(last + 1, now - _BINS + 1), now + 1):
            memory["decided"][number % _BINS] = memory["answered"][number % _BINS] = 0.0
        memory["bin"][1] = now
        memory["decided"][now % _BINS] += float((~np.isin(tick.action, self._censoring)).sum())
        at = rows.reports
        if len(at):
            bins = -(-known.time_ns[at] // self._bin_ns)
            inside = (bins > now - _BINS) & (bins <= now) & (bins >= first)
            np.add.at(memory["answered"], bins[inside] % _BINS, 1.0)
            age = np.clip(known.known_ns[at] - known.time_ns[at], 0, None) / self._matures_ns
            found.set(len(AGES), float(age.mean()), float(len(at)))
        if now == last:
            return
        for k, age in enumerate(AGES):
            old = now - 1 - int(np.ceil(age * self._matures_ns / self._bin_ns))
            decided = memory["decided"][old % _BINS]
            if old > first and old > now - _BINS and decided > 0:
                found.share(k, min(memory["answered"][old % _BINS], decided), decided)

    def _flipped(self, known: Known, rows: Seen, found: Figures) -> None:
        """Outcomes that contradict a confident risk, and positives that come when negatives do."""
        at, k, memory = rows.reports, len(AGES) + 1, self._memory
        label = known.label[at]
        self._confident(known, rows.mature, k, found)
        age = (known.known_ns[at] - known.time_ns[at]) / 3.6e12
        mean, away, n = memory["negative"].tolist()
        positive = label == 1.0
        if n >= 100 and positive.any():
            near = np.abs(age[positive] - mean) <= 2.0 * away + 0.002 * self._matures_ns / 3.6e12
            found.share(k + 2, near.sum(), float(positive.sum()))
        negative = age[~positive]
        if len(negative):
            total = min(n + len(negative), 5_000.0)
            pace = len(negative) / total
            mean += (float(negative.mean()) - mean) * pace
            away += (float(np.abs(negative - mean).mean()) - away) * pace
            memory["negative"][:] = mean, away, total

    def _confident(self, known: Known, at: Int, k: int, found: Figures) -> None:
        """Mature outcomes where the risk is lowest, and where it is highest."""
        place, label = self._risk.places(known.risk[at][:, None])[:, 0], known.label[at]
        if np.isnan(place).any():
            return
        low, high = place < 0.5, place > 0.98
        found.share(k, label[low].sum(), float(low.sum()))
        found.share(k + 1, (label[high] == 0.0).sum(), float(high.sum()))

    def _poisoned(self, tick: Tick, rows: Seen, found: Figures) -> None:
        """Surprising positives by the accounts that they are of."""
        known, memory, k = tick.known, self._memory, len(AGES) + 4
        day = tick.end_ns // _DAY_NS
        if day != memory["day"][0]:
            memory["of"] *= 0.5 ** (1.0 / _HALF_LIFE_DAYS)
            memory["day"][0] = day
        at = rows.positives
        if not len(at):
            return
        self._soon(tick, at, k, found)
        k += 1
        for j in range(len(memory["of"])):
            keys = self._keys(known, at, j)
            if keys is None:
                continue
            there = keys != ABSENT
            slot = hashed(keys) % _TABLE
            bound = max(_OFTEN, _MUCH * float(memory["of"][j].sum()))
            often = there & (memory["of"][j, slot] >= bound)
            found.share(k + j, float(often.sum()), float(len(at)))
            np.add.at(memory["of"][j], slot[there], 1.0)
            if often.any():
                self._noted[k + j] = {"accounts": [int(one) for one in np.unique(keys[often])[:5]]}

    def _soon(self, tick: Tick, at: Int, k: int, found: Figures) -> None:
        """Positives by the time until they are reported, against that of the past."""
        known = tick.known
        age = ((known.known_ns[at] - known.time_ns[at]) / 3.6e12)[:, None]
        if self._ages.ready:
            found.share(k, float((age[:, 0] < self._ages.grid[0, 1]).sum()), float(len(at)))
        self._ages.add(age, tick.start_ns, tick.end_ns)

    @staticmethod
    def _keys(known: Known, at: Int, j: int) -> Int | None:
        """The accounts of outcomes: an entity's keys, or the sources of the reports where any is named."""
        keys: Int | None = None
        if j < known.keys.shape[1]:
            keys = known.keys[at, j]
        elif known.source.any():
            keys = known.source[at]
        return keys

    def notes(self, series: int) -> dict[str, object]:
        """The accounts that were odd last."""
        return dict(self._noted.get(series, {}))

    def _parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory,
            "risk": self._risk.memory,
            "ages": self._ages.memory,
            "ripening": self._ripening.memory,
        }

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self._parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self._parts().items():
            taken(memory, part(state, name))
