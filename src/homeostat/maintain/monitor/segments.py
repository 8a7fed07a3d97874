"""Whether one part of the traffic goes wrong: each value of a category, each quarter of a number, each part of the day.

Reported positives are counted by segment: a segment's share of them stays where the base rate alone moves. Mature
outcomes show label less risk in each segment.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.figures import Figures, Memory, copied, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.outcomes import Ripening, chance_of, seen
from homeostat.maintain.monitor.reference import Reference
from homeostat.records.arrays import Float, Int, State
from homeostat.records.signals import Kind, Measured, Scale, Series

FIELDS_MAX = 12
_VALUES = 6  # Of a category, the commonest.
_QUARTERS = 4
_LEARNED_ROWS = 2_000  # Events after which a category's commonest values are chosen.
_SEEN = 64  # Values of a category among which they are chosen.
_HOUR_NS = 3_600 * 10**9


class SegmentsMonitor:
    """See the module. Series of kind `segment`, of each segment: its share of reported positives, label less risk."""

    name = "segments"

    def __init__(self, names: Names, matures_ns: int) -> None:
        self._ripening = Ripening(matures_ns)
        self._numbers = np.array(names.columns("number", "integer")[:FIELDS_MAX], np.int64)
        self._categories = np.array(names.columns("category", "boolean")[:FIELDS_MAX], np.int64)
        self._texts = [
            *(f"{names.fields[column][0]} in quarter {j + 1}" for column in self._numbers for j in range(_QUARTERS)),
            *(f"{names.fields[column][0]} is value {j + 1}" for column in self._categories for j in range(_VALUES)),
            *(f"hour in [{6 * j}, {6 * j + 6})" for j in range(4)),
        ]
        self.series: tuple[Series, ...] = tuple(
            Series(self.name, f"segment:{text}", Kind.SEGMENT, name, "share", "up", scale, weight=0.5)
            for name, scale in _FIGURES
            for text in self._texts
        )
        self._reference = Reference(len(self._numbers))
        c = len(self._categories)
        self._memory: Memory = {
            "codes": np.full((c, _SEEN), np.nan), "often": np.zeros((c, _SEEN)), "rows": np.zeros(1, np.int64),
            "chosen": np.full((c, _VALUES), np.nan),
        }  # fmt: skip

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, known, rows, k = Figures(len(self.series)), tick.known, seen(tick.known), len(self._texts)
        if len(rows.positives):
            inside = self._inside(known.numbers[rows.positives], known.time_ns[rows.positives])
            found.share(slice(0, k), inside.sum(axis=0), self._there() * len(rows.positives))
        if len(rows.mature):
            inside = self._inside(known.numbers[rows.mature], known.time_ns[rows.mature])
            risk = chance_of(known.risk[rows.mature])
            n = inside.sum(axis=0)
            size = np.maximum(n, 1.0)
            spread = np.sqrt((risk * (1.0 - risk)) @ inside) / size
            found.set(slice(k, 2 * k), (known.label[rows.mature] - risk) @ inside / size, n, spread)
        self._learn(tick)
        return found.measured() if self._ripening.ripe(tick.end_ns) else Figures(len(self.series)).measured()

    def _there(self) -> Float:
        """(segments,) 1 where a segment is known by now, else 0: until then, nothing is in it."""
        there = np.concatenate([
            np.full(len(self._numbers) * _QUARTERS, self._reference.ready), ~np.isnan(self._memory["chosen"].ravel()),
            np.ones(4, bool),
        ])  # fmt: skip
        return there.astype(np.float64)

    def _inside(self, numbers: Float, time_ns: Int) -> Float:
        """(m, segments) whether each row is in each segment, as 0 and 1; nothing is before segments are known."""
        place = self._reference.places(_finite(numbers[:, self._numbers]))
        quarter = np.minimum(np.floor(place * _QUARTERS), _QUARTERS - 1)
        of_numbers = quarter[:, :, None] == np.arange(_QUARTERS)
        of_values = numbers[:, self._categories][:, :, None] == self._memory["chosen"]
        of_hours = (time_ns // _HOUR_NS % 24 // 6)[:, None] == np.arange(4)
        m = len(numbers)
        return np.concatenate(
            [of_numbers.reshape(m, -1), of_values.reshape(m, -1), of_hours], axis=1
        ).astype(np.float64)  # fmt: skip

    def _learn(self, tick: Tick) -> None:
        at = Reference.looked_at(len(tick))
        numbers, memory = tick.events.numbers[at], self._memory
        self._reference.add(_finite(numbers[:, self._numbers]), tick.start_ns, tick.end_ns)
        if memory["rows"][0] >= _LEARNED_ROWS or not len(self._categories):
            return
        for c, column in enumerate(self._categories):
            values, counts = np.unique(numbers[~np.isnan(numbers[:, column]), column], return_counts=True)
            codes, often = memory["codes"][c], memory["often"][c]
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                slot = np.flatnonzero((codes == value) | np.isnan(codes))
                if len(slot):
                    codes[slot[0]] = value
                    often[slot[0]] += count
        memory["rows"][0] += len(at)
        if memory["rows"][0] >= _LEARNED_ROWS:
            for c in range(len(self._categories)):
                order = np.argsort(-memory["often"][c], kind="stable")[:_VALUES]
                memory["chosen"][c] = memory["codes"][c][order]

    def notes(self, series: int) -> dict[str, object]:
        """The segment's bounds, or its value's code."""
        segment = series % len(self._texts)
        of_numbers = len(self._numbers) * _QUARTERS
        if segment < of_numbers:
            grid, j = self._reference.grid[segment // _QUARTERS], segment % _QUARTERS
            low, high = float(grid[16 * j]), float(grid[16 * (j + 1)])
            return {"from": low, "to": high} if low == low else {}
        segment -= of_numbers
        if segment < len(self._categories) * _VALUES:
            code = float(self._memory["chosen"][segment // _VALUES, segment % _VALUES])
            return {"code": code} if code == code else {}
        return {}

    def _parts(self) -> dict[str, Memory]:
        return {"own": self._memory, "reference": self._reference.memory, "ripening": self._ripening.memory}

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self._parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self._parts().items():
            taken(memory, part(state, name))


_FIGURES: tuple[tuple[str, Scale], ...] = (("share of reported positives", "share"), ("label less risk", "mean"))


def _finite(values: Float) -> Float:
    return np.where(np.isfinite(values), values, np.nan)
