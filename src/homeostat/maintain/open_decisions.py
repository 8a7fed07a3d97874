"""Decisions that are remembered until their outcomes can come no more, so that each outcome meets its decision.

Rows lie in the order in which their ticks closed. Those of one tick are old enough together: a tick's rows are no
younger than its end. So maturity and forgetting go by ticks, and cost nothing a row.

Features are remembered to seven digits: they are most of the memory, and only their places among others are looked at.
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

    rows_max : so many are remembered. Of more, a share is remembered by a hash of their ids, the same of all ticks:
        it halves when they are too many, and doubles when they are few. `share` says it
    keys : of that hash
    """

    def __init__(self, ages: Ages, widths: tuple[int, int, int], rows_max: int, keys: Bits) -> None:
        self.halvings = 0
        self._ages, self._widths, self._rows_max, self._keys = ages, widths, rows_max, keys
        self._first = self._stop = self._ripe = 0  # Rows are numbered from the first that ever was.
        self._base = 0  # The number of the row that lies at place 0.
        self._ends: list[tuple[int, int]] = []  # End of each tick, and the number after its last row.
        self._ids = IdRuns()
        self._rows = self._made(256)

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
            place = slice(self._stop - self._base, self._stop - self._base + n)
            rows = self._rows
            rows["id_code"][place], rows["id_check"][place] = events.id_code[at], events.id_check[at]
            rows["time_ns"][place], rows["risk"][place] = events.time_ns[at], tick.risk[at]
            rows["action"][place], rows["keys"][place] = tick.action[at], events.keys[at]
            rows["numbers"][place] = events.numbers[at]
            with np.errstate(over="ignore"):
                rows["features"][:, place] = tick.features.values[at].T
            rows["label"][place], rows["amount"][place] = np.nan, np.nan
            rows["known_ns"][place], rows["done"][place] = 0, 0
            self._ids.add(rows["id_code"][place], self._stop, self._first)
            self._stop += n
        self._ends.append((tick.end_ns, self._stop))
        if len(self) > self._rows_max:
            self._forget(tick.end_ns)
        while len(self) > self._rows_max:
            self.halvings += 1
            self._thin()

    def _find(self, ids: Ids) -> Int:
        """(m,) the places of these events, -1 where they are not remembered."""
        number = self._ids.find(ids.code, self._first)
        place = number - self._base
        wrong = (number >= 0) & (self._rows["id_check"][np.maximum(place, 0)] != ids.check)
        found: Int = np.where((number < 0) | wrong, -1, place)
        return found

    def _answer(self, reported: Reported, end_ns: int) -> Known:
        place = self._find(reported.ids)
        there, at = place >= 0, np.maximum(place, 0)
        rows, mine = self._rows, place[place >= 0]
        ripe = there & (place < self._ripe - self._base)
        old = ~there & (reported.time_ns != ABSENT)
        old[old] = end_ns - reported.time_ns[old] >= self._ages.matures_ns
        mature = ripe | old | (reported.whole == 1)
        rows["label"][mine], rows["amount"][mine] = reported.label[there], reported.amount[there]
        rows["known_ns"][mine] = reported.known_ns[there]
        rows["done"][mine] |= reported.whole[there]
        time_ns = np.where(reported.time_ns == ABSENT, reported.known_ns, reported.time_ns)
        action = np.where(there, rows["action"][at], -1).astype(np.int16)
        numbers, features = rows["numbers"][at], _rows(rows["features"], at)
        if len(mine) < len(place):
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
        place = np.arange(begin - self._base, upto - self._base)
        label, action = self._rows["label"][place], self._rows["action"][place]
        silent, censored = np.isnan(label), self._censored(action)
        counts = (self._rows["done"][place] == 0) & (
            ~silent | (np.bool_(self._ages.unknown_negative) & (censored == 0))
        )
        if not counts.any():
            return None
        at, rows = place[counts], self._rows
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
        live = slice(self._first - self._base, self._stop - self._base)
        code, check = self._rows["id_code"][live], self._rows["id_check"][live]
        stays = keyed_chances(self._keys, np.ascontiguousarray(code), np.ascontiguousarray(check))[:, 0] < self.share
        before = np.concatenate([[0], np.cumsum(stays)])  # How many of the rows before each stay.
        kept = {name: _part(column, name, np.flatnonzero(stays) + live.start) for name, column in self._rows.items()}
        first, base = self._first, self._first
        self._ends = [(end, base + int(before[max(stop, first) - first])) for end, stop in self._ends]
        self._ripe = base + int(before[max(self._ripe, first) - first])
        self._base, self._stop = base, base + len(kept["id_code"])
        self._place(kept)

    def _place(self, kept: dict[str, AnyArray]) -> None:
        """Lay these rows from place 0 on."""
        n = len(kept["id_code"])
        self._rows = self._made(max(256, n + n // 2))
        for name, column in kept.items():
            _part(self._rows[name], name, slice(0, n))[...] = column
        self._ids = IdRuns()
        self._ids.add(self._rows["id_code"][:n], self._base)

    def _reserve(self, n: int) -> None:
        """Make room for so many more rows, at the cost of the forgotten ones first."""
        if self._stop - self._base + n <= len(self._rows["id_code"]):
            return
        live = slice(self._first - self._base, self._stop - self._base)
        made = self._made(max(256, 3 * (len(self) + n) // 2))
        for name, column in self._rows.items():
            _part(made[name], name, slice(0, len(self)))[...] = _part(column, name, live)
        self._rows, self._base = made, self._first

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
        live = slice(self._first - self._base, self._stop - self._base)
        found: State = {name: _part(self._rows[name], name, live).copy() for name in _COLUMNS}
        found["ends"] = np.array(self._ends, np.int64).reshape(-1, 2)
        found["numbers_of_rows"] = np.array([self._first, self._ripe, self.halvings], np.int64)
        return found

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        first, ripe, halvings = np.asarray(state["numbers_of_rows"], np.int64).tolist()
        self._first = self._base = first
        self._stop = first + len(state["id_code"])
        self._ripe, self.halvings = ripe, halvings
        self._ends = [(int(end), int(stop)) for end, stop in np.asarray(state["ends"], np.int64).tolist()]
        self._place({name: np.asarray(state[name]) for name in _COLUMNS})


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
