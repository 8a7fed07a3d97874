"""Entities whose pasts are logs that others write too: rows are taken in the log's order, whoever wrote them.

What an entity's windows hold is a function of its log alone: lateness and retention are reckoned from the newest event
of that log, so that every reader of it comes to the same features, wherever it began to read.

A row of a log, in 64-bit words: time | tag | kind | label, if the windows use it | masks, if any | values.
"""

from __future__ import annotations

from homeostat.decide.windows.compiled import kernel
from homeostat.decide.windows.cursors import find_event, insert, move, set_label
from homeostat.decide.windows.emit import emit, emit_absent, mark_stale
from homeostat.decide.windows.layout import (
    C_NEWEST,
    C_UNMATCHED,
    E_BASE,
    E_BLOCK,
    E_CAPACITY,
    E_END,
    E_GROUP,
    E_KNOWN,
    E_TIME,
    G_LATENESS,
    M_COLUMNS,
    M_SLOT,
    NEVER,
    P_COPY_FROM,
    P_COPY_TO,
    P_EMIT_FROM,
    P_EMIT_TO,
    P_LABEL,
    P_LINKS,
    P_MASKS,
    P_REACH,
    P_RETAIN,
    P_ROW_WORDS,
    Bytes,
    Floats,
    Ints,
    Memory,
)
from homeostat.decide.windows.memory import NO_ROOM, newest_of, reserve, state_of
from homeostat.decide.windows.rows import EVENT, OUTCOME, TOO_LATE

L_TIME, L_TAG, L_KIND, L_MORE = range(4)
"""Words of a log's row that every row has."""


@kernel
def pin(p: Ints, m: Memory, e: int, keys: Ints, known: Ints) -> None:
    """How many rows of each entity's log have been read; those entities stay in memory until they are followed."""
    for g in range(len(keys)):
        o = state_of(p, m.state, m.hash_keys, m.hash_states, m.counters, e, keys[g], False)
        known[g] = 0
        if o >= 0:
            m.state[o + E_GROUP] = g
            known[g] = m.state[o + E_KNOWN]


@kernel
def unpin(p: Ints, m: Memory, e: int, keys: Ints) -> None:
    """Lets go of entities that are not followed after all."""
    for g in range(len(keys)):
        o = state_of(p, m.state, m.hash_keys, m.hash_states, m.counters, e, keys[g], False)
        if o >= 0:
            m.state[o + E_GROUP] = -1


@kernel
def to_row(p: Ints, li: Ints, e: int, rows: Ints, i: int) -> None:
    """Row i of a log as the windows keep it, in the scratch row."""
    li[0] = rows[i, L_TIME]
    source = L_MORE
    word = p[e + P_LABEL]
    if word >= 0:
        li[word] = rows[i, source]
        li[word + 1] = rows[i, L_TAG]
        source += 1
    word = p[e + P_MASKS]
    if word >= 0:
        li[word] = rows[i, source]
        source += 1
    for c in range(p[e + P_COPY_FROM], p[e + P_COPY_TO], 2):
        li[p[c + 1]] = rows[i, source]
        source += 1
    for c in range(p[e + P_LINKS], p[e + P_ROW_WORDS]):
        li[c] = 0


@kernel
def take_rows(
    p: Ints,
    m: Memory,
    e: int,
    o: int,
    start: int,
    stop: int,
    rows: Ints,
    emits: Ints,
    made: Floats,
    out: Floats,
    fresh: Bytes,
    column: int,
) -> None:
    """Rows [start, stop) of the log of the entity whose state is at o, in their order."""
    si, sf, li, lf, counters = m.state, m.state_floats, m.log, m.log_floats, m.counters
    w = p[e + P_ROW_WORDS]
    label = p[e + P_LABEL]
    newest = newest_of(p, si, li, o, e, NEVER)
    for i in range(start, stop):
        kind = rows[i, L_KIND]
        now = rows[i, L_TIME]
        if kind == EVENT and now < newest - p[G_LATENESS]:
            kind = TOO_LATE
        if kind == EVENT:
            newest = max(newest, now)
        horizon = newest - p[e + P_RETAIN]
        to_row(p, li, e, rows, i)
        z = si[o + E_BLOCK] - si[o + E_BASE] * w
        if kind == OUTCOME:
            q = -1
            if label >= 0 and now > horizon:
                q = find_event(p, si, sf, li, lf, o, z, w, e, now, li[label + 1])
            if q >= 0:
                set_label(p, si, sf, li, lf, o, z, w, e, q, lf[label])
            counters[C_UNMATCHED] += label >= 0 and q < 0
            continue
        full = si[o + E_END] - si[o + E_BASE] == si[o + E_CAPACITY]
        if emits[i] >= 0 or now < si[o + E_TIME] or (full and kind == EVENT):
            move(p, si, sf, li, lf, o, z, w, e, now, horizon)
        if emits[i] >= 0:
            emit(p, si, sf, li, lf, o, z, w, e, now, made, 0)
            for f in range(p[e + P_EMIT_FROM], p[e + P_EMIT_TO], M_COLUMNS):
                slot = column + p[f + M_SLOT]
                out[emits[i], slot] = made[(f - p[e + P_EMIT_FROM]) // M_COLUMNS]
                fresh[emits[i], slot] = 0
            if now - p[e + P_REACH] < horizon:
                mark_stale(p, e, now, horizon, emits[i], fresh, column)
        if kind == EVENT:
            insert(p, si, sf, li, lf, o, w, e, now, horizon)
    counters[C_NEWEST] = max(counters[C_NEWEST], newest)


@kernel
def follow(
    p: Ints,
    m: Memory,
    e: int,
    keys: Ints,
    ends: Ints,
    rows: Ints,
    emits: Ints,
    known: Ints,
    scratch: Ints,
    made: Floats,
    out: Floats,
    fresh: Bytes,
    column: int,
) -> int:
    """Each entity keys[g] reads rows [ends[g - 1], ends[g]); row i's features go to row emits[i] of `out`, if not -1.

    known : (g,) what `pin` tells of each from then on
    scratch : (4, g or more); made : a row of features
    Returns 0, or NO_ROOM: nothing was read, and the call is to be repeated once there is more memory.
    """
    si, sf, li, lf, counters = m.state, m.state_floats, m.log, m.log_floats, m.counters
    members, sizes, horizons, capacities = scratch[0], scratch[1], scratch[2], scratch[3]
    start = 0
    for g in range(len(keys)):
        o = state_of(p, si, m.hash_keys, m.hash_states, counters, e, keys[g], True)
        if o == NO_ROOM:
            return NO_ROOM
        si[o + E_GROUP] = g
        members[g] = o
        sizes[g] = ends[g] - start
        first = newest_of(p, si, li, o, e, NEVER)
        if sizes[g] > 0 and rows[start, L_KIND] == EVENT:
            first = max(first, rows[start, L_TIME])
        horizons[g] = first - p[e + P_RETAIN]
        start = ends[g]
    if not reserve(p, si, sf, li, lf, counters, e, len(keys), members, sizes, horizons, capacities):
        return NO_ROOM
    start = 0
    for g in range(len(keys)):
        o = members[g]
        take_rows(p, m, e, o, start, ends[g], rows, emits, made, out, fresh, column)
        si[o + E_KNOWN] = known[g]
        si[o + E_GROUP] = -1
        start = ends[g]
    return 0


@kernel
def leave_absent(p: Ints, e: int, rows: Ints, out: Floats, fresh: Bytes, column: int) -> None:
    """The features of events that do not name entity e, or of whose entity nothing is known."""
    for i in range(len(rows)):
        emit_absent(p, e, rows[i], out, fresh, column)
