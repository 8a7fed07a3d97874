"""How events come: how many, again, late, in which order, by which clock, and from whom no more."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.copies import Copies
from homeostat.maintain.monitor.figures import Figures, Memory, copied, part, taken
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.profile import Profile
from homeostat.maintain.monitor.sources import Sources
from homeostat.records.arrays import Int, State
from homeostat.records.events import Row
from homeostat.records.identity import text_of
from homeostat.records.reasons import Reason
from homeostat.records.signals import Kind, Measured, Series

_SECOND_NS = 10**9
_ORDER_NS = 60 * _SECOND_NS
_ROWS_LEAST = 10
_LAG_S, _LAG_RATE = 300.0, 0.02
_LATER = 0.58  # The point of the lags that a clock moves, and late events, being fewer, don't.


class TransportMonitor:
    """See the module. Series, by kind:

    volume : events of a tick, against the same hour
    duplicates : share of events whose id came before; share whose content came before, within ten minutes
    late : share past the app's lateness; share out of order by more than a minute; share refused as too late
    clock : share ahead of the clock, or refused for that; by how much more than five minutes the lag of event times
        behind their arrival has moved at its 58 % point, in the log of minutes; hours by which the profile of two days
        running is shifted, a fact; share refused for an unreadable time
    silence : the longest gap between events of a tick; the share of the busiest sources' traffic that is missing
    """

    name = "transport"
    series: tuple[Series, ...] = (
        Series(name, "source", Kind.VOLUME, "events", "events", "both", "count", seasonal=True, weight=2.0),
        Series(name, "source", Kind.DUPLICATES, "repeated ids", side="up"),
        Series(name, "source", Kind.DUPLICATES, "copies", side="up"),
        Series(name, "source", Kind.LATE, "late share", side="up"),
        Series(name, "source", Kind.LATE, "out of order share", side="up"),
        Series(name, "source", Kind.LATE, "refused as late", side="up"),
        Series(name, "time", Kind.CLOCK, "ahead share", side="up"),
        Series(name, "time", Kind.CLOCK, "lag", "log min", "both", "mean"),
        Series(name, "time", Kind.CLOCK, "profile shift", "h", "both", "fact"),
        Series(name, "time", Kind.CLOCK, "unreadable times", side="up"),
        Series(
            name, "source", Kind.SILENCE, "longest gap", "log of mean gaps", "up", "mean", seasonal=True, weight=0.5
        ),
        Series(name, "source", Kind.SILENCE, "silent sources", "share", "up", "mean"),
    )

    def __init__(self, names: Names) -> None:
        self._entities = len(names.entities)
        self._copies, self._sources, self._profile = Copies(), Sources(), Profile()
        self._memory: Memory = {"now": np.full(1, np.iinfo(np.int64).min), "lag": np.full(1, np.nan)}
        self._silent: Int = np.zeros(0, np.int64)

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        found, events, n = Figures(len(self.series)), tick.events, len(tick)
        came = float(max(tick.events_n, n))
        found.set(0, came, 1.0)
        found.share(1, float(tick.repeats), came + tick.repeats)
        letters = self._letters(tick)
        whole = came + tick.letters_n
        if n:
            found.share(2, *self._copies.count(events))
            found.share(3, float((events.kind == Row.LATE_EVENT).sum()), float(n))
            found.share(4, self._disorder(events.reach), float(n))
        found.share(5, letters[Reason.TOO_LATE], whole)
        ahead = 0.0 if events.reach_ns is None else float((events.time_ns > events.reach).sum())
        found.share(6, letters[Reason.TOO_EARLY] + ahead, whole)
        self._lag(tick, found)
        shift = self._profile.shift(events.time_ns, tick.end_ns)
        found.set(8, shift, 1.0)
        found.share(9, letters[Reason.BAD_TIME], whole)
        self._gap(tick, found)
        if self._entities and n:
            share, keys = self._sources.silent(events.keys[:, -1], tick.end_ns)
            found.set(11, share, float(n))
            self._silent = keys
        return found.measured()

    def _letters(self, tick: Tick) -> dict[str, float]:
        counted: dict[str, float] = {Reason.TOO_LATE: 0.0, Reason.TOO_EARLY: 0.0, Reason.BAD_TIME: 0.0}
        times = tick.letters_n / max(1, len(tick.letters))
        for letter in tick.letters:
            if letter.reason in counted:
                counted[letter.reason] += times
        return counted

    def _disorder(self, reach_ns: Int) -> float:
        """How many events come more than a minute behind the latest before them."""
        running = np.maximum.accumulate(np.maximum(reach_ns, self._memory["now"][0]))
        self._memory["now"][0] = running[-1]
        return float((reach_ns < running - _ORDER_NS).sum())

    def _lag(self, tick: Tick, found: Figures) -> None:
        known = tick.arrived_ns > 0
        n = int(known.sum())
        if n < _ROWS_LEAST:
            return
        lag_s = np.sort((tick.arrived_ns[known] - tick.events.time_ns[known]) / _SECOND_NS)
        later, usual = float(lag_s[int(_LATER * (n - 1))]), self._memory["lag"]
        moved_s = 0.0 if np.isnan(usual[0]) else later - usual[0]
        beyond = max(abs(moved_s) - _LAG_S, 0.0)
        if beyond == 0.0:
            usual[0] = later if np.isnan(usual[0]) else usual[0] + _LAG_RATE * moved_s
        found.set(7, float(np.sign(moved_s) * np.log1p(beyond / 60.0)), float(n))

    def _gap(self, tick: Tick, found: Figures) -> None:
        """The longest gap in mean gaps of the tick, as a logarithm; the tick's own edges count."""
        n = len(tick)
        if n < _ROWS_LEAST:
            return
        when = np.sort(np.clip(tick.events.reach, tick.start_ns, tick.end_ns))
        gaps = np.diff(np.concatenate([[tick.start_ns], when, [tick.end_ns]]))
        found.set(10, float(np.log(max(gaps.max() / (tick.end_ns - tick.start_ns) * (n + 1), 1.0))), float(n))

    def notes(self, series: int) -> dict[str, object]:
        """The sources that are silent."""
        last = series == len(self.series) - 1
        return {"sources": [text_of(key, 0, {}) for key in self._silent[:20].tolist()]} if last else {}

    def _parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "copies": self._copies.memory, "sources": self._sources.memory,
            "profile": self._profile.memory,
        }  # fmt: skip

    def state(self) -> State:
        """All that it remembers."""
        return {f"{name}/{key}": v for name, memory in self._parts().items() for key, v in copied(memory).items()}

    def restore(self, state: State) -> None:
        """Go on from there."""
        for name, memory in self._parts().items():
            taken(memory, part(state, name))
