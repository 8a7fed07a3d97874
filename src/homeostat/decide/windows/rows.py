"""A batch of rows through the windows: entity by entity, because entities know nothing of each other.

All rows of one entity are handled together, in their order, while its state and log are in the cache. A row's features
depend on the rows before it only, never on where a batch begins or ends.
"""

from __future__ import annotations

import math

from homeostat.decide.windows.compiled import inlined, kernel, prefetch
from homeostat.decide.windows.cursors import find_event, insert, move, set_label
from homeostat.decide.windows.emit import emit, emit_absent, emit_nothing, mark_stale
from homeostat.decide.windows.layout import (
    C_GROUPS,
    C_NEWEST,
    C_RESUME,
    C_TOO_LATE,
    C_UNMATCHED,
    E_BASE,
    E_BLOCK,
    E_END,
    E_GROUP,
    G_ENTITIES_FROM,
    G_ENTITIES_TO,
    G_LATENESS,
    H_COLUMNS,
    H_POSITION,
    M_COLUMNS,
    M_SLOT,
    NEVER,
    P_COLUMNS,
    P_COPY_FROM,
    P_COPY_TO,
    P_EMIT_FROM,
    P_EMIT_TO,
    P_HEAD_FROM,
    P_HEAD_TO,
    P_LABEL,
    P_LINKS,
    P_MASKS,
    P_REACH,
    P_RETAIN,
    P_ROW_WORDS,
    P_SPAN_FROM,
    P_SPAN_TO,
    P_STATE_WORDS,
    P_TAG,
    S_COLUMNS,
    S_TAIL,
    At,
    Bytes,
    Floats,
    Ints,
    Memory,
    RowColumns,
    Words,
)
from homeostat.decide.windows.memory import NO_ROOM, reserve, state_of
from homeostat.decide.windows.plan import ABSENT_KEY, RowKind
from homeostat.decide.windows.pool import stocked

EVENT = int(RowKind.EVENT)
NOT_INSERTED = int(RowKind.EVENT_NOT_INSERTED)
OUTCOME = int(RowKind.OUTCOME)
TOO_LATE = 3

DONE = -1

AHEAD = 4
"""How many entities ahead their states are asked for."""

LINE_WORDS = 8
"""Words of a cache line."""

# Working columns of `advance`, which may allocate nothing itself: some of a row, some of an entity of the batch.
(
    C_ROW_NEWEST,
    C_ROW_ACTION,
    C_ROW_MATCHED,
    C_ROW_GROUP,
    C_ROW_PLACE,
    C_GROUP_STATE,
    C_GROUP_ROWS,
    C_GROUP_END,
    C_GROUP_HORIZON,
    C_GROUP_CAPACITY,
    SCRATCH_COLUMNS,
) = range(11)

# A queued row: this, then the words it will have in the log.
Q_HORIZON, Q_ACTION, Q_ROW, Q_WORDS = range(4)

VALUE_MAX = 1.7976931348623157e308
"""The largest float: any value that is finite counts."""


@inlined
def classify(p: Ints, counters: Ints, b: RowColumns, start: int, rows: int, newest: Ints, action: Ints) -> None:
    """The time that the events have reached as of each row, and whether the row may be inserted."""
    latest = counters[C_NEWEST]
    for i in range(rows):
        kind = b.kind[start + i]
        now = b.time_ns[start + i]
        if kind == EVENT and now < latest - p[G_LATENESS]:
            kind = TOO_LATE
        if kind == EVENT:
            latest = max(latest, b.reach_ns[start + i])
        newest[i] = latest
        action[i] = kind


@inlined
def group(
    p: Ints,
    m: Memory,
    b: RowColumns,
    e: int,
    start: int,
    rows: int,
    action: Ints,
    groups: Ints,
    members: Ints,
    sizes: Ints,
) -> int:
    """Numbers the entities of these rows in the order they first appear in: groups[i] is row i's, or -1 for none.

    members holds where each one's state begins, sizes its number of rows. Returns their count, or NO_ROOM.
    """
    si, hash_keys, hash_states, counters = m.state, m.hash_keys, m.hash_states, m.counters
    column = (e - p[G_ENTITIES_FROM]) // P_COLUMNS
    count = 0
    for i in range(rows):
        key = b.keys[start + i, column]
        groups[i] = -1
        if key == ABSENT_KEY:
            continue
        o = state_of(p, si, hash_keys, hash_states, counters, e, key, b.checks[start + i, column], action[i] != OUTCOME)
        if o == NO_ROOM:
            count = -count - 1
            break
        if o < 0:
            continue
        g = si[o + E_GROUP]
        if g < 0:
            g = count
            si[o + E_GROUP] = g
            members[g] = o
            sizes[g] = 0
            count += 1
        groups[i] = g
        sizes[g] += 1
    for g in range(count if count >= 0 else -count - 1):
        si[members[g] + E_GROUP] = -1
    return count if count >= 0 else NO_ROOM


@inlined
def enqueue(p: Ints, b: RowColumns, e: int, i: int, qi: Ints, qf: Floats, a: int) -> None:
    """Row i as entity e logs it, to queue address a; values that are none become NaN, -0.0 becomes 0."""
    qi[a] = b.time_ns[i]
    for c in range(p[e + P_COPY_FROM], p[e + P_COPY_TO], 2):
        x = b.values[i, p[c]]
        qf[a + p[c + 1]] = x + 0.0 if abs(x) <= VALUE_MAX else math.nan
    word = p[e + P_LABEL]
    if word >= 0:
        x = b.label[i]
        qf[a + word] = x + 0.0 if abs(x) <= VALUE_MAX else math.nan
        qi[a + p[e + P_TAG]] = b.tag[i]
    word = p[e + P_MASKS]
    if word >= 0:
        bits = 0
        for c in range(b.masks.shape[1]):
            if b.masks[i, c]:
                bits |= 1 << c
        qi[a + word] = bits
    for c in range(p[e + P_LINKS], p[e + P_ROW_WORDS]):
        qi[a + c] = 0


@kernel
def decide_rows(
    p: Ints,
    ws: Words,
    e: int,
    o: int,
    start: int,
    stop: int,
    qi: Ints,
    made: Floats,
    matched: Ints,
) -> None:
    """The queued rows [start, stop), all of the entity whose state is at o, in their order."""
    w = p[e + P_ROW_WORDS]
    label = p[e + P_LABEL]
    width = (p[e + P_EMIT_TO] - p[e + P_EMIT_FROM]) // M_COLUMNS
    for place in range(start, stop):
        a = place * (Q_WORDS + w)
        for c in range(w):
            ws.log[c] = qi[a + Q_WORDS + c]
        z = ws.state[o + E_BLOCK] - ws.state[o + E_BASE] * w
        now = ws.log[0]
        horizon = qi[a + Q_HORIZON]
        if qi[a + Q_ACTION] != OUTCOME:
            move(p, ws, At(o, z, w), e, now, horizon)
            emit(p, ws, At(o, z, w), e, now, made, place * width)
            if qi[a + Q_ACTION] == EVENT:
                insert(p, ws, o, w, e, now, horizon)
        elif label >= 0 and now > horizon:
            q = find_event(p, ws, At(o, z, w), e, now, ws.log[label + 1])
            if q >= 0:
                set_label(p, ws, At(o, z, w), e, q, ws.log_floats[label])
                matched[qi[a + Q_ROW]] = 1


@inlined
def look_ahead(p: Ints, si: Ints, li: Ints, e: int, members: Ints, g: int, count: int) -> None:
    """Asks for what the next entities' rows will touch: their logs lie far apart, and waiting for each costs most."""
    if g + AHEAD < count:
        for c in range(0, p[e + P_STATE_WORDS], LINE_WORDS):
            prefetch(si, members[g + AHEAD] + c)
    if g + 1 < count:
        o = members[g + 1]
        w = p[e + P_ROW_WORDS]
        z = si[o + E_BLOCK] - si[o + E_BASE] * w
        prefetch(li, z + si[o + E_END] * w)
        for s in range(p[e + P_SPAN_FROM], p[e + P_SPAN_TO], S_COLUMNS):
            a = z + si[o + p[s + S_TAIL]] * w
            prefetch(li, a)
            prefetch(li, a + LINE_WORDS)
        for h in range(p[e + P_HEAD_FROM], p[e + P_HEAD_TO], H_COLUMNS):
            a = z + si[o + p[h + H_POSITION]] * w
            prefetch(li, a)
            prefetch(li, a + LINE_WORDS)


@kernel
def line_up(
    p: Ints,
    m: Memory,
    b: RowColumns,
    e: int,
    start: int,
    rows: int,
    scratch: Ints,
    qi: Ints,
    qf: Floats,
) -> int:
    """Queues the rows that name an entity e, entity by entity, and sees to it that their logs have room.

    Rows are copied, because reading them where they lie would miss the cache at each. Returns the number of entities,
    or NO_ROOM.
    """
    newest, action = scratch[C_ROW_NEWEST], scratch[C_ROW_ACTION]
    groups, places = scratch[C_ROW_GROUP], scratch[C_ROW_PLACE]
    members, sizes, ends = scratch[C_GROUP_STATE], scratch[C_GROUP_ROWS], scratch[C_GROUP_END]
    horizons, capacities = scratch[C_GROUP_HORIZON], scratch[C_GROUP_CAPACITY]
    count = group(p, m, b, e, start, rows, action, groups, members, sizes)
    total = 0
    for g in range(count):
        ends[g] = total
        total += sizes[g]
        horizons[g] = NEVER
    stride = Q_WORDS + p[e + P_ROW_WORDS]
    for i in range(rows):
        g = groups[i]
        places[i] = -1
        if g < 0 or count == NO_ROOM:
            continue
        place = ends[g]
        ends[g] += 1
        places[i] = place
        a = place * stride
        qi[a + Q_HORIZON] = newest[i] - p[e + P_RETAIN]
        qi[a + Q_ACTION] = action[i]
        qi[a + Q_ROW] = i
        enqueue(p, b, e, start + i, qi, qf, a + Q_WORDS)
        if horizons[g] == NEVER:
            horizons[g] = qi[a + Q_HORIZON]
    ws = Words(m.state, m.state_floats, m.log, m.log_floats)
    if count == NO_ROOM or not reserve(p, ws, m.counters, e, count, members, sizes, horizons, capacities):
        return NO_ROOM
    return count


@kernel
def deliver(
    p: Ints,
    e: int,
    b: RowColumns,
    start: int,
    rows: int,
    scratch: Ints,
    made: Floats,
    out: Floats,
    fresh: Bytes,
    column: int,
) -> None:
    """Puts the features made, which lie entity by entity, into their rows, from `column` on."""
    newest, action, places = scratch[C_ROW_NEWEST], scratch[C_ROW_ACTION], scratch[C_ROW_PLACE]
    first = p[e + P_EMIT_FROM]
    width = (p[e + P_EMIT_TO] - first) // M_COLUMNS
    for i in range(rows):
        if action[i] == OUTCOME:
            emit_nothing(p, e, start + i, out, column)
        elif places[i] < 0:
            emit_absent(p, e, start + i, out, fresh, column)
        else:
            for c in range(width):
                out[start + i, column + p[first + c * M_COLUMNS + M_SLOT]] = made[places[i] * width + c]
            horizon = newest[i] - p[e + P_RETAIN]
            if b.time_ns[start + i] - p[e + P_REACH] < horizon:
                mark_stale(p, e, b.time_ns[start + i], horizon, start + i, fresh, column)


@kernel
def advance(
    p: Ints,
    m: Memory,
    b: RowColumns,
    start: int,
    stop: int,
    first: int,
    scratch: Ints,
    qi: Ints,
    qf: Floats,
    made: Floats,
    out: Floats,
    fresh: Bytes,
    column: int,
) -> int:
    """Rows [start, stop) through entities `first` and after.

    Returns DONE, or the entity that needs more memory than there is: the call is to be repeated from there, with
    `scratch` as it was left, once there is more. Where C_POOL_NEEDED says so, nothing may move before.
    """
    ws = Words(m.state, m.state_floats, m.log, m.log_floats)
    si, li, counters = m.state, m.log, m.counters
    rows = stop - start
    newest, action, matched = scratch[C_ROW_NEWEST], scratch[C_ROW_ACTION], scratch[C_ROW_MATCHED]
    members, ends = scratch[C_GROUP_STATE], scratch[C_GROUP_END]
    classify(p, counters, b, start, rows, newest, action)
    if first == 0:
        matched[:rows] = 0
    for e in range(max(first, p[G_ENTITIES_FROM]), p[G_ENTITIES_TO], P_COLUMNS):
        if p[e + P_EMIT_FROM] == p[e + P_EMIT_TO]:
            continue
        first_group = counters[C_RESUME]
        count = counters[C_GROUPS] if first_group > 0 else line_up(p, m, b, e, start, rows, scratch, qi, qf)
        if count == NO_ROOM:
            return e
        place = ends[first_group - 1] if first_group > 0 else 0
        counters[C_RESUME] = 0
        for g in range(first_group, count):
            if not stocked(p, m, e):
                counters[C_RESUME], counters[C_GROUPS] = g, count
                return e
            look_ahead(p, si, li, e, members, g, count)
            decide_rows(p, ws, e, members[g], place, ends[g], qi, made, matched)
            place = ends[g]
        deliver(p, e, b, start, rows, scratch, made, out, fresh, column)
    for i in range(rows):
        counters[C_TOO_LATE] += action[i] == TOO_LATE
        counters[C_UNMATCHED] += action[i] == OUTCOME and not matched[i]
        counters[C_NEWEST] = newest[i]
    return DONE
