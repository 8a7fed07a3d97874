"""Compiled parts of the outcome joiner: an index of ids, and a queue ordered by moment.

Index: open addressing with linear probing and backward-shift deletion (Knuth, The Art of Computer Programming 3,
section 6.4, algorithm R). Queue: a binary heap on (moment, horizons last, arrival), which is a total order, so that
what comes out never depends on how it went in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bytes, Float, Int, Small
from homeostat.records.compiled import compiled

# What a queue entry stands for. At one moment, labels come before horizons and silence.
ALONG, TOLD, HORIZON, SILENCE = 0, 1, 2, 3
ASSUMED = -1.0  # The mark of a decision that was handed on as censored.
CODE, CHECK, TIME, KEYS = range(4)  # Columns of the facts; each key stands there with its check behind it.
QUEUE_COLUMNS = 5  # Moment, kind, arrival, slot of the decision, arrival of the decision.

Slots = NDArray[np.int32]


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
def _before(queue: Int, one: int, other: int) -> bool:
    if queue[one, 0] != queue[other, 0]:
        return bool(queue[one, 0] < queue[other, 0])
    # Decisions and outcomes are counted apart, so that it makes no difference how the two were interleaved.
    if queue[one, 1] != queue[other, 1]:
        return bool(queue[one, 1] < queue[other, 1])
    return bool(queue[one, 2] < queue[other, 2])


@compiled
def _swap(queue: Int, label: Float, one: int, other: int) -> None:
    for k in range(QUEUE_COLUMNS):
        queue[one, k], queue[other, k] = queue[other, k], queue[one, k]
    label[one], label[other] = label[other], label[one]


@compiled
def _sink(queue: Int, label: Float, count: int) -> None:
    """Bring the root of the heap to its place."""
    at = 0
    while True:
        least, child = at, 2 * at + 1
        if child < count and _before(queue, child, least):
            least = child
        if child + 1 < count and _before(queue, child + 1, least):
            least = child + 1
        if least == at:
            return
        _swap(queue, label, at, least)
        at = least


@compiled
def _push(
    queue: Int, label: Float, count: int, moment: int, kind: int, arrival: int, slot: int, owner: int, value: float
) -> None:
    at = count
    queue[at, 0], queue[at, 1], queue[at, 2], queue[at, 3], queue[at, 4] = moment, kind, arrival, slot, owner
    label[at] = value
    while at > 0 and _before(queue, at, (at - 1) // 2):
        _swap(queue, label, at, (at - 1) // 2)
        at = (at - 1) // 2


@compiled
def _later(time_ns: int, more_ns: int) -> int:
    """A moment after another, at most the last one there is."""
    return time_ns + more_ns if time_ns <= np.iinfo(np.int64).max - more_ns else np.iinfo(np.int64).max


@compiled
def remember(
    rows: Int, id_code: Int, id_check: Int, time_ns: Int, keys: Int, key_checks: Int, new_numbers: Float,
    label: Float, new_action: Small,
    delay_ns: int, silence_ns: int, horizon_ns: int, arrivals: int, facts: Int, numbers: Float,
    marks: Float, arrival: Int, action: Small, free: Int, live: int, table: Slots, queue: Int, queue_label: Float,
    queued: int, places: int,
) -> int:  # fmt: skip
    """Take rows in, each with one entry in the queue; returns how many were new."""
    added = 0
    for k in range(len(rows)):
        row = rows[k]
        place = _place(id_code[row], id_check[row], facts, table, places)
        if table[place] >= 0:
            continue
        slot = free[live + added]
        table[place] = slot
        facts[slot, CODE], facts[slot, CHECK], facts[slot, TIME] = id_code[row], id_check[row], time_ns[row]
        for e in range(keys.shape[1]):
            facts[slot, KEYS + 2 * e], facts[slot, KEYS + 2 * e + 1] = keys[row, e], key_checks[row, e]
        for j in range(new_numbers.shape[1]):
            numbers[slot, j] = new_numbers[row, j]
        marks[slot, 0], marks[slot, 1] = label[row], np.nan
        arrival[slot], action[slot] = arrivals + k, new_action[row]
        if np.isnan(label[row]) and silence_ns < horizon_ns:
            moment, kind = _later(time_ns[row], silence_ns), SILENCE
        elif np.isnan(label[row]):
            moment, kind = _later(time_ns[row], horizon_ns), HORIZON
        else:
            moment, kind = _later(time_ns[row], delay_ns), ALONG
        _push(queue, queue_label, queued + added, moment, kind, arrivals + k, slot, arrivals + k, label[row])
        added += 1
    return added


@compiled
def deliver(
    id_code: Int, id_check: Int, label: Float, known_ns: Int, maturity_ns: int, arrivals: int, facts: Int,
    arrival: Int, table: Slots,
    queue: Int, queue_label: Float, queued: int, places: int,
) -> int:  # fmt: skip
    """Put the outcomes of remembered decisions into the queue; returns how many they are.

    One that is known before its decision is old enough waits until then.
    """
    known = 0
    for i in range(len(id_code)):
        slot = table[_place(id_code[i], id_check[i], facts, table, places)]
        if slot >= 0:
            owner = arrival[slot]
            moment = max(known_ns[i], _later(facts[slot, TIME], maturity_ns))
            _push(queue, queue_label, queued + known, moment, TOLD, arrivals + i, slot, owner, label[i])
            known += 1
    return known


@compiled
def count_due(queue: Int, queued: int, until_ns: int) -> int:
    """How many entries are due: a walk over just those, for a heap's parent is due before its children."""
    if queued == 0 or queue[0, 0] > until_ns:
        return 0
    waiting, count = [0], 0
    while len(waiting) > 0:
        at = waiting.pop()
        count += 1
        for child in (2 * at + 1, 2 * at + 2):
            if child < queued and queue[child, 0] <= until_ns:
                waiting.append(child)
    return count


@compiled
def due(
    until_ns: int, horizon_ns: int, queue: Int, queue_label: Float, queued: int, facts: Int, marks: Float,
    arrival: Int, action: Small, risk: Float, censors: Bytes, unknown_negative: bool, slots: Int, labels: Float,
    censored: Bytes, gone: Int,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    """Take what is due out of the queue, in order.

    Writes what to hand on into slots, labels and censored, and the slots to release into gone.
    Returns how many of either, how many were given up, how many outcomes came too late, and the queue's length.
    """
    told, dropped, given_up, unknown = 0, 0, 0, 0
    while queued > 0 and queue[0, 0] <= until_ns:
        kind, slot, owner, label = queue[0, 1], queue[0, 3], queue[0, 4], queue_label[0]
        hides = censors[action[slot]] == 1
        if kind in (ALONG, SILENCE):
            # The decision's one entry is used again, for its horizon.
            queue[0, 0], queue[0, 1] = max(queue[0, 0], _later(facts[slot, TIME], horizon_ns)), HORIZON
        else:
            queued -= 1
            _swap(queue, queue_label, 0, queued)
        _sink(queue, queue_label, queued)
        mark = marks[slot, 1]
        if kind == TOLD:
            if arrival[slot] != owner:
                unknown += 1
            elif not np.isnan(label) and label != mark:
                slots[told], labels[told], censored[told] = slot, label, 0
                marks[slot, 1] = label
                told += 1
            continue
        if np.isnan(mark) and hides:
            if kind == SILENCE:  # Nobody expected an outcome: it is assumed at the horizon, as ever.
                continue
            slots[told], labels[told], censored[told] = slot, risk[slot], 1
            marks[slot, 1] = ASSUMED
            told += 1
        elif np.isnan(mark) and (kind == ALONG or unknown_negative):
            value = label if kind == ALONG else 0.0
            slots[told], labels[told], censored[told] = slot, value, 0
            marks[slot, 1] = value
            told += 1
        elif np.isnan(mark):
            given_up += 1
        if kind == HORIZON:
            arrival[slot] = -1
            gone[dropped] = slot
            dropped += 1
    return told, dropped, given_up, unknown, queued


@compiled
def release(gone: Int, facts: Int, table: Slots, free: Int, live: int, places: int) -> int:
    """Forget slots; returns how many are left."""
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
        free[live] = slot
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
