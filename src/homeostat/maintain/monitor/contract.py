"""Whether source fields still are what the app file says: present, of their type and range, in their unit, alive."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.coincidences import share_of_strange_pairs, spread_of_pairs
from homeostat.maintain.monitor.figures import Figures, Memory, copied, part, taken
from homeostat.maintain.monitor.magnitudes import Magnitudes, bins_of
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.repeats import Repeats
from homeostat.maintain.monitor.youth import DAY_NS, Youth
from homeostat.records.arrays import Float, State
from homeostat.records.identity import ABSENT
from homeostat.records.reasons import Reason
from homeostat.records.signals import Kind, Measured, Series

_FAR = 7.0  # Half octaves beyond the 99 % point: more than eleven times as large.
_NEAR = 2.0  # Half octaves by which a median moves before it may be another unit.
_ROWS_LEAST = 20  # For figures of a tick that make no sense of fewer rows.
_REPEATED, _REPEATS_RATE = 0.03, 0.02  # A few repeats among hundreds are no sensor that sticks.
_PAIRED_MAX = 4096  # Rows of a tick whose values are compared in pairs.
_ABSENT_REASONS = frozenset({Reason.MISSING})
_TIMES = frozenset({Reason.TOO_LATE, Reason.TOO_EARLY, Reason.BAD_TIME})
_NAMED_MAX = 20  # Values that a note names.


class ContractMonitor:
    """See the module. Series of each field and entity, by kind:

    missing : share of decided events without a value; share of events refused since it is missing
    schema : share of events refused for its type, range or form; of categories, the share of values that are new
    unit : share of values more than eleven times beyond the usual 99 % point or below a part of the 1 % point; how far
        the median moved, in octaves, beyond a factor of two; the decimals of a number
    frozen : how often two entities have the same value; how often one entity repeats its last
        value, beyond twice the usual and 3 %

    Sizes are compared with the past weeks, the last three days left out.
    """

    name = "contract"

    def __init__(self, names: Names) -> None:
        self._names = names
        self._numeric = np.array(names.columns("number", "integer"), np.int64)
        self._categories = names.columns("category")
        self._places: dict[str, tuple[int, int]] = {}
        self.series = self._series()
        self._magnitudes = Magnitudes(len(self._numeric))
        self._youth = {column: Youth(12) for column in self._categories}
        self._repeats = Repeats(len(self._numeric))
        self._memory: Memory = {"day": np.zeros(1, np.int64), "repeats": np.full(len(self._numeric), np.nan)}
        self._noted: dict[str, list[str]] = {}

    def _series(self) -> tuple[Series, ...]:
        found: list[Series] = []

        def add(name: str, nodes: list[str], kind: Kind, unit: str, scale: str, side: str, weight: float = 1.0) -> None:
            start = len(found)
            found.extend(
                Series(self.name, node, kind, name, unit, side, scale, weight=weight)  # type: ignore[arg-type]
                for node in nodes
            )
            self._places[name] = (start, len(found))

        names = self._names
        fields = [f"field:{name}" for name, _ in names.fields]
        numbers = [fields[column] for column in self._numeric.tolist()]
        entities = [f"entity:{name}" for name in names.entities]
        add("null share", fields, Kind.MISSING, "share", "share", "both")
        add("key null share", entities, Kind.MISSING, "share", "share", "both")
        self._refusable = [*fields, *entities, "time"]
        add("refused as missing", self._refusable, Kind.MISSING, "share", "share", "up")
        add("refused", [*self._refusable, "source"], Kind.SCHEMA, "share", "share", "up")
        add("new category share", [fields[column] for column in self._categories], Kind.SCHEMA, "share", "share", "up")
        add("far share", numbers, Kind.UNIT, "share", "share", "up")
        add("median move", numbers, Kind.UNIT, "octaves", "mean", "both", 0.5)
        add("decimals", numbers, Kind.UNIT, "digits", "mean", "both", 0.5)
        add("equal values", numbers, Kind.FROZEN, "share", "mean", "up")
        add("repeated values", numbers, Kind.FROZEN, "share", "mean", "up")
        return tuple(found)

    def _at(self, name: str) -> slice:
        return slice(*self._places[name])

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found = Figures(len(self.series))
        n, events = len(tick), tick.events
        self._noted = {}
        if n:
            found.share(self._at("null share"), np.isnan(events.numbers).sum(axis=0), float(n))
            found.share(self._at("key null share"), (events.keys == ABSENT).sum(axis=0), float(n))
        self._letters(tick, found)
        self._new_categories(tick, found)
        if n and len(self._numeric):
            numbers = events.numbers[:, self._numeric]
            self._sizes(numbers, found)
            self._sticking(tick, numbers, found)
        day = tick.end_ns // DAY_NS
        if day != self._memory["day"][0]:
            if self._memory["day"][0]:
                self._magnitudes.end_day()
            self._memory["day"][0] = day
        return found.measured()

    def _letters(self, tick: Tick, found: Figures) -> None:
        """Events that were refused, by field and reason, among all that came."""
        came = float(max(tick.events_n, len(tick)) + tick.letters_n)
        if came == 0:
            return
        place = {node: k for k, node in enumerate([*self._refusable, "source"])}
        absent, other = np.zeros(len(place) - 1), np.zeros(len(place))
        for letter in tick.letters:
            if letter.reason in _TIMES or letter.reason == Reason.UNKNOWN_EVENT:
                continue  # The monitor of the transport counts these.
            at = place.get(self._names.node(letter.field), place["source"])
            if letter.reason in _ABSENT_REASONS and at < len(absent):
                absent[at] += 1.0
            else:
                other[at] += 1.0
                self._note(f"refused {at}", letter.value)
        times = tick.letters_n / max(1, len(tick.letters))  # Where only some were kept.
        found.share(self._at("refused as missing"), absent * times, came)
        found.share(self._at("refused"), other * times, came)

    def _note(self, of: str, text: str) -> None:
        noted = self._noted.setdefault(of, [])
        if len(noted) < _NAMED_MAX and text not in noted:
            noted.append(text)

    def _new_categories(self, tick: Tick, found: Figures) -> None:
        start = self._places["new category share"][0]
        for k, column in enumerate(self._categories):
            values = tick.events.numbers[:, column]
            there = values[~np.isnan(values)]
            new = self._youth[column].new(there, tick.end_ns)  # type: ignore[arg-type]
            if new is None:
                continue
            found.share(start + k, float(new.sum()), float(len(there)))
            for code in np.unique(there[new])[:_NAMED_MAX].tolist():
                self._note(f"new {k}", tick.events.texts.get((int(code), 0), f"{code:g}"))

    def _sizes(self, numbers: Float, found: Figures) -> None:
        bins = bins_of(numbers)
        self._magnitudes.add(bins)
        there = ~np.isnan(bins)
        n = there.sum(axis=0).astype(np.float64)
        low, middle, high = self._magnitudes.quantiles.T
        with np.errstate(invalid="ignore"):
            far = (bins > high + _FAR) | ((bins < low - _FAR) & (bins != 0.0))
        known = ~np.isnan(high)
        found.share(self._at("far share"), np.where(known, far.sum(axis=0), np.nan), n)
        enough = known & (n >= _ROWS_LEAST)
        if enough.any():
            ordered = np.sort(bins, axis=0)  # NaN last.
            rows = np.arange(len(n))
            last = np.maximum(n.astype(np.int64) - 1, 0)
            now, lower, upper = (ordered[(last * q // 4), rows] for q in (2, 1, 3))
            move = now - middle
            beyond = np.sign(move) * np.maximum(np.abs(move) - _NEAR, 0.0) / 2.0
            noise = 0.5 * (upper - lower + 1.0) / np.sqrt(np.maximum(n, 1.0))
            found.set(self._at("median move"), np.where(enough, beyond, np.nan), n, noise)
        found.set(self._at("decimals"), _decimals(numbers, n), n)

    def _sticking(self, tick: Tick, numbers: Float, found: Figures) -> None:
        events, n = tick.events, len(tick)
        keys = events.keys
        owner = keys[:, 0] if keys.shape[1] else np.arange(n)
        some = slice(0, _PAIRED_MAX)
        start, _ = self._places["equal values"]
        for k in range(numbers.shape[1]):
            there = ~np.isnan(numbers[some, k])
            m = int(there.sum())
            if m >= _ROWS_LEAST:
                value = numbers[some, k][there]
                share = share_of_strange_pairs(value, owner[some][there])
                found.set(start + k, share, float(m), spread_of_pairs(value))
        last = keys[:, -1] if keys.shape[1] else np.zeros(n, np.int64)
        hits, asked = self._repeats.count(last, events.time_ns, numbers)
        self._repeated(hits, asked, found)

    def _repeated(self, hits: Float, asked: Float, found: Figures) -> None:
        """Shares of repeats, beyond twice the usual ones and a few percent."""
        usual = self._memory["repeats"]
        known = asked >= 1
        share = hits / np.maximum(asked, 1.0)
        first = known & np.isnan(usual)
        usual[first] = np.minimum(share[first], _REPEATED)
        beyond = np.maximum(share - 2.0 * usual - _REPEATED, 0.0)
        rate = _REPEATS_RATE * np.minimum(asked, 100.0) / 100.0
        usual += np.where(known & (beyond == 0.0), rate * (share - usual), 0.0)
        found.set(self._at("repeated values"), np.where(known, beyond, np.nan), asked)

    def notes(self, series: int) -> dict[str, object]:
        """The values that were refused, or are new."""
        for name, of in (("refused", "refused"), ("new category share", "new")):
            start, stop = self._places[name]
            if start <= series < stop:
                return {"values": list(self._noted.get(f"{of} {series - start}", []))}
        return {}

    def _parts(self) -> dict[str, Memory]:
        parts = {"own": self._memory, "magnitudes": self._magnitudes.memory, "repeats": self._repeats.memory}
        return parts | {f"youth_{column}": youth.memory for column, youth in self._youth.items()}

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self._parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self._parts().items():
            taken(memory, part(state, name))


def _decimals(numbers: Float, n: Float) -> Float:
    """(fields,) the mean number of decimals, from 0 to 3: how many of 1, 0.1, 0.01 a value is no multiple of."""
    total = np.zeros(numbers.shape[1])
    with np.errstate(invalid="ignore"):
        size = np.maximum(np.abs(numbers), 1.0)
        for scale in (1.0, 10.0, 100.0):
            scaled = numbers * scale
            total += (np.abs(scaled - np.rint(scaled)) > 1e-7 * size * scale).sum(axis=0)
        return np.where(n >= 1, total / np.maximum(n, 1.0), np.nan)
