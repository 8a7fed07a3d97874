"""Whether source fields still are what the app file says: present, of their type and range, in their unit, alive."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.coincidences import coincidences
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering
from homeostat.maintain.monitor.magnitudes import Magnitudes, Sizes
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.repeats import Repeats
from homeostat.maintain.monitor.rows_of_ticks import counts_of, offsets_among, sums_of
from homeostat.maintain.monitor.youth import DAY_NS, Youth
from homeostat.records.arrays import Float, Mask
from homeostat.records.compiled import compiled
from homeostat.records.identity import ABSENT
from homeostat.records.orders import reads_as_order
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


class ContractMonitor(Remembering):
    """See the module. Series of each field and entity, by kind:

    missing : share of decided events without a value; share of events refused since it is missing
    schema : share of events refused for its type, range or form; of categories, the share of values that are new; at
        `source`, how many refused or new values read as orders in words, a fact
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
        self._noted: list[dict[str, list[str]]] = []  # Of each tick of the last block.
        self._orders: Float = np.zeros(0)  # The same.

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
        add("orders in words", ["source"], Kind.SCHEMA, "values", "fact", "up")
        return tuple(found)

    def _at(self, name: str) -> slice:
        return slice(*self._places[name])

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found, events, n = Figures(len(self.series), len(block)), block.whole.events, block.rows.astype(np.float64)
        self._noted = [{} for _ in range(len(block))]
        self._orders = np.zeros(len(block))
        for name, missing in (("null share", np.isnan(events.numbers)), ("key null share", events.keys == ABSENT)):
            hits = sums_of(missing.astype(np.float64), block.offsets) if missing.any() else np.zeros((len(n), 1))
            found.share(self._at(name), hits, np.repeat(n[:, None], missing.shape[1], axis=1))
        self._letters(block, found)
        self._new_categories(block, found)
        found.set(self._places["orders in words"][0], self._orders, 1.0)
        if len(self._numeric):
            numbers = np.ascontiguousarray(events.numbers[:, self._numeric])
            self._sizes(block, numbers, found)
            self._sticking(block, numbers, found)
        return found.measured()

    def _letters(self, block: Block, found: Figures) -> None:
        """Events that were refused, by field and reason, among all that came."""
        place = {node: k for k, node in enumerate([*self._refusable, "source"])}
        absent, other = np.zeros((len(block), len(place) - 1)), np.zeros((len(block), len(place)))
        for tick, letters in enumerate(block.letters):
            for letter in letters:
                if letter.reason in _TIMES or letter.reason == Reason.UNKNOWN_EVENT:
                    continue  # The monitor of the transport counts these.
                self._orders[tick] += reads_as_order(letter.value)
                at = place.get(self._names.node(letter.field), place["source"])
                if letter.reason in _ABSENT_REASONS and at < absent.shape[1]:
                    absent[tick, at] += 1.0
                else:
                    other[tick, at] += 1.0
                    self._note(tick, f"refused {at}", letter.value)
            if letters:
                times = int(block.letters_n[tick]) / len(letters)  # Where only some were kept.
                absent[tick] *= times
                other[tick] *= times
        came = (np.maximum(block.events_n, block.rows) + block.letters_n).astype(np.float64)[:, None]
        found.share(self._at("refused as missing"), absent, np.repeat(came, absent.shape[1], axis=1))
        found.share(self._at("refused"), other, np.repeat(came, other.shape[1], axis=1))

    def _note(self, tick: int, of: str, text: str) -> None:
        noted = self._noted[tick].setdefault(of, [])
        if len(noted) < _NAMED_MAX and text not in noted:
            noted.append(text)

    def _new_categories(self, block: Block, found: Figures) -> None:
        start, events = self._places["new category share"][0], block.whole.events
        for k, column in enumerate(self._categories):
            values = events.numbers[:, column]
            there = ~np.isnan(values)
            values, offsets = values[there], offsets_among(block.offsets, there)
            new, known = self._youth[column].new_of_ticks(values, offsets, block.end_ns)
            found.share(start + k, counts_of(offsets, new), np.where(known, np.diff(offsets), 0.0))
            edges = offsets.tolist()
            for tick in np.flatnonzero(known & (counts_of(offsets, new) > 0)).tolist():
                rows = slice(edges[tick], edges[tick + 1])
                for code in np.unique(values[rows][new[rows]])[:_NAMED_MAX].tolist():
                    text = events.texts.get((int(code), 0), f"{code:g}")
                    self._orders[tick] += reads_as_order(text)
                    self._note(tick, f"new {k}", text)

    def _sizes(self, block: Block, numbers: Float, found: Figures) -> None:
        """Days end at some ticks: what the past is changes only there."""
        day, own = block.end_ns // DAY_NS, self._memory["day"]
        begin = 0
        for end in [*(np.flatnonzero(np.diff(day, prepend=own[0])) + 1).tolist(), len(block)]:
            if begin < end:
                rows = slice(int(block.offsets[begin]), int(block.offsets[end]))
                offsets = block.offsets[begin : end + 1] - rows.start
                middle, known = self._magnitudes.quantiles[:, 1].copy(), ~np.isnan(self._magnitudes.quantiles[:, 2])
                sizes = self._magnitudes.add(numbers[rows], offsets, _FAR)
                self._compare(slice(begin, end), sizes, middle, known, found)
            if begin < end and day[end - 1] != own[0]:
                if own[0]:
                    self._magnitudes.end_day()
                own[0] = day[end - 1]
            begin = end

    def _compare(self, ticks: slice, sizes: Sizes, middle: Float, known: Mask, found: Figures) -> None:
        """How the sizes of ticks lie against those of the past. middle : (fields,) its median, where `known`"""
        n, size = sizes.n, np.maximum(sizes.n, 1.0)
        enough = known & (n >= _ROWS_LEAST)
        move = sizes.points[:, :, 1] - middle
        beyond = np.sign(move) * np.maximum(np.abs(move) - _NEAR, 0.0) / 2.0
        noise = 0.5 * (sizes.points[:, :, 2] - sizes.points[:, :, 0] + 1.0) / np.sqrt(size)
        noise[~enough.any(axis=1)] = np.nan
        for name, value, spread in (
            ("far share", np.where(known, sizes.far / size, np.nan), np.nan),
            ("median move", np.where(enough, beyond, np.nan), noise),
            ("decimals", sizes.decimals / size, np.nan),
        ):
            at = self._at(name)
            found.value[ticks, at], found.n[ticks, at], found.spread[ticks, at] = value, n, spread

    def _sticking(self, block: Block, numbers: Float, found: Figures) -> None:
        events, offsets = block.whole.events, block.offsets
        keys, rows = events.keys, len(block.whole)
        owner = keys[:, 0] if keys.shape[1] else np.arange(rows)
        start, _ = self._places["equal values"]
        for k in range(numbers.shape[1]):
            equal = coincidences(np.ascontiguousarray(numbers[:, k]), owner, offsets, _PAIRED_MAX)
            enough = equal.n >= _ROWS_LEAST
            spread = np.where(enough, equal.spread, np.nan)
            found.set(start + k, equal.share, np.where(enough, equal.n, 0.0), spread)
        last = np.ascontiguousarray(keys[:, -1]) if keys.shape[1] else np.zeros(rows, np.int64)
        hits, asked = self._repeats.count_of_ticks(last, events.time_ns, numbers, offsets)
        beyond = np.full(hits.shape, np.nan)
        _beyond_usual(hits, asked, self._memory["repeats"], beyond)
        found.set(self._at("repeated values"), beyond, asked)

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The values that were refused, or are new."""
        noted = self._noted[at] if self._noted else {}
        for name, of in (("refused", "refused"), ("new category share", "new")):
            start, stop = self._places[name]
            if start <= series < stop:
                return {"values": list(noted.get(f"{of} {series - start}", []))}
        return {}

    def parts(self) -> dict[str, Memory]:
        parts = {"own": self._memory, "magnitudes": self._magnitudes.memory, "repeats": self._repeats.memory}
        return parts | {f"youth_{column}": youth.memory for column, youth in self._youth.items()}


@compiled
def _beyond_usual(hits: Float, asked: Float, usual: Float, beyond: Float) -> None:
    """Shares of repeats, beyond twice the usual ones and a few percent; the usual ones follow, tick by tick."""
    for k in range(len(hits)):
        for field in range(len(usual)):
            n = asked[k, field]
            if n < 1.0:
                continue
            share = hits[k, field] / n
            if usual[field] != usual[field]:
                usual[field] = min(share, _REPEATED)
            beyond[k, field] = max(share - 2.0 * usual[field] - _REPEATED, 0.0)
            if beyond[k, field] == 0.0:
                usual[field] += _REPEATS_RATE * min(n, 100.0) / 100.0 * (share - usual[field])
