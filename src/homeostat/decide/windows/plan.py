"""The tasks of the windows, resolved to array columns: the engine's only configuration."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from enum import IntEnum

LABEL = -2
"""Value code of an aggregate over the outcome's label instead of a value column."""

NO_VALUE = -1
"""Value code of an aggregate over the events themselves."""

ABSENT_KEY = -(2**63)
"""The key of an event that does not name this entity."""

SPAN_NS_MAX = 2**60
"""36 years: the longest delay or length, so that no sum of them with a time leaves 64 bits."""

LATENESS_NS_MAX = 2 * SPAN_NS_MAX
"""The longest lateness: as declared, and as much again by which shared entities' events may be out of order."""

MASKS_MAX = 63
"""The masks of a logged event share one word."""


class Kind(IntEnum):
    """The function that is computed of a window's events.

    An aggregate with a value column sees only the events that have a value there (one that is not finite is
    none), so that COUNT of a column counts its values. Sums, means and deviations are those of exact arithmetic,
    rounded; there is none where it is too large for a float.
    """

    COUNT = 0
    SUM = 1
    MEAN = 2
    STD = 3  # Of the sample (n - 1); none below two values.
    MIN = 4
    MAX = 5
    DISTINCT = 6
    LAST = 7  # The newest value, that of the event itself included where the window includes it.
    SINCE_LAST = 8  # Seconds since the newest event other than the event itself.
    SINCE_FIRST = 9  # Seconds since the oldest event other than the event itself.
    RATE = 10  # Events per second of the window's declared length.
    COUNT_SINCE = 11  # Events after the newest one with a positive label; none without such a one.


class LabelFilter(IntEnum):
    """Which events a window admits by their outcome."""

    ANY = 0
    POSITIVE = 1
    NEGATIVE = 2
    KNOWN = 3


class RowKind(IntEnum):
    """The request of a row of a batch."""

    EVENT = 0
    EVENT_NOT_INSERTED = 1
    OUTCOME = 2


VALUED = frozenset({Kind.SUM, Kind.MEAN, Kind.STD, Kind.MIN, Kind.MAX, Kind.DISTINCT, Kind.LAST})
"""Kinds that make no sense without a value."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One number of one window.

    value : a column of the batch's `values`, or LABEL, or NO_VALUE.
    slot : the feature column it is written to.
    """

    kind: Kind
    value: int
    slot: int


@dataclass(frozen=True, slots=True)
class Window:
    """The events of one entity in (t - delay - length, t - delay], at an event of time t.

    entity : column of the batch's `keys`.
    length_ns, delay_ns : nanoseconds; length > 0, delay >= 0, and > 0 where the window depends on labels, because
        the label that comes with an event must not be seen at its own time.
    mask : column of the batch's `masks` that admits an event, or -1 for all.
    past : leaves out the event itself, where delay_ns is 0; it changes nothing otherwise.
    """

    entity: int
    length_ns: int
    delay_ns: int
    mask: int
    label: LabelFilter
    past: bool
    aggregates: tuple[Aggregate, ...]

    def faults(self) -> list[str]:
        """The faults of this window by itself, as sentences."""
        found = []
        if not 0 < self.length_ns <= SPAN_NS_MAX:
            found.append(f"length_ns {self.length_ns} is not in 1..{SPAN_NS_MAX}")
        if not 0 <= self.delay_ns <= SPAN_NS_MAX:
            found.append(f"delay_ns {self.delay_ns} is not in 0..{SPAN_NS_MAX}")
        uses_label = self.label != LabelFilter.ANY or any(
            a.value == LABEL or a.kind == Kind.COUNT_SINCE for a in self.aggregates
        )
        if uses_label and self.delay_ns == 0:
            found.append("a window that depends on labels needs a delay")
        for a in self.aggregates:
            if a.kind in VALUED and a.value == NO_VALUE:
                found.append(f"{a.kind.name} needs a value")
        return found


_STATE = 2  # How the windows' state is laid out: since 2, with a check beside each key and exact sums.


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """All windows of an app.

    entities, values, masks : number of columns of the batch's `keys`, `values` and `masks`.
    features : number of feature columns; those no aggregate names come back as NaN.
    lateness_ns : how far behind the newest event an event may be and still be inserted.
    unknown_is_negative : whether an unknown label counts as 0 in aggregates over LABEL, or is skipped.
    own_time : whether lateness and what is retained are counted from the newest event of the same entity, instead of
        from the newest of all: where entities are shared by several writers, who see different newest events.
    Raises ValueError, naming every fault.
    """

    entities: int
    values: int
    masks: int
    features: int
    windows: tuple[Window, ...]
    lateness_ns: int
    unknown_is_negative: bool
    own_time: bool = False

    def __post_init__(self) -> None:
        found = []
        if not 0 <= self.lateness_ns <= LATENESS_NS_MAX:
            found.append(f"lateness_ns {self.lateness_ns} is not in 0..{LATENESS_NS_MAX}")
        if not 0 <= self.masks <= MASKS_MAX:
            found.append(f"masks {self.masks} is not in 0..{MASKS_MAX}")
        slots = [a.slot for w in self.windows for a in w.aggregates]
        if len(set(slots)) != len(slots):
            found.append("two aggregates share a slot")
        for number, window in enumerate(self.windows):
            found += [f"window {number}: {fault}" for fault in window.faults() + self._out_of_range(window)]
        if found:
            raise ValueError("; ".join(found))

    def _out_of_range(self, window: Window) -> list[str]:
        found = []
        if not 0 <= window.entity < self.entities:
            found.append(f"there is no entity {window.entity}")
        if not -1 <= window.mask < self.masks:
            found.append(f"there is no mask {window.mask}")
        for a in window.aggregates:
            if not (a.value in (LABEL, NO_VALUE) or 0 <= a.value < self.values):
                found.append(f"there is no value column {a.value}")
            if not 0 <= a.slot < self.features:
                found.append(f"there is no feature column {a.slot}")
        return found

    def fingerprint(self) -> bytes:
        """32 bytes that differ between plans: a snapshot carries them, so that it is never read by another plan."""
        return hashlib.sha256(repr((_STATE, astuple(self))).encode()).digest()
