"""How decisions are served: how fast, by which parts, under which settings and versions, of which features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, taken
from homeostat.maintain.monitor.names import Names
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.reasons import Fallback
from homeostat.records.signals import Kind, Measured, Series


@dataclass(frozen=True, slots=True)
class Replayed:
    """Features of some events of a tick, computed again from the record.

    rows : (m,) of the tick
    values : (m, features)
    known : (m, features) whether each was computed: not all are, of a sample of the entities
    """

    rows: Int
    values: Float
    known: Mask


class Replayer(Protocol):
    """Computes features again, by the windows that serve."""

    def replayed(self, tick: Tick) -> Replayed | None:
        """Those of a tick; None where there are none. Ticks come in order, each once."""
        ...


_BITS: tuple[tuple[int, str, Kind, str], ...] = (
    (Fallback.SCORER_FAILED, "serving", Kind.OUTAGE, "scorer failed"),
    (Fallback.SCORER_LATE, "serving", Kind.LATENCY, "scorer late"),
    (Fallback.SCORERS_ABSENT, "serving", Kind.OUTAGE, "scorers absent"),
    (Fallback.POLICY_FAILED, "policy", Kind.OUTAGE, "policy failed"),
    (Fallback.POLICY_LATE, "policy", Kind.LATENCY, "policy late"),
    (Fallback.DEADLINE, "serving", Kind.LATENCY, "deadline passed"),
    (Fallback.FEATURES_STALE, "dependency:feature_store", Kind.OUTAGE, "features stale"),
    (Fallback.FEATURES_ABSENT, "dependency:feature_store", Kind.OUTAGE, "features absent"),
)
_DIFFERS = 1e-9  # Of the larger value. Served and replayed values are of one kernel and should have the same bits.
_ROWS_LEAST = 1
_MOST, _SELDOM, _USUAL_RATE, _TICKS_LEAST, _FAILING_LEAST = 0.5, 0.1, 0.02, 24, 5


class ServingMonitor:
    """See the module. Series, by kind:

    latency : median and 99 % point of a decision's time, in the log of microseconds; the fallbacks for being late
    outage : share of decisions with each cause of a fallback; share in which a scorer is missing, by scorer; of each
        of these, a fact where it holds for most decisions and usually for few
    configuration : share of decisions under other settings than the journal's changes say
    version : how often versions alternate that no canary explains
    skew : share of replayed values that were served otherwise, by feature; where there is a replayer

    The last three are facts, too: nothing but 0 is in order.
    """

    name = "serving"

    def __init__(self, names: Names, replayer: Replayer | None = None) -> None:
        self._names, self._replayer = names, replayer
        self.series = self._series()
        parts = len(_BITS) + len(names.scorers)
        self._memory: Memory = {
            "usual": np.zeros(parts),
            "ticks": np.zeros(1, np.int64),
            "settings": np.full(1, -1, np.int64),
            "changed": np.full(1, -1, np.int64),
        }
        self._noted: dict[str, object] = {}

    def _series(self) -> tuple[Series, ...]:
        name = self.name
        found = [
            Series(name, "serving", Kind.LATENCY, "median time", "log us", "up", "mean"),
            Series(name, "serving", Kind.LATENCY, "99 % time", "log us", "up", "mean"),
            Series(name, "settings", Kind.CONFIGURATION, "other settings", "share", "up", "fact"),
            Series(name, "version", Kind.VERSION, "alternating versions", "switches", "up", "fact"),
        ]
        found += [Series(name, node, kind, text, side="up") for _, node, kind, text in _BITS]
        found += [
            Series(name, f"scorer:{one}", Kind.OUTAGE, "missing scores", side="up") for one in self._names.scorers
        ]
        found += [
            Series(name, one.node, one.kind, f"mostly {one.name}", "share", "up", "fact")
            for one in found[4 : 4 + len(_BITS) + len(self._names.scorers)]
        ]
        if self._replayer is not None:
            features = self._names.features
            fields = {field for field, _ in self._names.fields}
            found += [
                Series(name, f"{'field' if one in fields else 'feature'}:{one}", Kind.SKEW, "served otherwise", "share",
                       "up", "fact")
                for one in features
            ]  # fmt: skip
        return tuple(found)

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, n = Figures(len(self.series)), len(tick)
        self._noted = {}
        if n >= _ROWS_LEAST:
            self._times(tick, found)
            bits = np.array([bit for bit, *_ in _BITS], np.uint8)
            start = 4
            found.share(slice(start, start + len(bits)), ((tick.fallback[:, None] & bits) != 0).sum(axis=0), float(n))
            start += len(bits)
            scorers = len(self._names.scorers)
            found.share(slice(start, start + scorers), np.isnan(tick.scores).sum(axis=0), float(n))
            self._gross(found, slice(4, start + scorers), float(n))
        found.set(2, self._other_settings(tick), max(1.0, float(n)))
        found.set(3, self._alternating(tick), max(1.0, float(n)))
        if self._replayer is not None:
            self._skewed(tick, found)
        return found.measured()

    def _gross(self, found: Figures, parts: slice, n: float) -> None:
        """A part that fails most of the time, and usually does not, is a fact: no past is needed to see it."""
        shares, memory = found.value[parts], self._memory
        gross = (shares >= _MOST) & (memory["usual"] < _SELDOM) & (memory["ticks"][0] >= _TICKS_LEAST)
        if n >= _FAILING_LEAST:
            found.set(slice(parts.stop, parts.stop + len(shares)), np.where(gross, shares, 0.0), n)
        memory["usual"] += np.where(gross, 0.0, _USUAL_RATE * (shares - memory["usual"]))
        memory["ticks"][0] += 1

    def _times(self, tick: Tick, found: Figures) -> None:
        took = np.sort(tick.took_us[tick.took_us > 0.0])
        n = len(took)
        if n:
            found.set(0, float(np.log(took[(n - 1) // 2])), float(n))
            found.set(1, float(np.log(took[int(0.99 * (n - 1))])), float(n))

    def _other_settings(self, tick: Tick) -> float:
        """The share of decisions under a number that no change of the journal has put in force.

        A journal may be read from its middle on, so the first number that is seen is taken for what it is.
        """
        memory = self._memory
        allowed = {int(memory["settings"][0]), *(change.number for change in tick.changes)}
        numbers = tick.settings
        share = 0.0
        if len(numbers):
            if memory["settings"][0] < 0:
                allowed.add(int(numbers[0]))
            wrong = ~np.isin(numbers, list(allowed))
            share = float(wrong.mean())
            if share:
                self._noted["settings"] = sorted(set(numbers[wrong].tolist()))[:20]
        if tick.changes:
            memory["settings"][0] = tick.changes[-1].number
        elif len(numbers) and memory["settings"][0] < 0:
            memory["settings"][0] = int(numbers[0])
        return share

    def _alternating(self, tick: Tick) -> float:
        """How often the maker of decisions is another one than before and had been seen in the tick already.

        With a canary, two versions take turns, and each entry names both: that many are no trouble.
        """
        if len(tick.versions) < 2:
            return 0.0
        version = tick.version
        first = np.array([int(np.argmax(version == k)) for k in range(len(tick.versions))])
        switches = np.flatnonzero(version[1:] != version[:-1]) + 1
        returns = np.setdiff1d(switches, first, assume_unique=True)
        deployed = any(change.kind == "deploy" for change in tick.changes)
        self._noted["versions"] = list(tick.versions)
        canary = self._canary(tick)
        return 0.0 if canary or (deployed and len(returns) < 2) else float(len(returns))

    def _canary(self, tick: Tick) -> bool:
        """Whether a canary is being tried, by the last of its changes."""
        memory = self._memory
        for change in tick.changes:
            if change.kind == "deploy" and change.scope == "canary":
                memory["changed"][0] = 1 if change.body is not None else 0
                if change.body is None:
                    return True  # Both were at work in this tick.
        return bool(memory["changed"][0] == 1)

    def _skewed(self, tick: Tick, found: Figures) -> None:
        assert self._replayer is not None
        again = self._replayer.replayed(tick)
        if again is None or not len(again.rows):
            return
        served = tick.features.values[again.rows]
        with np.errstate(invalid="ignore"):
            near = np.abs(served - again.values) <= _DIFFERS * np.maximum(np.abs(served), np.abs(again.values))
        same = near | (served == again.values) | (np.isnan(served) & np.isnan(again.values))
        known = again.known.sum(axis=0).astype(np.float64)
        start = len(self.series) - len(self._names.features)
        wrong = (~same & again.known).sum(axis=0)
        found.share(slice(start, len(self.series)), wrong, known)
        at = np.argmax(~same & again.known, axis=0)
        for k in np.flatnonzero(wrong).tolist():
            self._noted[f"skew {k}"] = {"served": float(served[at[k], k]), "replayed": float(again.values[at[k], k])}

    def notes(self, series: int) -> dict[str, object]:
        """The settings, versions, and values that differ."""
        start = len(self.series) - len(self._names.features)
        if self._replayer is not None and series >= start:
            return {"example": self._noted.get(f"skew {series - start}")}
        name = {2: "settings", 3: "versions"}.get(series, "")
        return {name: self._noted[name]} if name in self._noted else {}

    def state(self) -> State:
        """All that it remembers."""
        return copied(self._memory)

    def restore(self, state: State) -> None:
        """Go on from there."""
        taken(self._memory, state)
