"""How events come: how many, again, late, in which order, by which clock, and from whom no more."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.blocks import block_of, of_tick, shared
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.monitor.copies import Copies, content_of
from homeostat.maintain.monitor.figures import Figures, Memory, Remembering
from homeostat.maintain.monitor.names import Names
from homeostat.maintain.monitor.profile import Profile
from homeostat.maintain.monitor.rows_of_ticks import counts_of
from homeostat.maintain.monitor.sources import Sources
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.compiled import compiled
from homeostat.records.events import Row
from homeostat.records.identity import text_of
from homeostat.records.reasons import Reason
from homeostat.records.signals import Kind, Measured, Series

_SECOND_NS = 10**9
_ORDER_NS = 60 * _SECOND_NS
_ROWS_LEAST = 10
_LAG_S, _LAG_RATE = 300.0, 0.02
_BACKLOG_S = 2 * 86_400.0
_LATER = 0.58  # The point of the lags that a clock moves, and late events, being fewer, don't.
_REFUSALS = (Reason.TOO_LATE, Reason.TOO_EARLY, Reason.BAD_TIME)


class TransportMonitor(Remembering):
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
        self._silent: list[Int] = []  # The sources that are silent, of each tick of the last block.

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        return of_tick(self.measure_block(block_of([tick])))

    def measure_block(self, block: Block) -> Measured:
        """See `BlockMonitor`."""
        found, events, k = Figures(len(self.series), len(block)), block.whole.events, len(block)
        n = block.rows.astype(np.float64)
        came = np.maximum(block.events_n, block.rows).astype(np.float64)
        found.set(0, came, 1.0)
        found.share(1, block.repeats.astype(np.float64), came + block.repeats)
        late, early, unreadable = (self._letters(block, one) for one in _REFUSALS)
        whole = came + block.letters_n
        content = shared(block, "content", content_of)
        found.share(2, *self._copies.count(content, events.time_ns, block.offsets))
        found.share(3, counts_of(block.offsets, events.kind == Row.LATE_EVENT), n)
        found.share(4, counts_of(block.offsets, self._disorder(events.reach)), n)
        found.share(5, late, whole)
        ahead = np.zeros(k) if events.reach_ns is None else counts_of(block.offsets, events.time_ns > events.reach)
        found.share(6, early + ahead, whole)
        self._lag(block, found)
        found.set(8, self._profile.shifts(events.time_ns, block.offsets, block.end_ns), 1.0)
        found.share(9, unreadable, whole)
        self._gap(block, found)
        self._silent = []
        if self._entities:
            share, self._silent = self._sources.silent_of_ticks(events.keys[:, -1], block.offsets, block.end_ns)
            found.set(11, share, n)
        return found.measured()

    def _letters(self, block: Block, reason: Reason) -> Float:
        """(k,) how many events were refused for a reason."""
        counted = np.zeros(len(block))
        for at, letters in enumerate(block.letters):
            if letters:
                hits = sum(one.reason == reason for one in letters)
                counted[at] = hits * (int(block.letters_n[at]) / len(letters))
        return counted

    def _disorder(self, reach_ns: Int) -> Mask:
        """(n,) events that come more than a minute behind the latest before them."""
        if not len(reach_ns):
            return np.zeros(0, bool)
        memory = self._memory["now"]
        running = np.maximum.accumulate(np.maximum(reach_ns, memory[0]))
        memory[0] = running[-1]
        found: Mask = reach_ns < running - _ORDER_NS
        return found

    def _lag(self, block: Block, found: Figures) -> None:
        arrived, time_ns = block.whole.arrived_ns, block.whole.events.time_ns
        if not arrived.any():
            return
        value, size, edges, usual = (
            np.zeros(len(block)),
            np.zeros(len(block)),
            block.offsets.tolist(),
            self._memory["lag"],
        )
        for at in range(len(block)):
            rows = slice(edges[at], edges[at + 1])
            known = arrived[rows] > 0
            n = int(known.sum())
            if n < _ROWS_LEAST:
                continue
            lag_s = np.sort((arrived[rows][known] - time_ns[rows][known]) / _SECOND_NS)
            later = float(lag_s[int(_LATER * (n - 1))])
            if usual[0] > _BACKLOG_S:
                usual[0] = later  # Old events come in as fast as they are read, which says nothing of a clock.
                continue
            moved_s = 0.0 if np.isnan(usual[0]) else later - usual[0]
            beyond = max(abs(moved_s) - _LAG_S, 0.0)
            if beyond == 0.0:
                usual[0] = later if np.isnan(usual[0]) else usual[0] + _LAG_RATE * moved_s
            value[at], size[at] = np.sign(moved_s) * np.log1p(beyond / 60.0), n
        found.set(7, value, size)

    def _gap(self, block: Block, found: Figures) -> None:
        """The longest gap in mean gaps of the tick, as a logarithm; the tick's own edges count."""
        n, span = block.rows, block.end_ns - block.start_ns
        longest = np.zeros(len(block), np.int64)
        _longest_gaps(block.whole.events.reach, block.offsets, block.start_ns, block.end_ns, longest)
        times = np.maximum(longest / span * (n + 1), 1.0)
        found.set(10, np.log(times), np.where(n >= _ROWS_LEAST, n, 0))

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """The sources that are silent."""
        if series != len(self.series) - 1:
            return {}
        return {"sources": [text_of(key, 0, {}) for key in self._silent[at][:20].tolist()] if self._silent else []}

    def parts(self) -> dict[str, Memory]:
        return {
            "own": self._memory, "copies": self._copies.memory, "sources": self._sources.memory,
            "profile": self._profile.memory,
        }  # fmt: skip


@compiled
def _longest_gaps(reach_ns: Int, offsets: Int, start_ns: Int, end_ns: Int, longest: Int) -> None:
    """The longest time between two events of each tick that follow each other, its start and its end included."""
    for k in range(len(longest)):
        begin, end = offsets[k], offsets[k + 1]
        when = np.empty(end - begin, np.int64)
        ordered = True
        for i in range(begin, end):
            when[i - begin] = min(max(reach_ns[i], start_ns[k]), end_ns[k])
            if i > begin and when[i - begin] < when[i - begin - 1]:
                ordered = False
        if not ordered:
            when.sort()
        before = start_ns[k]
        for i in range(len(when)):
            longest[k] = max(longest[k], when[i] - before)
            before = when[i]
        longest[k] = max(longest[k], end_ns[k] - before)
