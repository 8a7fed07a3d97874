"""The rows of a batch put in order for the logs, and what was read put together with them; see `follow`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.decide.windows.compiled import kernel
from homeostat.decide.windows.cursors import find_event
from homeostat.decide.windows.emit import emit_absent
from homeostat.decide.windows.follow import L_KIND, L_MORE, L_TAG, L_TIME
from homeostat.decide.windows.layout import (
    C_NEWEST,
    E_BASE,
    E_BLOCK,
    E_GROUP,
    E_KNOWN,
    NEVER,
    P_COPY_FROM,
    P_COPY_TO,
    P_LABEL,
    P_MASKS,
    P_RETAIN,
    P_ROW_WORDS,
    At,
    Bytes,
    Floats,
    Ints,
    Memory,
    Words,
)
from homeostat.decide.windows.links import mix
from homeostat.decide.windows.memory import newest_of, state_of
from homeostat.decide.windows.plan import ABSENT_KEY
from homeostat.decide.windows.rows import EVENT, NOT_INSERTED, OUTCOME, VALUE_MAX

I64_MIN = -(2**63)

SILENT_NS = 43_200_000_000_000
"""How much longer than windows look back an entity may be silent until its log is read again: half of what logs live
longer than that."""

# The facts that `arrange` gives of each entity: columns of `groups`.
G_KEY, G_CHECK, G_KNOWN, G_OLDEST, G_END, G_OWN, G_LAST, G_ANEW, G_COLUMNS = range(9)


class Arriving(NamedTuple):
    """The rows of a batch.

    time, tag, kind, label : (n,)
    keys, checks : (n, entities)
    seen : (n, values and masks), the masks from column `masks_from` on
    """

    time: Ints
    tag: Ints
    keys: Ints
    checks: Ints
    kind: Bytes
    label: Floats
    seen: Floats
    masks_from: int


class Arranged(NamedTuple):
    """Where the rows of one kind of entity go, entity by entity, in their order.

    groups : (G_COLUMNS, n) each entity's key and its check, rows of its log that are known, earliest event, end among
        `rows`, rows for its log, last row that is no outcome (-1 for none), and whether the log is to be read from its
        beginning
    rows, row_floats : (n, words), the same memory
    emits : (n,) the event that each row is, -1 for an outcome
    table, of : scratch, (a power of 2, at least 2 n) and (n,)
    """

    groups: Ints
    rows: Ints
    row_floats: Floats
    emits: Ints
    table: Ints
    of: Ints


@kernel
def pin(p: Ints, m: Memory, e: int, key: int, check: int, g: int, newest: int) -> int:
    """How many rows of the entity's log have been read; it stays in memory until it is followed.

    0 where it has been silent for so long, as of `newest`, that its log may have expired: it is read again.
    """
    o = state_of(p, m.state, m.hash_keys, m.hash_states, m.counters, e, key, check, False)
    if o < 0 or newest_of(p, m.state, m.log, o, e, NEVER) <= newest - p[e + P_RETAIN] - SILENT_NS:
        return 0
    m.state[o + E_GROUP] = g
    return m.state[o + E_KNOWN]  # type: ignore[no-any-return]


@kernel
def remembers(p: Ints, m: Memory, e: int, key: int, check: int, time: int, tag: int) -> bool:
    """Whether the part of the entity's log that has been read may hold this event: another process wrote it, and fell.

    The event's features are those of its place there, so the log is read again. Rows so old that they were dropped here
    may be there, too.
    """
    o = state_of(p, m.state, m.hash_keys, m.hash_states, m.counters, e, key, check, False)
    if o < 0:
        return False
    newest = newest_of(p, m.state, m.log, o, e, NEVER)
    if time > newest:
        return False
    if time <= newest - p[e + P_RETAIN]:
        return True
    w = p[e + P_ROW_WORDS]
    z = m.state[o + E_BLOCK] - m.state[o + E_BASE] * w
    found = find_event(p, Words(m.state, m.state_floats, m.log, m.log_floats), At(o, z, w), e, time, tag)
    return found >= 0


@kernel
def unpin(p: Ints, m: Memory, e: int, groups: Ints, count: int) -> None:
    """Lets go of entities that are not followed after all."""
    for g in range(count):
        key, check = groups[G_KEY, g], groups[G_CHECK, g]
        o = state_of(p, m.state, m.hash_keys, m.hash_states, m.counters, e, key, check, False)
        if o >= 0:
            m.state[o + E_GROUP] = -1


@kernel
def sane(x: float) -> float:
    """A value as windows take it: none where it is not a number or too large, and 0 for -0."""
    return x + 0.0 if abs(x) <= VALUE_MAX else math.nan


@kernel
def fill_row(p: Ints, e: int, row: Ints, row_floats: Floats, i: int, events: Arriving) -> None:
    """Event i as entity e's log holds it."""
    row[L_TIME], row[L_TAG], row[L_KIND] = events.time[i], events.tag[i], events.kind[i]
    seen, masks_from = events.seen, events.masks_from
    at = L_MORE
    if p[e + P_LABEL] >= 0:
        row_floats[at] = sane(events.label[i])
        at += 1
    if p[e + P_MASKS] >= 0:
        bits = 0
        for c in range(masks_from, seen.shape[1]):
            if seen[i, c] != 0.0:
                bits |= 1 << (c - masks_from)
        row[at] = bits
        at += 1
    for c in range(p[e + P_COPY_FROM], p[e + P_COPY_TO], 2):
        row_floats[at] = sane(seen[i, p[c]])
        at += 1


@kernel
def find_groups(p: Ints, column: int, outcomes: bool, events: Arriving, made: Arranged) -> tuple[int, int]:
    """Tells the entities of a column apart; returns how many there are, and the newest event's time.

    outcomes : whether these entities' windows ask for outcomes; if not, outcome rows are left out
    """
    table, of, groups = made.table, made.of, made.groups
    table[:] = -1
    mask = np.uint64(len(table) - 1)
    count, newest = 0, I64_MIN
    for i in range(len(events.time)):
        of[i] = -1
        kind = events.kind[i]
        if kind == EVENT:
            newest = max(newest, events.time[i])
        key = events.keys[i, column]
        if key == ABSENT_KEY or (kind == OUTCOME and not outcomes):
            continue
        check = events.checks[i, column]
        place = mix(p, np.uint64(key)) & mask
        g = table[np.int64(place)]
        while g >= 0 and (groups[G_KEY, g] != key or groups[G_CHECK, g] != check):
            place = (place + np.uint64(1)) & mask
            g = table[np.int64(place)]
        if g < 0:
            g = count
            table[np.int64(place)] = g
            groups[G_KEY, g], groups[G_CHECK, g] = key, check
            groups[G_END, g] = groups[G_OWN, g] = groups[G_ANEW, g] = 0
            groups[G_OLDEST, g] = I64_MIN
            groups[G_LAST, g] = -1
            count += 1
        of[i] = g
        groups[G_END, g] += 1
    return count, newest


@kernel
def arrange(
    p: Ints, m: Memory, e: int, column: int, outcomes: bool, pinned: bool, events: Arriving, made: Arranged
) -> tuple[int, int, int]:
    """The rows that name an entity e, which stands in `column` of the keys.

    outcomes : whether these entities' windows ask for outcomes; if not, outcome rows are left out
    pinned : whether the entities are to be read from where they were left
    Returns the number of entities, of rows, and of late events among them, which are not for the log.
    """
    groups = made.groups
    count, newest = find_groups(p, column, outcomes, events, made)
    newest = max(newest, m.counters[C_NEWEST])
    total = 0
    for g in range(count):
        size = groups[G_END, g]
        groups[G_END, g] = total
        total += size
        groups[G_KNOWN, g] = pin(p, m, e, groups[G_KEY, g], groups[G_CHECK, g], g, newest) if pinned else 0
    late = 0
    for i in range(len(events.time)):
        g = made.of[i]
        if g < 0:
            continue
        place = groups[G_END, g]
        groups[G_END, g] += 1
        fill_row(p, e, made.rows[place], made.row_floats[place], i, events)
        kind, time = events.kind[i], events.time[i]
        made.emits[place] = -1 if kind == OUTCOME else i
        if kind == EVENT:
            oldest = groups[G_OLDEST, g]
            groups[G_OLDEST, g] = time if oldest == I64_MIN else min(oldest, time)
            key, check = groups[G_KEY, g], groups[G_CHECK, g]
            if groups[G_KNOWN, g] > 0 and remembers(p, m, e, key, check, time, events.tag[i]):
                groups[G_ANEW, g] = 1
        if kind == NOT_INSERTED:
            late += 1
        else:
            groups[G_OWN, g] += 1
        if kind != OUTCOME:
            groups[G_LAST, g] = i
    return count, total, late


@kernel
def same_row(own: Ints, read: Ints) -> bool:
    """Whether two rows are alike in every bit."""
    for c in range(len(own)):  # noqa: SIM110 - kernels know no generators.
        if own[c] != read[c]:
            return False
    return True


@kernel
def place_rows(own: Ints, read: Ints, places: Ints) -> None:
    """Where each own row, (r, words), lies in the log that was read, (q, words); -1 where it does not.

    The appended rows are the last rows read. An event that was there already lies among those before.
    """
    end = len(read)
    for i in range(len(own) - 1, -1, -1):
        places[i] = -1
        if own[i, L_KIND] == NOT_INSERTED:
            continue
        if end > 0 and same_row(own[i], read[end - 1]):
            end -= 1
            places[i] = end
        elif own[i, L_KIND] == EVENT:
            for j in range(len(read) - 1, -1, -1):
                if read[j, L_KIND] == EVENT and read[j, L_TIME] == own[i, L_TIME] and read[j, L_TAG] == own[i, L_TAG]:
                    places[i] = j
                    break


@kernel
def place_late(own: Ints, places: Ints, end: int) -> None:
    """Late events, which no log holds, come right before the next own event; else after the own row before them."""
    before = -1
    for i in range(len(own)):
        if own[i, L_KIND] != NOT_INSERTED:
            before = max(before, places[i])
            continue
        at, outcome = -1, -1
        for j in range(i + 1, len(own)):
            if own[j, L_KIND] == EVENT and at < 0:
                at = places[j]
            elif own[j, L_KIND] == OUTCOME and outcome < 0:
                outcome = places[j]
        if at < 0:
            at = before + 1 if before >= 0 else outcome if outcome >= 0 else end
        places[i] = at


@kernel
def put(source: Ints, row: int, emit: int, rows: Ints, to: Ints, made: int) -> int:
    """Lets a row be the next to follow; returns how many there are."""
    for c in range(source.shape[1]):
        rows[made, c] = source[row, c]
    to[made] = emit
    return made + 1


@kernel
def merge(
    own: Ints, emits: Ints, ends: Ints, read: Ints, read_ends: Ints, places: Ints, rows: Ints, to: Ints, to_ends: Ints
) -> None:
    """The rows to follow where others have written too: what was read, with this batch's late events among it.

    own, emits, ends : this batch's rows, where their features go, and where each entity's end
    read, read_ends : (q, words) what was read, (g,) where each entity's end; none where nobody else has written
    places : (r,) scratch
    rows, to, to_ends : what comes of it, (r + q, words), (r + q,) and (g,)
    """
    start = read_start = made = 0
    for g in range(len(ends)):
        stop, read_stop = ends[g], read_ends[g]
        if read_stop == read_start:
            for i in range(start, stop):
                made = put(own, i, emits[i], rows, to, made)
        else:
            mine, theirs = own[start:stop], read[read_start:read_stop]
            place_rows(mine, theirs, places[start:stop])
            place_late(mine, places[start:stop], len(theirs))
            for j in range(len(theirs) + 1):
                emitted = -1
                for i in range(start, stop):
                    if places[i] != j:
                        continue
                    if own[i, L_KIND] == NOT_INSERTED:
                        made = put(own, i, emits[i], rows, to, made)
                    elif own[i, L_KIND] == EVENT:
                        emitted = emits[i]
                if j < len(theirs):
                    made = put(theirs, j, emitted, rows, to, made)
        start, read_start = stop, read_stop
        to_ends[g] = made


@kernel
def leave_absent(p: Ints, e: int, column: int, keys: Ints, kind: Bytes, out: Floats, fresh: Bytes, before: int) -> None:
    """The features of events that name no entity e; an outcome has none."""
    for i in range(len(keys)):
        if keys[i, column] == ABSENT_KEY and kind[i] != OUTCOME:
            emit_absent(p, e, i, out, fresh, before)


@kernel
def leave_unknown(p: Ints, e: int, rows: Ints, out: Floats, fresh: Bytes, before: int) -> None:
    """The features of events of whose entity e nothing is known."""
    for i in range(len(rows)):
        if rows[i] >= 0:
            emit_absent(p, e, rows[i], out, fresh, before)
