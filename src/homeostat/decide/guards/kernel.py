"""The sequential part of the guards: which rule, fallback or breaker has the last word, row after row."""

from __future__ import annotations

import numpy as np

from homeostat.decide.guards.plan import BY_BREAKER, BY_FALLBACK, NO_RULE
from homeostat.records.arrays import Bits, Float, Int, Small
from homeostat.records.compiled import compiled

BUCKETS = 60
HEAD, TOTAL, TAKEN, WATERMARK, MARKS = 0, 1, 2, 3, 4  # Columns of a breaker's marks.
ORDER, RULE_ACTION, SINCE, UNTIL = 0, 1, 2, 3  # Rows of the table of rules.
ACTION, STEP_NS, EVENTS_MIN, INSTEAD = 0, 1, 2, 3  # Rows of the table of breakers.
_NEVER = -(1 << 63)


Rules = tuple[int, Int, Int]
"""The guards' rules, as a table: first, table, by_cause.

first : column `first + r` of the frame is 1 where rule r's condition holds
table : (4, r) order of precedence, action, since, until
by_cause : (256,) fallback bits -> action, -1 where what was proposed stands

A plain tuple, like the next: Numba takes half a microsecond to see what a named one holds, for each decision.
"""
Breakers = tuple[Int, Float, Int, Int]
"""The breakers' limits, and the counts so far: limits, share_max, counts, marks.

limits : (4, b) action, length of a bucket in ns, least number of events, action instead
share_max : (b,) of all decisions
counts, marks : (b, 2, BUCKETS) and (b, MARKS), changed in place
"""


@compiled
def _forget(counts: Int, marks: Int, time_ns: int, step_ns: int) -> None:
    """Moves one breaker to the bucket of a time that events have reached; an earlier one changes nothing.

    counts : (2, BUCKETS) decisions, and those that took the action; marks : (MARKS,)
    """
    if time_ns <= marks[WATERMARK] and marks[WATERMARK] != _NEVER:
        return
    head = time_ns // step_ns
    fresh = marks[WATERMARK] == _NEVER or head - marks[HEAD] >= BUCKETS
    marks[WATERMARK] = time_ns
    if fresh:
        counts[:] = 0
        marks[TOTAL], marks[TAKEN], marks[HEAD] = 0, 0, head
        return
    while marks[HEAD] < head:
        marks[HEAD] += 1
        slot = marks[HEAD] % BUCKETS
        marks[TOTAL] -= counts[0, slot]
        marks[TAKEN] -= counts[1, slot]
        counts[0, slot], counts[1, slot] = 0, 0


@compiled
def _broken(action: int, table: Int, share_max: Float, marks: Int) -> int:
    """The action after the breakers, each of which acts at most once, in the order of their declaration."""
    used = 0
    at = 0
    while at < len(marks):
        total = marks[at, TOTAL] + 1
        if (
            table[ACTION, at] == action
            and used >> at & 1 == 0
            and total >= table[EVENTS_MIN, at]
            and float(marks[at, TAKEN] + 1) > share_max[at] * float(total)
        ):
            action = table[INSTEAD, at]
            used |= 1 << at
            at = 0  # The action taken instead may itself be limited, by a breaker declared earlier.
        else:
            at += 1
    return action


@compiled
def count_rows(rows: Int, breakers: Breakers) -> None:
    """Counts decisions that were made already: as `rule_rows` does, of whose rows the second and the last are read."""
    limits, _, counts, marks = breakers
    for i in range(rows.shape[1]):
        for b in range(len(marks)):
            _forget(counts[b], marks[b], rows[3, i], limits[STEP_NS, b])
            slot = marks[b, HEAD] % BUCKETS
            counts[b, 0, slot] += 1
            marks[b, TOTAL] += 1
            if rows[1, i] == limits[ACTION, b]:
                counts[b, 1, slot] += 1
                marks[b, TAKEN] += 1


@compiled
def rule_rows(
    frame: Float, rows: Int, rules: Rules, breakers: Breakers, made: tuple[Small, Small, Bits]
) -> None:  # fmt: skip
    """The ruling of each row, in order.

    frame : (n, columns)
    rows : (4, n) event time, proposed action, fallback bits, the time that the event reaches
    made : written, (n,) each: the action, the rule that had the last word, and the rules that held
    """
    # The loop reads arrays and counts by itself: a call that counts, or is handed tuples, doubled the time of a row.
    first, table, by_cause = rules
    limits, share_max, counts, marks = breakers
    actions, deciding, hits = made
    for i in range(rows.shape[1]):
        time_ns = rows[0, i]
        taken, decided = rows[1, i], NO_RULE
        held = np.uint64(0)
        for k in range(table.shape[1]):
            r = table[ORDER, k]
            if frame[i, first + r] == 1.0 and table[SINCE, r] <= time_ns < table[UNTIL, r]:
                held |= np.uint64(1) << np.uint64(r)
                if decided == NO_RULE:
                    taken, decided = table[RULE_ACTION, r], r
        fallen = by_cause[rows[2, i] & 255]
        if decided == NO_RULE and fallen >= 0:
            taken, decided = fallen, BY_FALLBACK
        for b in range(len(marks)):
            _forget(counts[b], marks[b], rows[3, i], limits[STEP_NS, b])
        if decided == NO_RULE and len(marks) > 0:
            broken = _broken(taken, limits, share_max, marks)
            if broken != taken:
                taken, decided = broken, BY_BREAKER
        for b in range(len(marks)):
            slot = marks[b, HEAD] % BUCKETS
            counts[b, 0, slot] += 1
            marks[b, TOTAL] += 1
            if taken == limits[ACTION, b]:
                counts[b, 1, slot] += 1
                marks[b, TAKEN] += 1
        actions[i], deciding[i], hits[i] = taken, decided, held
