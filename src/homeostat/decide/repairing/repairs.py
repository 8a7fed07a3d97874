"""Events as they came -> events as the stages see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.decide.repairing.copies import Copies
from homeostat.decide.repairing.plan import FieldRepair, RepairPlan, Shift
from homeostat.expressions import Compiled, Membership, Programs
from homeostat.records.arrays import Float, Int, Mask, State
from homeostat.records.events import Came, EventBatch

_SPAN_NS = 2**62  # Beyond any event time, and no sum of it with a shift leaves 64 bits.


class Repairs:
    """The repairs in force; a `decide.contracts.Repairing`. It remembers contents only where copies are dropped.

    lists : who is on which list, where a condition asks
    """

    def __init__(self, plan: RepairPlan, lists: Membership | None = None) -> None:
        self.plan, self._lists = plan, lists
        self._fields = Conditions([one.where for one in plan.fields], lists)
        self._shift = Conditions([None if plan.shift is None else plan.shift.where], lists)
        self._copies = None if plan.copies is None else Copies(plan.copies)
        self._of_copies = Conditions([None if plan.copies is None else plan.copies.where], lists)

    @property
    def remembers(self) -> object:
        """The plan of the copies, with the text of its condition."""
        copies = self.plan.copies
        if copies is None:
            return None
        return (replace(copies, where=None), None if copies.where is None else copies.where.text)

    def blank(self) -> Repairs:
        """The same repairs, which remember nothing."""
        return Repairs(self.plan, self._lists)

    def repaired(self, events: EventBatch) -> EventBatch:
        """The events with their fields and times repaired; the batch itself where none of them is another."""
        plan, raw = self.plan, events.as_came
        numbers, time_ns, reach_ns, texts = raw.numbers, raw.time_ns, raw.reach_ns, raw.texts
        if plan.fields:
            numbers = raw.numbers.copy()
            for one, rows in zip(plan.fields, self._fields.hold(raw), strict=True):
                numbers[:, one.column] = _field(one, raw.numbers[:, one.column], rows)
                texts = {**texts, **{(int(code), 0): text for code, text in one.texts.items()}} if one.texts else texts
        if plan.shift is not None:
            time_ns, reach_ns = _shifted(plan.shift, raw, self._shift.hold(raw)[0])
        if np.array_equal(time_ns, raw.time_ns) and np.array_equal(numbers, raw.numbers, equal_nan=True):
            return raw
        came = Came(raw.time_ns, raw.numbers, np.zeros(len(raw), np.uint8))
        return replace(raw, numbers=numbers, time_ns=time_ns, reach_ns=reach_ns, texts=texts, came=came)

    def without_copies(self, events: EventBatch, running: Int, stand: bool = False) -> EventBatch:
        """The events with the copies among them marked, so that the windows leave them out; contents are remembered.

        running : (n,) the watermark as each event arrives
        stand : what is marked already stays as it is, and nothing else is
        """
        if self._copies is None:
            return events
        copy = self._copies.among(events, running, self._of_copies.hold(events.as_came)[0])
        if stand or not copy.any():
            return events
        return events.as_copies(copy)

    def state(self) -> State:
        return {} if self._copies is None else self._copies.state()

    def restore(self, state: State) -> None:
        """Continue from `state()`; what another plan remembers of copies is of no use."""
        if self._copies is not None:
            self._copies.restore(state)


class Conditions:
    """Conditions on events as they came.

    programs : None for one that always holds
    """

    def __init__(self, programs: list[Compiled | None], lists: Membership | None) -> None:
        self._asked = [at for at, one in enumerate(programs) if one is not None]
        self._count = len(programs)
        self._lists, self._given = lists, [one for one in programs if one is not None]
        self._width, self._programs = -1, Programs([], [])

    def hold(self, events: EventBatch) -> list[Mask]:
        """(n,) for each condition, where it holds."""
        every = np.ones(len(events), bool)
        found = [every] * self._count
        if not self._asked:
            return found
        width = events.numbers.shape[1]
        if width != self._width:
            targets = range(width, width + len(self._given))
            self._programs, self._width = Programs(self._given, targets, self._lists), width
        frame = np.empty((len(events), width + len(self._given)))
        frame[:, :width] = events.numbers
        self._programs.run(frame, events.keys, events.key_checks, events.time_ns)
        for place, at in enumerate(self._asked):
            found[at] = frame[:, width + place] != 0.0
        return found


def _field(one: FieldRepair, raw: Float, rows: Mask) -> Float:
    """One field's values, repaired in the rows that are meant."""
    if one.op == "mask":
        return np.where(rows, np.nan, raw)
    if one.op == "impute":
        return np.where(rows & np.isnan(raw), one.value, raw)
    if one.op == "map":
        made = raw.copy()
        for code, to in one.codes.items():
            made[rows & (raw == code)] = to
        if one.allowed is not None:
            made[~np.isin(made, list(one.allowed))] = np.nan
        return made
    with np.errstate(over="ignore", invalid="ignore"):
        converted = raw * one.factor + one.offset
    converted = np.rint(converted) if one.whole else converted
    made = np.where(rows, converted, raw) + 0.0  # Makes -0.0 0.0: equal values must have equal bits.
    made[~((made >= one.low) & (made <= one.high) & np.isfinite(made))] = np.nan
    return made


def _shifted(shift: Shift, raw: EventBatch, rows: Mask) -> tuple[Int, Int | None]:
    """Event times, and how far the events reach; one that was ahead of the clock reaches no further than it did."""
    by_ns = np.where(rows, shift.by_ns, 0)
    time_ns = np.clip(raw.time_ns + by_ns, -_SPAN_NS, _SPAN_NS)
    if raw.reach_ns is None:
        return time_ns, None
    own = raw.reach_ns == raw.time_ns
    return time_ns, np.where(own, time_ns, np.minimum(raw.reach_ns, time_ns))
