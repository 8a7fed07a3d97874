"""How decisions are served: how fast, by which parts, under which settings and versions, of which features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.rows_of_ticks import counts_of, sums_of, ticks_of
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.compiled import compiled
from homeostat.records.reasons import Fallback
from homeostat.records.signals import Kind, Measured, Series


@dataclass(frozen=True, slots=True)
class Replayed:
    """Features of some events of a tick, computed again from the record.

    rows : (m,) of the tick, rising
    values : (m, features)
    known : (m, features) whether each was computed: not all are, of a sample of the entities
    """

    rows: Int
    values: Float
    known: Mask


class Replayer(Protocol):
    """Computes features again, by the windows that serve."""

    def replayed(self, tick: Tick) -> Replayed | None:
        """Those of a tick, or of several as one; None where there are none. Ticks come in order, each once."""
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
        self._noted: list[dict[str, object]] = []  # Of each tick of the last block.

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
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        whole, k, scorers = block.whole, len(block), len(self._names.scorers)
        found, n = Figures(len(self.series), k), block.rows.astype(np.float64)
        self._noted = [{} for _ in range(k)]
        self._times(block, found)
        start = 4
        if whole.fallback.any():
            for bit, *_ in _BITS:
                found.share(start, counts_of(block.offsets, (whole.fallback & np.uint8(bit)) != 0), n)
                start += 1
        else:
            found.share(slice(start, start + len(_BITS)), np.zeros((k, len(_BITS))), _wide(n, len(_BITS)))
            start += len(_BITS)
        missing = np.isnan(whole.scores)
        lost = sums_of(missing.astype(np.float64), block.offsets) if missing.any() else np.zeros((k, scorers))
        found.share(slice(start, start + scorers), lost, _wide(n, scorers))
        self._gross(found, slice(4, start + scorers), n)
        some = np.maximum(n, 1.0)
        found.set(2, self._other_settings(block), some)
        found.set(3, self._alternations(block), some)
        if self._replayer is not None:
            self._skewed(block, self._replayer.replayed(block.whole), found)
        return found.measured()

    def _gross(self, found: Figures, parts: slice, n: Float) -> None:
        """A part that fails most of the time, and usually does not, is a fact: no past is needed to see it."""
        shares = np.ascontiguousarray(found.value[:, parts])
        gross = np.zeros(shares.shape)
        _follow_usual(shares, n, self._memory["usual"], self._memory["ticks"], gross)
        at = slice(parts.stop, parts.stop + shares.shape[1])
        found.set(at, gross, _wide(np.where(n >= _FAILING_LEAST, n, 0.0), shares.shape[1]))

    def _times(self, block: Block, found: Figures) -> None:
        took, edges = block.whole.took_us, block.offsets.tolist()
        middle, last, size = (np.zeros(len(block)) for _ in range(3))
        for at in range(len(block)):
            timed = took[edges[at] : edges[at + 1]]
            timed = np.sort(timed[timed > 0.0])
            n = len(timed)
            if n:
                size[at], middle[at], last[at] = n, timed[(n - 1) // 2], timed[int(0.99 * (n - 1))]
        for series, one in ((0, middle), (1, last)):
            found.set(series, np.log(np.where(size > 0, one, 1.0)), size)

    def _other_settings(self, block: Block) -> Float:
        """(k,) the share of decisions under a number that no change of the journal has put in force.

        A journal may be read from its middle on, so the first number that is seen is taken for what it is.
        """
        settings, memory, found = block.whole.settings, self._memory, np.zeros(len(block))
        if memory["settings"][0] >= 0 and not any(block.changes) and (settings == memory["settings"][0]).all():
            return found
        edges = block.offsets.tolist()
        for at, changes in enumerate(block.changes):
            numbers = settings[edges[at] : edges[at + 1]]
            allowed = {int(memory["settings"][0]), *(change.number for change in changes)}
            if len(numbers):
                if memory["settings"][0] < 0:
                    allowed.add(int(numbers[0]))
                wrong = ~np.isin(numbers, list(allowed))
                found[at] = float(wrong.mean())
                if found[at]:
                    self._noted[at]["settings"] = sorted(set(numbers[wrong].tolist()))[:20]
            if changes:
                memory["settings"][0] = changes[-1].number
            elif len(numbers) and memory["settings"][0] < 0:
                memory["settings"][0] = int(numbers[0])
        return found

    def _alternations(self, block: Block) -> Float:
        """(k,) see `_alternating`."""
        found = np.zeros(len(block))
        if len(block.whole.versions) > 1:
            for at, tick in enumerate(block.ticks):
                found[at] = self._alternating(tick, self._noted[at])
        return found

    def _alternating(self, tick: Tick, noted: dict[str, object]) -> float:
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
        noted["versions"] = list(tick.versions)
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

    def _skewed(self, block: Block, again: Replayed | None, found: Figures) -> None:
        """The share of values that differ, of the ticks with events that were computed again."""
        if again is None or not len(again.rows):
            return
        served = block.whole.features.values[again.rows]
        with np.errstate(invalid="ignore"):
            near = np.abs(served - again.values) <= _DIFFERS * np.maximum(np.abs(served), np.abs(again.values))
        same = near | (served == again.values) | (np.isnan(served) & np.isnan(again.values))
        wrong, offsets = ~same & again.known, np.searchsorted(again.rows, block.offsets)
        known = sums_of(again.known.astype(np.float64), offsets)
        found.share(slice(len(self.series) - known.shape[1], None), sums_of(wrong.astype(np.float64), offsets), known)
        of = ticks_of(offsets)
        for row, k in np.argwhere(wrong).tolist():
            example = {"served": float(served[row, k]), "replayed": float(again.values[row, k])}
            self._noted[of[row]].setdefault(f"skew {k}", example)

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The settings, versions, and values that differ."""
        start, noted = len(self.series) - len(self._names.features), self._noted[at] if self._noted else {}
        if self._replayer is not None and series >= start:
            return {"example": noted.get(f"skew {series - start}")}
        name = {2: "settings", 3: "versions"}.get(series, "")
        return {name: noted[name]} if name in noted else {}

    def state(self) -> State:
        """All that it remembers."""
        return copied(self._memory)

    def restore(self, state: State) -> None:
        """Go on from there."""
        taken(self._memory, state)


def _wide(n: Float, columns: int) -> Float:
    """(k, columns) the same number in each column."""
    return np.repeat(n[:, None], columns, axis=1)


@compiled
def _follow_usual(shares: Float, n: Float, usual: Float, ticks: Int, gross: Float) -> None:
    """Of each tick, the shares that are large and usually are not; the usual ones follow, tick by tick."""
    for k in range(len(n)):
        if n[k] < 1.0:
            continue
        for part in range(shares.shape[1]):
            share = shares[k, part]
            if share >= _MOST and usual[part] < _SELDOM and ticks[0] >= _TICKS_LEAST:
                gross[k, part] = share
            else:
                usual[part] += _USUAL_RATE * (share - usual[part])
        ticks[0] += 1
