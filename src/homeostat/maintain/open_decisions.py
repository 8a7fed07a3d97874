"""Decisions that are remembered until their outcomes can come no more, so that each outcome meets its decision.

Rows lie in the order in which their ticks closed. Those of one tick are old enough together: a tick's rows are no
younger than its end. So maturity and forgetting go by ticks, and cost nothing a row.

Features are remembered to seven digits: they are most of the memory, and only their places among others are looked at.
Rows lie in a ring: a row has the place that is its number modulo the ring's length, so that no row is ever moved.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from homeostat.maintain.contracts import Known, Tick
from homeostat.maintain.id_runs import IdRuns
from homeostat.maintain.outcomes_due import Reported
from homeostat.records.arrays import AnyArray, Bits, Float, Int, State
from homeostat.records.identity import ABSENT, Ids
from homeostat.stats.chance import keyed_chances

_COLUMNS = (
    "id_code", "id_check", "time_ns", "risk", "action", "label", "amount", "known_ns", "done", "keys", "numbers",
    "features",
)  # fmt: skip


ROOM = 256
"""A ring has room for so many rows at least."""


@dataclass(frozen=True, slots=True)
class Ages:
    """When outcomes count.

    matures_ns : the age at which good and bad outcomes are both known
    horizon_ns : the age from which on a decision is forgotten
    unknown_negative : whether silence at the age of maturity stands for a negative outcome
    censoring : actions after which no outcome is seen, and silence says nothing
    """

    matures_ns: int
    horizon_ns: int
    unknown_negative: bool = False
    censoring: tuple[int, ...] = ()


class OpenDecisions:
    """See the module.

    widths : entities, fields, and the features that are remembered, the first ones of a tick's
    rows_max : so many are remembered. Of more, a share is remembered by a hash of their ids, the same of all ticks:
        it halves when they are too many, and doubles when they are few. `share` says it
    keys : of that hash
    """

    def __init__(self, ages: Ages, widths: tuple[int, int, int], rows_max: int, keys: Bits) -> None:
        self.halvings = 0
        self._ages, self._widths, self._rows_max, self._keys = ages, widths, rows_max, keys
        self._first = self._stop = self._ripe = 0  # Rows are numbered from the first that ever was.
        self._ends: list[tuple[int, int]] = []  # End of each tick, and the number after its last row.
        self._ids = IdRuns()
        self._rows = self._made(ROOM)

    def __len__(self) -> int:
        return self._stop - self._first

    @property
    def share(self) -> float:
        """The share of ids that is remembered now."""
        return float(2.0**-self.halvings)

    def known(self, tick: Tick, reported: Reported | None) -> Known:
        """Take a tick's decisions in, then its outcomes; returns these, and those that have become mature."""
        self._remember(tick)
        fresh = None if reported is None else self._answer(reported, tick.end_ns)
        ripe = self._ripen(tick.end_ns)
        self._forget(tick.end_ns)
        parts = [part for part in (fresh, ripe) if part is not None]
        if len(parts) == 1:
            return parts[0]
        return _together(parts) if parts else nothing_known(*self._widths)

    def _remember(self, tick: Tick) -> None:
        events, n = tick.events, len(tick)
        at: slice | Int = slice(0, n)
        if self.halvings and n:
            at = np.flatnonzero(keyed_chances(self._keys, events.id_code, events.id_check)[:, 0] < self.share)
            n = len(at)
        if n:
            self._reserve(n)
            place, rows = self._places(self._stop, self._stop + n), self._rows
            rows["id_code"][place], rows["id_check"][place] = events.id_code[at], events.id_check[at]
            rows["time_ns"][place], rows["risk"][place] = events.time_ns[at], tick.risk[at]
            rows["action"][place], rows["keys"][place] = tick.action[at], events.keys[at]
            rows["numbers"][place] = events.numbers[at]
            with np.errstate(over="ignore"):
                rows["features"][:, place] = tick.features.values[at, : self._widths[2]].T
            rows["label"][place], rows["amount"][place] = np.nan, np.nan
            rows["known_ns"][place], rows["done"][place] = 0, 0
            self._ids.add(events.id_code[at], self._stop, self._first)
            self._stop += n
        self._ends.append((tick.end_ns, self._stop))
        if len(self) > self._rows_max:
            self._forget(tick.end_ns)
        while len(self) > self._rows_max:
            self.halvings += 1
            self._thin()

    def _find(self, ids: Ids) -> Int:
        """(m,) the numbers of these events' rows, -1 where they are not remembered."""
        number = self._ids.find(ids.code, self._first)
        wrong = (number >= 0) & (self._rows["id_check"][np.maximum(number, 0) % self._length] != ids.check)
        number[wrong] = -1
        return number

    def _answer(self, reported: Reported, end_ns: int) -> Known:
        number = self._find(reported.ids)
        there, at = number >= 0, np.maximum(number, 0) % self._length
        rows, mine = self._rows, at[there]
        ripe = there & (number < self._ripe)
        old = ~there & (reported.time_ns != ABSENT)
        old[old] = end_ns - reported.time_ns[old] >= self._ages.matures_ns
        mature = ripe | old | (reported.whole == 1)
        rows["label"][mine], rows["amount"][mine] = reported.label[there], reported.amount[there]
        rows["known_ns"][mine] = reported.known_ns[there]
        rows["done"][mine] |= reported.whole[there]
        time_ns = np.where(reported.time_ns == ABSENT, reported.known_ns, reported.time_ns)
        action = np.where(there, rows["action"][at], -1).astype(np.int16)
        numbers, features = rows["numbers"][at], _rows(rows["features"], at)
        if len(mine) < len(number):
            numbers[~there], features[~there] = np.nan, np.nan
        return Known(
            np.where(there, rows["time_ns"][at], time_ns), reported.known_ns, reported.label, reported.amount,
            np.where(there, rows["risk"][at], np.nan), action, self._censored(action), mature.astype(np.uint8),
            numbers, features,
            np.where(there[:, None], rows["keys"][at], reported.keys), np.zeros(len(reported), np.int64),
            np.ones(len(reported), np.uint8),
        )  # fmt: skip

    def _ripen(self, end_ns: int) -> Known | None:
        """The outcomes of the rows that have come to the age of maturity at `end_ns`."""
        upto = self._row_before(end_ns - self._ages.matures_ns)
        if upto <= self._ripe:
            return None
        begin = max(self._ripe, self._first)
        self._ripe = upto
        label, action, done = (self._live(name, begin, upto) for name in ("label", "action", "done"))
        silent, censored = np.isnan(label), self._censored(action)
        counts = (done == 0) & (~silent | (np.bool_(self._ages.unknown_negative) & (censored == 0)))
        if not counts.any():
            return None
        at, rows = (begin + np.flatnonzero(counts)) % self._length, self._rows
        silent, censored, time_ns = silent[counts], censored[counts], rows["time_ns"][at]
        return Known(
            time_ns, np.where(silent, time_ns + self._ages.matures_ns, rows["known_ns"][at]),
            np.where(silent, 0.0, label[counts]), rows["amount"][at], rows["risk"][at], rows["action"][at], censored,
            np.ones(len(at), np.uint8), rows["numbers"][at], _rows(rows["features"], at), rows["keys"][at],
            np.zeros(len(at), np.int64), np.zeros(len(at), np.uint8),
        )  # fmt: skip

    def _censored(self, action: AnyArray) -> AnyArray:
        found = np.zeros(len(action), np.uint8)
        for one in self._ages.censoring:
            found[action == one] = 1
        return found

    def _row_before(self, end_ns: int) -> int:
        """The number after the last row of the ticks that ended by then."""
        place = bisect_right(self._ends, end_ns, key=lambda one: one[0])
        return self._ends[place - 1][1] if place else 0

    def _forget(self, end_ns: int) -> None:
        oldest = end_ns - max(self._ages.horizon_ns, self._ages.matures_ns)
        gone = 0
        while gone < len(self._ends) and self._ends[gone][0] <= oldest:
            gone += 1
        if gone:
            self._first = self._ends[gone - 1][1]
            self._ripe = max(self._ripe, self._first)
            del self._ends[:gone]
        if self.halvings and len(self) < self._rows_max // 4:
            self.halvings -= 1  # From the next tick on, twice the share is remembered.

    def _thin(self) -> None:
        """Forget those rows whose ids are not of the share."""
        first = self._first
        code, check = self._live("id_code", first, self._stop), self._live("id_check", first, self._stop)
        stays = keyed_chances(self._keys, np.ascontiguousarray(code), np.ascontiguousarray(check))[:, 0] < self.share
        before = np.concatenate([[0], np.cumsum(stays)])  # How many of the rows before each stay.
        at = (first + np.flatnonzero(stays)) % self._length
        kept = {name: _part(column, name, at) for name, column in self._rows.items()}
        self._ends = [(end, first + int(before[max(stop, first) - first])) for end, stop in self._ends]
        self._ripe = first + int(before[max(self._ripe, first) - first])
        self._stop = first + len(kept["id_code"])
        self._place(kept)
        self._ids = IdRuns()
        self._ids.add(kept["id_code"], first)

    def _place(self, kept: dict[str, AnyArray], n: int = 0) -> None:
        """Lay the live rows into a ring with room for n more of them, and for half as many again."""
        self._rows = self._made(max(ROOM, 3 * (len(self) + n) // 2))
        place = self._places(self._first, self._stop)
        for name, column in kept.items():
            if name == "features":
                self._rows[name][:, place] = column
            else:
                self._rows[name][place] = column

    def _places(self, begin: int, stop: int) -> slice | Int:
        """The places of the rows of consecutive numbers; a slice where they lie together."""
        first = begin % self._length
        if first + stop - begin <= self._length:
            return slice(first, first + stop - begin)
        return np.arange(begin, stop) % self._length

    @property
    def _length(self) -> int:
        return len(self._rows["id_code"])

    def _live(self, name: str, begin: int, stop: int) -> AnyArray:
        """A column of the rows of consecutive numbers; a view where they lie together."""
        return _part(self._rows[name], name, self._places(begin, stop))

    def _reserve(self, n: int) -> None:
        """Make room for so many more rows."""
        if len(self) + n > self._length:
            self._place({name: self._live(name, self._first, self._stop) for name in self._rows}, n)

    def _made(self, n: int) -> dict[str, AnyArray]:
        entities, fields, features = self._widths
        ints = {name: np.zeros(n, np.int64) for name in ("id_code", "id_check", "time_ns", "known_ns")}
        floats = {name: np.zeros(n) for name in ("risk", "label", "amount")}
        return {
            **ints, **floats, "action": np.zeros(n, np.int16), "done": np.zeros(n, np.uint8),
            "keys": np.zeros((n, entities), np.int64), "numbers": np.zeros((n, fields)),
            "features": np.zeros((features, n), np.float32),
        }  # fmt: skip

    def state(self) -> State:
        """The decisions, and which of them are mature."""
        found: State = {name: self._live(name, self._first, self._stop).copy() for name in _COLUMNS}
        found["ends"] = np.array(self._ends, np.int64).reshape(-1, 2)
        found["numbers_of_rows"] = np.array([self._first, self._ripe, self.halvings], np.int64)
        return found

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        first, ripe, halvings = np.asarray(state["numbers_of_rows"], np.int64).tolist()
        self._first = first
        self._stop = first + len(state["id_code"])
        self._ripe, self.halvings = ripe, halvings
        self._ends = [(int(end), int(stop)) for end, stop in np.asarray(state["ends"], np.int64).tolist()]
        self._place({name: np.asarray(state[name]) for name in _COLUMNS})
        self._ids = IdRuns()
        self._ids.add(np.asarray(state["id_code"], np.int64), first)


def _part(column: AnyArray, name: str, at: slice | Int) -> AnyArray:
    """Some rows of a column. Features lie column by column: so they are saved faster, and compress to less."""
    found: AnyArray = column[:, at] if name == "features" else column[at]
    return found


def _rows(features: AnyArray, at: Int) -> Float:
    """(m, features) of some rows."""
    return features[:, at].T.astype(np.float64, order="C")


def nothing_known(entities: int, fields: int, features: int) -> Known:
    """No outcomes at all."""
    ints, floats, octets = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8)
    return Known(
        ints, ints, floats, floats, floats, np.zeros(0, np.int16), octets, octets, np.zeros((0, fields)),
        np.zeros((0, features)), np.zeros((0, entities), np.int64), ints, octets,
    )  # fmt: skip


def _together(parts: list[Known]) -> Known:
    return Known(*(np.concatenate([getattr(part, name) for part in parts]) for name in Known.__slots__))
