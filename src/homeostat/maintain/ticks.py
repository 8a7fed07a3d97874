"""Journal entries -> ticks: all that the journal gained in each span of event time, however its entries were cut.

A row counts in the span of its own time, or, if that is closed, in the first that is open. Time goes by the watermark:
the latest time that events have reached. A span closes once the watermark is past its end by more than the lateness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.open_decisions import Ages, OpenDecisions, nothing_known
from homeostat.maintain.open_tick import OpenTick, Piece, Widths, reach_bins, tick_of, took_of
from homeostat.maintain.outcomes_due import OutcomesDue, Reported, unplaced
from homeostat.maintain.tick_state import packed, unpacked
from homeostat.ports import Entry
from homeostat.records.arrays import Int, State
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, OutcomeBatch
from homeostat.records.identity import Coding
from homeostat.records.reasons import Reason
from homeostat.records.renaming import decisions_as, outcomes_as
from homeostat.records.rows import decisions_at
from homeostat.records.vocabulary import Vocabulary

HOUR_NS = 3600 * 10**9
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class TickForm:
    """The names that ticks are in, and when they close.

    words, features, scorers : the app's present ones, in its order
    coding : of the journal
    ages : when outcomes count
    span_ns : of each tick; the spans are cut at its multiples since 1970
    lateness_ns : how long a tick stays open for events out of order, after its end
    label_delay_ns : when a label that came along with its event is known, after the event
    rows_max : so many events of a tick are kept; of more, a share
    remembered_max : so many decisions are remembered for their outcomes; of more, a share
    known_features : of a decision, so many features are remembered for its outcome, the first ones; None for all
    """

    words: Vocabulary
    features: tuple[str, ...]
    scorers: tuple[str, ...]
    coding: Coding
    ages: Ages
    span_ns: int = HOUR_NS
    lateness_ns: int = 0
    label_delay_ns: int = 0
    rows_max: int = 100_000
    remembered_max: int = 200_000
    known_features: int | None = None

    @property
    def widths(self) -> Widths:
        """How many columns a tick has."""
        words = self.words
        return Widths(len(words.entities), len(words.fields), self.features, len(self.scorers), len(words.actions))


class TickReader:
    """See the module. Entries come in with `add`, in the journal's order; ticks come out as they close."""

    def __init__(self, form: TickForm) -> None:
        self.form = form
        self._keys = np.array([form.coding.words(b"ticks")], np.uint64)
        self._widths = form.widths
        entities, fields, features = self._widths.entities, self._widths.fields, len(form.features)
        features = features if form.known_features is None else min(features, form.known_features)
        self.decisions = OpenDecisions(form.ages, (entities, fields, features), form.remembered_max, self._keys)
        self.due = OutcomesDue(entities, 4 * form.remembered_max)
        self._open: dict[int, OpenTick] = {}
        self._first: int | None = None  # The first span, from which on ticks are numbered.
        self._next = 0  # The first span that is open.
        self._now_ns = _NEVER  # The watermark.
        self._nothing = tick_of(OpenTick(), 0, (0, 0), nothing_known(entities, fields, features), self._widths)

    @property
    def now_ns(self) -> int | None:
        """The latest time that events have reached; None before the first."""
        return None if self._first is None else self._now_ns

    def add(self, body: Body, recorded_ns: int = 0) -> list[Tick]:
        """Take an entry in; returns the ticks that it closes.

        recorded_ns : when the entry was written, by the wall clock; 0 where nobody says
        """
        if isinstance(body, DecisionBatch):
            return self._decided(body, recorded_ns)
        if isinstance(body, OutcomeBatch):
            self._reported(body)
        else:
            self._changed(body)
        return []

    def refuse(self, letters: Sequence[DeadLetter], count: int | None = None) -> None:
        """Count dead letters, in the span of the present time.

        count : where only some of them are at hand
        Those of names that nobody declared are of no event, and don't count.
        """
        letters = [one for one in letters if one.reason != Reason.UNKNOWN_NAME]
        self._present().bury(list(letters), len(letters) if count is None else count)

    def repeat(self, count: int) -> None:
        """Count events that had been decided before."""
        self._present().repeats += count

    def pass_time(self, now_ns: int) -> list[Tick]:
        """Close ticks by a clock, so that a source that fell silent is seen: as if an event of that time had come.

        now_ns : the clock, less the time that events may take to get here; those that come later still are late
        """
        if self._first is None or now_ns <= self._now_ns:
            return []
        self._now_ns = now_ns
        return self._closed(int(reach_bins(np.array(now_ns - self.form.lateness_ns), self.form.span_ns)) - 1)

    def end(self) -> list[Tick]:
        """Close the ticks up to the watermark: a recording has ended."""
        return [] if self._first is None else self._closed(self._present_bin())

    def _decided(self, body: DecisionBatch, recorded_ns: int) -> list[Tick]:
        if not len(body):
            return []
        form, took_us = self.form, took_of(body)
        was = decisions_as(body, form.words, form.scorers, form.coding)
        reach = was.events.reach
        running = np.maximum.accumulate(np.maximum(reach, self._now_ns))
        if self._first is None:
            self._begin(int(reach_bins(reach[:1], form.span_ns)[0]))
        open_from = np.maximum(reach_bins(running - form.lateness_ns, form.span_ns), self._next)
        bins = np.maximum(reach_bins(reach, form.span_ns), open_from)
        self._labels_along(was, bins)
        if bins[0] == bins[-1] and (bins == bins[0]).all():
            self._gather(int(bins[0]), Piece(was, took_us, recorded_ns))
        else:
            for number, at in _grouped(bins):
                self._gather(number, Piece(decisions_at(was, at), took_us, recorded_ns))
        self._now_ns = int(running[-1])
        return self._closed(int(open_from[-1]) - 1)

    def _gather(self, number: int, piece: Piece) -> None:
        self._at(number).add(piece, self.form.rows_max, self._keys)

    def _at(self, number: int) -> OpenTick:
        return self._open.setdefault(number, OpenTick())

    def _present(self) -> OpenTick:
        """The tick of the present time; before the first event, that which will be the first."""
        return self._at(self._present_bin())

    def _present_bin(self) -> int:
        if self._first is None:
            return _NEVER
        return max(int(reach_bins(np.array(self._now_ns), self.form.span_ns)), self._next)

    def _begin(self, first: int) -> None:
        """Number the spans from the first event on; all that came before it counts there."""
        self._first = self._next = first
        if _NEVER in self._open:
            self._open[first] = self._open.pop(_NEVER)
        early = self.due.take(_NEVER)
        if early is not None:
            self._wait(early, np.maximum(early.known_ns, early.time_ns))

    def _labels_along(self, was: DecisionBatch, bins: Int) -> None:
        events = was.events
        at = np.flatnonzero(~np.isnan(events.label))
        if not len(at):
            return
        form = self.form
        known_ns = events.time_ns[at] + form.label_delay_ns
        reported = Reported(
            events.id_code[at], events.id_check[at], events.label[at], np.full(len(at), np.nan), known_ns,
            events.time_ns[at], events.keys[at], np.ones(len(at), np.uint8),
        )  # fmt: skip
        self.due.add(reported, np.maximum(reach_bins(known_ns, form.span_ns), bins[at]))

    def _reported(self, body: OutcomeBatch) -> None:
        m, form = len(body), self.form
        if not m:
            return
        body = outcomes_as(body, form.words.entities, form.coding)
        time_ns, keys = unplaced(m, self._widths.entities)
        time_ns = time_ns if body.time_ns is None else body.time_ns
        keys = keys if body.keys is None or body.keys.shape != keys.shape else body.keys
        reported = Reported(
            body.id_code, body.id_check, body.label, body.amount, body.known_ns, time_ns, keys, np.zeros(m, np.uint8)
        )
        if self._first is None:
            self.due.add(reported, np.full(m, _NEVER))
        elif body.scheduled:
            self._wait(reported, body.known_ns)
        else:
            self.due.add(reported, np.full(m, self._present_bin()))

    def _wait(self, reported: Reported, known_ns: Int) -> None:
        self.due.add(reported, np.maximum(reach_bins(known_ns, self.form.span_ns), self._next))

    def _changed(self, body: ChangeBatch) -> None:
        self._present().changes += body.changes

    def _closed(self, last: int) -> list[Tick]:
        form, first = self.form, self._first
        assert first is not None
        ticks: list[Tick] = []
        while self._next <= last:
            number = self._next
            self._next += 1
            open_ = self._open.pop(number, None) or OpenTick()
            open_.thin(form.rows_max, self._keys)
            span = ((number - 1) * form.span_ns, number * form.span_ns)
            tick = tick_of(open_, number - first + 1, span, self._nothing.known, self._widths, self._nothing)
            ticks.append(replace(tick, known=self.decisions.known(tick, self.due.take(number))))
        return ticks

    def state(self) -> State:
        """All that is open, and all that is remembered."""
        found = packed(self._open)
        found |= {f"decisions/{name}": column for name, column in self.decisions.state().items()}
        found |= {f"due/{name}": column for name, column in self.due.state().items()}
        begun = self._first is not None
        found["time"] = np.array([begun, self._first or 0, self._next, self._now_ns], np.int64)
        return found

    def restore(self, state: State) -> None:
        """Go on from `state()`, of a reader of the same form."""
        begun, first, self._next, self._now_ns = np.asarray(state["time"], np.int64).tolist()
        self._first = first if begun else None
        for name, part in (("decisions", self.decisions), ("due", self.due)):
            part.restore(
                {key.removeprefix(f"{name}/"): col for key, col in state.items() if key.startswith(f"{name}/")}
            )
        self._open = unpacked(state)


def _grouped(bins: Int) -> Iterator[tuple[int, slice | Int]]:
    """The rows of each span, in their order; as slices where they lie together."""
    steps = np.diff(bins)
    if (steps >= 0).all():
        edges = [0, *(np.flatnonzero(steps) + 1).tolist(), len(bins)]
        for start, stop in pairwise(edges):
            yield int(bins[start]), slice(start, stop)
        return
    order = np.argsort(bins, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(bins[order])) + 1):
        yield int(bins[at[0]]), at


def ticks_of(entries: Iterable[Entry | Body], form: TickForm) -> Iterator[Tick]:
    """All ticks of a journal's entries, the last of them closed, too."""
    reader = TickReader(form)
    for entry in entries:
        yield from reader.add(entry.body if isinstance(entry, Entry) else entry)
    yield from reader.end()
