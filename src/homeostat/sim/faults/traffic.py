"""Raw traffic before intake, as columns: each event as it happened, as it says it did, and as it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Float, Int

NEVER = np.iinfo(np.int64).max
HOUR_NS, DAY_NS = 3_600_000_000_000, 86_400_000_000_000
AS_DECLARED, RENAMED, RETYPED, INSTRUCTION = 0, 1, 2, 3
"""Forms of a value on the wire: in its field, under another name, as a text with a unit, as an order in words."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """`n` events in order of arrival.

    id : (n,) each once
    sent_ns, time_ns, arrived_ns : (n,) when it happened, when it says that it did, when it comes
    keys : (n, entities) of the entities that are read, not of pairs
    numbers : (n, fields) NaN where absent; a category is its place in `words`
    form : (n, fields) how the value is written
    label : (n,) the truth, 0 or 1
    reported : (n,) the label that is reported
    known_ns : (n,) when it is reported; NEVER for never
    words : by field, the texts of a category; nothing for other fields
    """

    id: Int
    sent_ns: Int
    time_ns: Int
    arrived_ns: Int
    keys: Int
    numbers: Float
    form: Bytes
    label: Bytes
    reported: Bytes
    known_ns: Int
    words: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.id)

    def rows(self, at: slice | Int | NDArray[np.bool_]) -> Traffic:
        """The rows of a slice, those where a mask holds, or those of these numbers."""
        return Traffic(
            self.id[at], self.sent_ns[at], self.time_ns[at], self.arrived_ns[at], self.keys[at], self.numbers[at],
            self.form[at], self.label[at], self.reported[at], self.known_ns[at], self.words,
        )  # fmt: skip

    def since(self, moment_ns: int) -> int:
        """The first row that arrives at a moment or later."""
        return int(np.searchsorted(self.arrived_ns, moment_ns))

    def happened(self, start_ns: int, end_ns: int = NEVER) -> NDArray[np.bool_]:
        """(n,) whether an event happened in [start, end)."""
        return (self.sent_ns >= start_ns) & (self.sent_ns < end_ns)


def simple(
    ids: Int, time_ns: Int, keys: Int, numbers: Float, label: Bytes, known_ns: Int,
    words: tuple[tuple[str, ...], ...],
) -> Traffic:  # fmt: skip
    """Traffic on which nothing is wrong, in order of time."""
    order = np.argsort(time_ns, kind="stable")
    time, made = time_ns[order], label[order].astype(np.uint8)
    form = np.zeros(numbers.shape, np.uint8)
    return Traffic(
        ids[order], time, time.copy(), time.copy(), keys[order], numbers[order], form, made, made.copy(),
        known_ns[order], words,
    )  # fmt: skip


def in_order(traffic: Traffic) -> Traffic:
    """The same in order of arrival; of equals, the one that was first stays first."""
    if len(traffic) < 2 or (np.diff(traffic.arrived_ns) >= 0).all():
        return traffic
    return traffic.rows(np.argsort(traffic.arrived_ns, kind="stable"))


def merged(parts: Sequence[Traffic]) -> Traffic:
    """Several in one, in order of arrival. Their words are those of the first, or more."""
    words = max((part.words for part in parts), key=lambda one: sum(map(len, one)))
    return in_order(Traffic(
        np.concatenate([p.id for p in parts]), np.concatenate([p.sent_ns for p in parts]),
        np.concatenate([p.time_ns for p in parts]), np.concatenate([p.arrived_ns for p in parts]),
        np.concatenate([p.keys for p in parts]), np.concatenate([p.numbers for p in parts]),
        np.concatenate([p.form for p in parts]), np.concatenate([p.label for p in parts]),
        np.concatenate([p.reported for p in parts]), np.concatenate([p.known_ns for p in parts]), words,
    ))  # fmt: skip


def copies(traffic: Traffic, rows: Int, sent_ns: Int, first_id: int) -> Traffic:
    """Some of the events once more, under new ids, at other times; their outcomes come as late as those did.

    rows : (m,) which; sent_ns : (m,) when
    """
    made = traffic.rows(rows)
    moved = sent_ns - made.sent_ns
    known = np.where(made.known_ns == NEVER, NEVER, np.where(made.known_ns == NEVER, 0, made.known_ns) + moved)
    return replace(
        made, id=np.arange(first_id, first_id + len(rows)), sent_ns=sent_ns, time_ns=sent_ns.copy(),
        arrived_ns=sent_ns.copy(), known_ns=known,
    )  # fmt: skip


def varied(
    traffic: Traffic, columns: Sequence[int], kinds: Sequence[str], most: Sequence[float], by: float,
    rng: np.random.Generator,
) -> Traffic:  # fmt: skip
    """Traffic whose numbers are each a little otherwise, as exact as they were: a copy that is no repetition.

    by : what they are times, on average; most : the largest value of each column, NaN for any
    """
    numbers = traffic.numbers.copy()
    for column in columns:
        value = numbers[:, column]
        moved = value * by * np.exp(0.25 * rng.standard_normal(len(value)))
        moved = np.round(moved, 0 if kinds[column] == "integer" else _decimals(value))
        numbers[:, column] = moved if np.isnan(most[column]) else np.minimum(moved, most[column])
    return replace(traffic, numbers=numbers)


def _decimals(value: Float) -> int:
    """How many decimals the first values have, 6 at most.

    >>> _decimals(np.array([1.25, 3.0]))
    2
    """
    few = value[np.isfinite(value)][:500]
    return next((d for d in range(6) if np.array_equal(np.round(few, d), few)), 6)


def relabelled(traffic: Traffic, rows: NDArray[np.bool_], label: int, delay_ns: Int) -> Traffic:
    """Events whose truth is another, and is known so much later than the event.

    rows : (n,) which; delay_ns : (n,)
    """
    truth, known = traffic.label.copy(), traffic.known_ns.copy()
    truth[rows] = label
    known[rows] = traffic.sent_ns[rows] + delay_ns[rows]
    return replace(traffic, label=truth, reported=truth.copy(), known_ns=known)
