"""Entities whose pasts are logs that others write too: rows are taken in the log's order, whoever wrote them.

The contents of an entity's windows are a function of its log alone: retention is counted from the newest event of that
log, so that every reader of it comes to the same features, wherever it began to read. An event that is in a log counts,
unless it is older than anything that a window may yet look at: whoever wrote it has judged whether it came too late.

A row of a log, in 64-bit words: time | tag | kind | label, if the windows use it | masks, if any | values.
"""

from __future__ import annotations

from homeostat.decide.windows.compiled import kernel
from homeostat.decide.windows.cursors import find_event, insert, move, set_label
from homeostat.decide.windows.emit import emit, mark_stale
from homeostat.decide.windows.layout import (
    C_NEWEST,
    C_RESUME,
    C_UNMATCHED,
    E_BASE,
    E_BLOCK,
    E_CAPACITY,
    E_END,
    E_GROUP,
    E_KNOWN,
    E_TIME,
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
    P_TAG,
    At,
    Bytes,
    Floats,
    Ints,
    Memory,
    Words,
)
from homeostat.decide.windows.memory import NO_ROOM, begin, newest_of, reserve, state_of
from homeostat.decide.windows.pool import stocked
from homeostat.decide.windows.rows import EVENT, OUTCOME, TOO_LATE

L_TIME, L_TAG, L_KIND, L_MORE = range(4)
"""Words of a log's row that every row has."""


@kernel
def to_row(p: Ints, li: Ints, e: int, rows: Ints, i: int) -> None:
    """Row i of a log as the windows keep it, in the scratch row."""
    li[0] = rows[i, L_TIME]
    source = L_MORE
    word = p[e + P_LABEL]
    if word >= 0:
        li[word] = rows[i, source]
        source += 1
    li[p[e + P_TAG]] = rows[i, L_TAG]
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
    ws = Words(m.state, m.state_floats, m.log, m.log_floats)
    si, li, counters = m.state, m.log, m.counters
    w = p[e + P_ROW_WORDS]
    label = p[e + P_LABEL]
    newest = newest_of(p, si, li, o, e, NEVER)
    for i in range(start, stop):
        kind = rows[i, L_KIND]
        now = rows[i, L_TIME]
        if kind == EVENT:
            newest = max(newest, now)
        horizon = newest - p[e + P_RETAIN]
        if now <= horizon:
            kind = OUTCOME if kind == OUTCOME else TOO_LATE
        to_row(p, li, e, rows, i)
        z = si[o + E_BLOCK] - si[o + E_BASE] * w
        if kind == OUTCOME:
            q = -1
            if label >= 0 and now > horizon:
                q = find_event(p, ws, At(o, z, w), e, now, li[label + 1])
            if q >= 0:
                set_label(p, ws, At(o, z, w), e, q, ws.log_floats[label])
            counters[C_UNMATCHED] += label >= 0 and q < 0
            continue
        full = si[o + E_END] - si[o + E_BASE] == si[o + E_CAPACITY]
        if emits[i] >= 0 or now < si[o + E_TIME] or (full and kind == EVENT):
            move(p, ws, At(o, z, w), e, now, horizon)
        if emits[i] >= 0:
            emit(p, ws, At(o, z, w), e, now, made, 0)
            for f in range(p[e + P_EMIT_FROM], p[e + P_EMIT_TO], M_COLUMNS):
                slot = column + p[f + M_SLOT]
                out[emits[i], slot] = made[(f - p[e + P_EMIT_FROM]) // M_COLUMNS]
                fresh[emits[i], slot] = 0
            if now - p[e + P_REACH] < horizon:
                mark_stale(p, e, now, horizon, emits[i], fresh, column)
        if kind == EVENT:
            insert(p, ws, o, w, e, now, horizon)
    counters[C_NEWEST] = max(counters[C_NEWEST], newest)


@kernel
def prepare(
    p: Ints, m: Memory, e: int, keys: Ints, checks: Ints, ends: Ints, rows: Ints, starts: Ints, scratch: Ints
) -> bool:
    """Finds or makes the entities' states and sees to it that their logs have room; False if there is none."""
    ws = Words(m.state, m.state_floats, m.log, m.log_floats)
    si, li, counters = m.state, m.log, m.counters
    members, sizes, horizons, capacities = scratch[0], scratch[1], scratch[2], scratch[3]
    start = 0
    for g in range(len(keys)):
        o = state_of(p, si, m.hash_keys, m.hash_states, counters, e, keys[g], checks[g], True)
        if o == NO_ROOM:
            return False
        if si[o + E_KNOWN] != starts[g]:
            begin(p, si, o, e, keys[g], checks[g])
            si[o + E_KNOWN] = starts[g]
        si[o + E_GROUP] = g
        members[g] = o
        sizes[g] = ends[g] - start
        first = newest_of(p, si, li, o, e, NEVER)
        if sizes[g] > 0 and rows[start, L_KIND] == EVENT:
            first = max(first, rows[start, L_TIME])
        horizons[g] = first - p[e + P_RETAIN]
        start = ends[g]
    return reserve(p, ws, counters, e, len(keys), members, sizes, horizons, capacities)


@kernel
def follow(
    p: Ints,
    m: Memory,
    e: int,
    keys: Ints,
    checks: Ints,
    ends: Ints,
    rows: Ints,
    emits: Ints,
    starts: Ints,
    known: Ints,
    scratch: Ints,
    made: Floats,
    out: Floats,
    fresh: Bytes,
    column: int,
) -> int:
    """Each entity (keys[g], checks[g]) reads rows [ends[g - 1], ends[g]).

    emits : (rows,) to which row of `out` each row's features go, -1 for none
    starts : (g,) the number of each one's first row; where that is not the next one of those it has read, older rows
        were dropped or the log is another one, and it forgets what it knew
    known : (g,) how many rows each has read then
    scratch : (4, g or more); made : a row of features
    Returns 0, or NO_ROOM: the call is to be repeated, with `scratch` as it was left, once there is more memory. Where
    C_POOL_NEEDED says so, nothing may move before.
    """
    si, counters, members = m.state, m.counters, scratch[0]
    first = counters[C_RESUME]
    if first == 0 and not prepare(p, m, e, keys, checks, ends, rows, starts, scratch):
        return NO_ROOM
    counters[C_RESUME] = 0
    start = ends[first - 1] if first > 0 else 0
    for g in range(first, len(keys)):
        if not stocked(p, m, e):
            counters[C_RESUME] = g
            return NO_ROOM
        o = members[g]
        take_rows(p, m, e, o, start, ends[g], rows, emits, made, out, fresh, column)
        si[o + E_KNOWN] = known[g]
        si[o + E_GROUP] = -1
        start = ends[g]
    return 0
