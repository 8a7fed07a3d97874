"""Compiled parts of the outcome joiner: an index of ids, and a queue ordered by moment.

Index: open addressing with linear probing and backward-shift deletion (Knuth, The Art of Computer Programming 3,
section 6.4, algorithm R). Queue: a binary heap on (moment, horizons last, arrival), which is a total order, so that
what comes out never depends on how it went in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Float, Int, Small
from homeostat.records.compiled import compiled

# The meanings of a queue entry. At one moment, labels come before horizons and silence.
ALONG, DELIVERED, HORIZON, SILENCE = 0, 1, 2, 3
MUTED = -2.0  # The mark of a decision that does not teach.
ASSUMED = -1.0  # The mark of a decision that was handed on as censored.
CODE, CHECK, TIME, KEYS = range(4)  # Columns of the facts; each key stands there with its check behind it.
# Columns of a queue's entries: when it is due, what it stands for, its own arrival, the decision's slot and arrival.
MOMENT, KIND, ARRIVAL, SLOT, OWNER, QUEUE_COLUMNS = range(6)
ALONG_LABEL, LAST_LABEL, MARKS = range(3)  # Columns of the marks: the label that came along, the last handed on.

Slots = NDArray[np.int32]


class Book(NamedTuple):
    """The decisions that are remembered, a slot each, and the index of their ids.

    facts : (slots, KEYS + 2 entities) id, time and entity keys, as above
    numbers : (slots, width) what learners need of a decision
    marks : (slots, MARKS) NaN for no label
    arrival, action : (slots,) -1 in `arrival` for a free slot
    free : (slots,) from the number of decisions on, the slots that are free
    table : the index: slots at the places of their ids, -1 for none
    """

    facts: Int
    numbers: Float
    marks: Float
    arrival: Int
    action: Small
    free: Int
    table: Slots


class Queue(NamedTuple):
    """The entries that are to become due: (room, QUEUE_COLUMNS) as a heap, and the label of each."""

    entries: Int
    label: Float


class Made(NamedTuple):
    """Columns of decisions that were just made, a row each."""

    id_code: Int
    id_check: Int
    time_ns: Int
    keys: Int
    key_checks: Int
    numbers: Float
    label: Float
    action: Small


class Ages(NamedTuple):
    """After how long a label that came along counts, silence means something, and a decision is given up."""

    delay_ns: int
    silence_ns: int
    horizon_ns: int


class Due(NamedTuple):
    """Room for what is handed on: slots, labels and whether they are assumed; and for the slots to be released."""

    slots: Int
    labels: Float
    censored: Bytes
    gone: Int


class Assumptions(NamedTuple):
    """The assumptions about outcomes that nobody saw.

    risk : (slots,) of each decision: the label of one whose outcome its action hid
    hides : (actions,) 1 for an action that hides the outcome
    unknown_negative : a missing outcome counts as negative
    """

    risk: Float
    hides: Bytes
    unknown_negative: bool


def table_size(capacity: int) -> int:
    """Slots of an index of at most `capacity` ids: a power of two, at most two thirds full."""
    size = 128
    while size * 2 < capacity * 3:
        size *= 2
    return size


@compiled
def _home(code: int, mask: int, places: int) -> int:
    mixed = np.uint64(code) * np.uint64(places)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    home: int = np.int64(mixed >> np.uint64(32)) & mask  # type: ignore[assignment]
    return home


@compiled
def _place(code: int, check: int, facts: Int, table: Slots, places: int) -> int:
    """Where in the table an id is, or where it would go.

    places : see `Coding.places`
    """
    mask = len(table) - 1
    at = _home(code, mask, places)
    while table[at] >= 0 and (facts[table[at], CODE] != code or facts[table[at], CHECK] != check):
        at = (at + 1) & mask
    found: int = at
    return found


@compiled
def find(id_code: Int, id_check: Int, facts: Int, table: Slots, places: int) -> Int:
    """(n,) the slot of each id, -1 where it isn't remembered."""
    out = np.empty(len(id_code), np.int64)
    for i in range(len(id_code)):
        out[i] = table[_place(id_code[i], id_check[i], facts, table, places)]
    return out


@compiled
def index(slots: Int, facts: Int, table: Slots, places: int) -> None:
    """Put the ids of slots into the table."""
    for slot in slots:
        table[_place(facts[slot, CODE], facts[slot, CHECK], facts, table, places)] = slot


@compiled
def _before(entries: Int, one: int, other: int) -> bool:
    if entries[one, MOMENT] != entries[other, MOMENT]:
        return bool(entries[one, MOMENT] < entries[other, MOMENT])
    # Decisions and outcomes are counted apart, so that it makes no difference how the two were interleaved.
    if entries[one, KIND] != entries[other, KIND]:
        return bool(entries[one, KIND] < entries[other, KIND])
    return bool(entries[one, ARRIVAL] < entries[other, ARRIVAL])


@compiled
def _swap(queue: Queue, one: int, other: int) -> None:
    entries, label = queue.entries, queue.label
    for k in range(QUEUE_COLUMNS):
        entries[one, k], entries[other, k] = entries[other, k], entries[one, k]
    label[one], label[other] = label[other], label[one]


@compiled
def _sink(queue: Queue, count: int) -> None:
    """Bring the root of the heap to its place."""
    at = 0
    while True:
        least, child = at, 2 * at + 1
        if child < count and _before(queue.entries, child, least):
            least = child
        if child + 1 < count and _before(queue.entries, child + 1, least):
            least = child + 1
        if least == at:
            return
        _swap(queue, at, least)
        at = least


@compiled
def _push(queue: Queue, count: int, moment: int, kind: int, arrival: int, slot: int, owner: int, value: float) -> None:
    at = count
    entry = queue.entries[at]
    entry[MOMENT], entry[KIND], entry[ARRIVAL], entry[SLOT], entry[OWNER] = moment, kind, arrival, slot, owner
    queue.label[at] = value
    while at > 0 and _before(queue.entries, at, (at - 1) // 2):
        _swap(queue, at, (at - 1) // 2)
        at = (at - 1) // 2


@compiled
def _later(time_ns: int, more_ns: int) -> int:
    """A moment after another, at most the last one there is."""
    return time_ns + more_ns if time_ns <= np.iinfo(np.int64).max - more_ns else np.iinfo(np.int64).max


@compiled
def remember(
    rows: Int, made: Made, ages: Ages, arrivals: int, book: Book, live: int, queue: Queue, queued: int, places: int
) -> int:
    """Take rows in, each with one entry in the queue; returns how many were new.

    arrivals : how many decisions came before these; live, queued : how many are remembered, and entries in the queue
    """
    added = 0
    for k in range(len(rows)):
        row = rows[k]
        place = _place(made.id_code[row], made.id_check[row], book.facts, book.table, places)
        if book.table[place] >= 0:
            continue
        slot = book.free[live + added]
        book.table[place] = slot
        facts, time_ns, label = book.facts[slot], made.time_ns[row], made.label[row]
        facts[CODE], facts[CHECK], facts[TIME] = made.id_code[row], made.id_check[row], time_ns
        for e in range(made.keys.shape[1]):
            facts[KEYS + 2 * e], facts[KEYS + 2 * e + 1] = made.keys[row, e], made.key_checks[row, e]
        for j in range(made.numbers.shape[1]):
            book.numbers[slot, j] = made.numbers[row, j]
        book.marks[slot, ALONG_LABEL], book.marks[slot, LAST_LABEL] = label, np.nan
        book.arrival[slot], book.action[slot] = arrivals + k, made.action[row]
        if np.isnan(label) and ages.silence_ns < ages.horizon_ns:
            moment, kind = _later(time_ns, ages.silence_ns), SILENCE
        elif np.isnan(label):
            moment, kind = _later(time_ns, ages.horizon_ns), HORIZON
        else:
            moment, kind = _later(time_ns, ages.delay_ns), ALONG
        _push(queue, queued + added, moment, kind, arrivals + k, slot, arrivals + k, label)
        added += 1
    return added


@compiled
def deliver(
    id_code: Int, id_check: Int, label: Float, known_ns: Int, maturity_ns: int, arrivals: int, book: Book,
    queue: Queue, queued: int, places: int,
) -> int:  # fmt: skip
    """Put the outcomes of remembered decisions into the queue; returns how many they are.

    One that is known before its decision is old enough waits until then.
    """
    known = 0
    for i in range(len(id_code)):
        slot = book.table[_place(id_code[i], id_check[i], book.facts, book.table, places)]
        if slot >= 0:
            owner = book.arrival[slot]
            moment = max(known_ns[i], _later(book.facts[slot, TIME], maturity_ns))
            _push(queue, queued + known, moment, DELIVERED, arrivals + i, slot, owner, label[i])
            known += 1
    return known


@compiled
def count_due(entries: Int, queued: int, until_ns: int, entries_max: int) -> int:
    """How many entries are due, `entries_max` at most.

    A walk over just those, for a heap's parent is due before its children.
    """
    if queued == 0 or entries[0, MOMENT] > until_ns:
        return 0
    waiting, count = [0], 0
    while len(waiting) > 0 and count < entries_max:
        at = waiting.pop()
        count += 1
        for child in (2 * at + 1, 2 * at + 2):
            if child < queued and entries[child, MOMENT] <= until_ns:
                waiting.append(child)
    return count


@compiled
def _hand_on(out: Due, handed: int, slot: int, label: float, censored: int) -> int:
    """Write one label; returns how many there are."""
    out.slots[handed], out.labels[handed], out.censored[handed] = slot, label, censored
    return handed + 1


@compiled
def due(
    until_ns: int, entries_max: int, horizon_ns: int, queue: Queue, queued: int, book: Book, assumed: Assumptions,
    out: Due,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    """Take what is due out of the queue, in order, at most so many entries, and write it.

    Returns how many labels are handed on, how many slots are to be released, how many decisions were given up, how many
    outcomes came too late, and the queue's length.
    """
    handed, dropped, given_up, unknown, taken = 0, 0, 0, 0, 0
    while queued > 0 and queue.entries[0, MOMENT] <= until_ns and taken < entries_max:
        taken += 1
        first = queue.entries[0]
        kind, slot, owner, label = first[KIND], first[SLOT], first[OWNER], queue.label[0]
        hides = assumed.hides[book.action[slot]] == 1
        if kind in (ALONG, SILENCE):
            # The decision's one entry is used again, for its horizon.
            first[MOMENT], first[KIND] = max(first[MOMENT], _later(book.facts[slot, TIME], horizon_ns)), HORIZON
        else:
            queued -= 1
            _swap(queue, 0, queued)
        _sink(queue, queued)
        mark = book.marks[slot, LAST_LABEL]
        if kind == DELIVERED:
            if book.arrival[slot] != owner:
                unknown += 1
            elif not np.isnan(label) and label != mark and mark != MUTED:
                handed = _hand_on(out, handed, slot, label, 0)
                book.marks[slot, LAST_LABEL] = label
            continue
        if np.isnan(mark) and hides:
            if kind == SILENCE:  # Nobody expected an outcome: it is assumed at the horizon, as ever.
                continue
            handed = _hand_on(out, handed, slot, assumed.risk[slot], 1)
            book.marks[slot, LAST_LABEL] = ASSUMED
        elif np.isnan(mark) and (kind == ALONG or assumed.unknown_negative):
            value = label if kind == ALONG else 0.0
            handed = _hand_on(out, handed, slot, value, 0)
            book.marks[slot, LAST_LABEL] = value
        elif np.isnan(mark):
            given_up += 1
        if kind == HORIZON:
            book.arrival[slot] = -1
            out.gone[dropped] = slot
            dropped += 1
    return handed, dropped, given_up, unknown, queued


@compiled
def release(gone: Int, book: Book, live: int, places: int) -> int:
    """Forget slots; returns how many are left."""
    facts, table = book.facts, book.table
    mask = len(table) - 1
    for slot in gone:
        hole = _place(facts[slot, CODE], facts[slot, CHECK], facts, table, places)
        at = hole
        while True:
            at = (at + 1) & mask
            if table[at] < 0:
                break
            home = _home(facts[table[at], CODE], mask, places)
            # An entry may fill the hole unless its home lies cyclically within (hole, at].
            if ((at - home) & mask) >= ((at - hole) & mask):
                table[hole] = table[at]
                hole = at
        table[hole] = -1
        live -= 1
        book.free[live] = slot
    return live


@compiled
def costs(both: Float, label: Float, actions: int) -> Float:
    """(n, actions) what each action cost under the label; a label between 0 and 1 mixes the two.

    both : (n, 2 actions) costs if negative, then if positive
    """
    out = np.empty((len(label), actions))
    for i in range(len(label)):
        for a in range(actions):
            negative, positive = both[i, a], both[i, actions + a]
            if label[i] == 0.0:
                out[i, a] = negative
            elif label[i] == 1.0:
                out[i, a] = positive
            else:
                out[i, a] = negative + label[i] * (positive - negative)
    return out
