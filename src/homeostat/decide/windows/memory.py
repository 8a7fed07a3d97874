"""Where entities are kept: a hash map to their states, blocks for their logs, and the move to new memory when full.

New entities and grown blocks are taken from the end of their array. When it is full, everything still alive is
copied to a new one; that is the only release, and it is amortised, as what is taken between two moves is a share of
what is copied. Where things lie never shows in a feature.
"""

from __future__ import annotations

import numpy as np

from homeostat.decide.windows.compiled import inlined, kernel
from homeostat.decide.windows.cursors import kept_from
from homeostat.decide.windows.layout import (
    A_COLUMNS,
    A_MAX,
    A_MIN,
    C_ENTITIES,
    C_LOG_NEEDED,
    C_LOG_USED,
    C_STATE_NEEDED,
    C_STATE_USED,
    E_BASE,
    E_BLOCK,
    E_CAPACITY,
    E_CHECK,
    E_END,
    E_ENTITY,
    E_GROUP,
    E_KEY,
    E_TIME,
    G_OWN_TIME,
    NEED_DISTINCT,
    NEVER,
    P_ACCOUNT_FROM,
    P_ACCOUNT_TO,
    P_DISTINCTS,
    P_RETAIN,
    P_ROW_WORDS,
    P_STATE_WORDS,
    P_STREAM_FROM,
    P_STREAM_TO,
    PROGRAM_MAX,
    R_COLUMNS,
    R_NEEDS,
    R_POSITIVE,
    R_TOP,
    At,
    Ints,
    Memory,
    Words,
)
from homeostat.decide.windows.links import bucket_count, mix, rebuild_same
from homeostat.decide.windows.pool import limb_words, move_limbs

NO_ENTITY = -1
NO_ROOM = -2


@inlined
def place_of(p: Ints, si: Ints, hash_keys: Ints, hash_states: Ints, e: int, key: int, check: int) -> int:
    """Where the map holds entity e's key, or the free place where it would.

    The check lies in the state, which whoever finds it reads next anyway.
    """
    mask = np.uint64(len(hash_keys) - 1)
    place = mix(p, np.uint64(key) + np.uint64(e + 1) * np.uint64(0x9E3779B97F4A7C15)) & mask
    while True:
        held = hash_states[np.int64(place)]
        if held < 0:
            return np.int64(place)  # type: ignore[return-value]
        if (
            hash_keys[np.int64(place)] == key
            and (held & (PROGRAM_MAX - 1)) == e
            and si[(held >> 16) + E_CHECK] == check
        ):
            return np.int64(place)  # type: ignore[return-value]
        place = (place + np.uint64(1)) & mask


@kernel
def begin(p: Ints, si: Ints, o: int, e: int, key: int, check: int) -> None:
    """Makes the words at o the state of entity e's key, of whose past nothing is known."""
    si[o : o + p[e + P_STATE_WORDS]] = 0
    si[o + E_KEY] = key
    si[o + E_CHECK] = check
    si[o + E_ENTITY] = e
    si[o + E_TIME] = NEVER
    si[o + E_GROUP] = -1
    for r in range(p[e + P_STREAM_FROM], p[e + P_STREAM_TO], R_COLUMNS):
        if p[r + R_TOP] >= 0:
            si[o + p[r + R_TOP]] = -1
            si[o + p[r + R_POSITIVE]] = -1
    for k in range(p[e + P_ACCOUNT_FROM], p[e + P_ACCOUNT_TO], A_COLUMNS):
        if p[k + A_MIN] >= 0:
            si[o + p[k + A_MIN]] = -1
        if p[k + A_MAX] >= 0:
            si[o + p[k + A_MAX]] = -1


@inlined
def state_of(
    p: Ints, si: Ints, hash_keys: Ints, hash_states: Ints, counters: Ints, e: int, key: int, check: int, create: bool
) -> int:
    """Where the state of entity e's key begins; NO_ENTITY if there is none; NO_ROOM if it can not be made now."""
    place = place_of(p, si, hash_keys, hash_states, e, key, check)
    if hash_states[place] >= 0:
        return hash_states[place] >> 16  # type: ignore[no-any-return]
    if not create:
        return NO_ENTITY
    o = counters[C_STATE_USED]
    size = p[e + P_STATE_WORDS]
    if o + size > len(si) or 4 * (counters[C_ENTITIES] + 1) > 3 * len(hash_keys):
        counters[C_STATE_NEEDED] = size
        return NO_ROOM
    begin(p, si, o, e, key, check)
    hash_keys[place] = key
    hash_states[place] = o * PROGRAM_MAX + e
    counters[C_STATE_USED] = o + size
    counters[C_ENTITIES] += 1
    return o  # type: ignore[no-any-return]


@kernel
def block_words(p: Ints, e: int, capacity: int) -> int:
    """Words of a block of `capacity` rows and of the buckets behind them."""
    buckets = p[e + P_DISTINCTS]
    return capacity * p[e + P_ROW_WORDS] + (buckets * bucket_count(capacity) if buckets else 0)  # type: ignore[no-any-return]


@kernel
def copy_block(p: Ints, si: Ints, o: int, e: int, start: int, capacity: int, old: Ints, new: Ints, place: int) -> None:
    """Moves the log of the state at o, without the events before `start`, from array `old` to `place` in `new`."""
    w = p[e + P_ROW_WORDS]
    source = si[o + E_BLOCK] + (start - si[o + E_BASE]) * w
    for a in range((si[o + E_END] - start) * w):
        new[place + a] = old[source + a]
    si[o + E_BLOCK] = place
    si[o + E_CAPACITY] = capacity
    si[o + E_BASE] = start


@kernel
def relink(p: Ints, ws: Words, o: int, e: int) -> None:
    """The buckets of a block in its new place."""
    w = p[e + P_ROW_WORDS]
    z = ws.state[o + E_BLOCK] - ws.state[o + E_BASE] * w
    if p[e + P_DISTINCTS]:
        for r in range(p[e + P_STREAM_FROM], p[e + P_STREAM_TO], R_COLUMNS):
            if p[r + R_NEEDS] & NEED_DISTINCT:
                rebuild_same(p, ws, At(o, z, w), r)


@kernel
def first_after(p: Ints, ws: Words, at: At, horizon: int) -> int:
    """The first logged event after `horizon`."""
    start = ws.state[at.offset + E_BASE]
    stop = ws.state[at.offset + E_END]
    while start < stop:
        middle = (start + stop) // 2
        if ws.log[at.base + middle * at.width] <= horizon:
            start = middle + 1
        else:
            stop = middle
    return start  # type: ignore[no-any-return]


@kernel
def capacity_for(p: Ints, ws: Words, o: int, e: int, rows: int, horizon: int) -> int:
    """The capacity the block must grow to before `rows` more are inserted, or 0 if it will do.

    A ninth stays free when old rows are dropped, so that dropping them costs a constant per event. Only those not
    after `horizon`, the first row's, are sure to be gone by then.
    """
    w = p[e + P_ROW_WORDS]
    base = ws.state[o + E_BASE]
    end = ws.state[o + E_END]
    capacity = ws.state[o + E_CAPACITY]
    if end - base + rows <= capacity:
        return 0
    z = ws.state[o + E_BLOCK] - base * w
    need = end - first_after(p, ws, At(o, z, w), horizon) + rows
    if need + (need >> 3) <= capacity:
        return 0
    return max(end - base, need + (need >> 2) + ((need - rows) >> 2) + 2)  # type: ignore[no-any-return]


@kernel
def reserve(
    p: Ints,
    ws: Words,
    counters: Ints,
    e: int,
    count: int,
    members: Ints,
    rows: Ints,
    horizons: Ints,
    capacities: Ints,
) -> bool:
    """Makes every group's block large enough for its rows; False, with nothing done, if the log array is too short.

    capacities is overwritten.
    """
    need = 0
    for g in range(count):
        capacities[g] = capacity_for(p, ws, members[g], e, rows[g], horizons[g])
        if capacities[g] > 0:
            need += block_words(p, e, capacities[g])
    if counters[C_LOG_USED] + need > len(ws.log):
        counters[C_LOG_NEEDED] = need
        return False
    w = p[e + P_ROW_WORDS]
    for g in range(count):
        if capacities[g] > 0:
            o = members[g]
            z = ws.state[o + E_BLOCK] - ws.state[o + E_BASE] * w
            start = kept_from(p, ws, At(o, z, w), e, horizons[g])
            place = counters[C_LOG_USED]
            copy_block(p, ws.state, o, e, start, capacities[g], ws.log, ws.log, place)
            relink(p, ws, o, e)
            counters[C_LOG_USED] = place + block_words(p, e, capacities[g])
    return True


@kernel
def newest_of(p: Ints, si: Ints, li: Ints, o: int, e: int, newest: int) -> int:
    """The time from which what the state at o retains is counted back: `newest`, or that of its own newest event."""
    end = si[o + E_END]
    base = si[o + E_BASE]
    if p[G_OWN_TIME] and end > base:
        return li[si[o + E_BLOCK] + (end - base - 1) * p[e + P_ROW_WORDS]]  # type: ignore[no-any-return]
    return newest


@kernel
def is_alive(p: Ints, ws: Words, o: int, e: int, newest: int) -> bool:
    """Whether an event that may still be inserted could see any of this entity's, or its first is being decided."""
    end = ws.state[o + E_END]
    base = ws.state[o + E_BASE]
    if ws.state[o + E_GROUP] >= 0:
        return True
    if end == base:
        return ws.state[o + E_TIME] == NEVER  # type: ignore[no-any-return]
    last = ws.state[o + E_BLOCK] + (end - base - 1) * p[e + P_ROW_WORDS]
    return ws.log[last] > newest - p[e + P_RETAIN]  # type: ignore[no-any-return]


@kernel
def fitted(rows: int) -> int:
    """The capacity of a block that is moved with `rows` events."""
    return rows + (rows >> 2) + (rows >> 3) + 2


@kernel
def measure(p: Ints, m: Memory, newest: int) -> tuple[int, int, int, int]:
    """Entities alive, their words of state, their words of log once moved, and the events that a span may yet hold."""
    ws = Words(m.state, m.state_floats, m.log, m.log_floats)
    si, sf, li = m.state, m.state_floats, m.log
    entities = state = log = events = 0
    o = 0
    while o < m.counters[C_STATE_USED]:
        e = si[o + E_ENTITY]
        if is_alive(p, ws, o, e, newest):
            w = p[e + P_ROW_WORDS]
            z = si[o + E_BLOCK] - si[o + E_BASE] * w
            horizon = newest_of(p, si, li, o, e, newest) - p[e + P_RETAIN]
            end = si[o + E_END]
            entities += 1
            state += p[e + P_STATE_WORDS]
            log += block_words(p, e, fitted(end - kept_from(p, ws, At(o, z, w), e, horizon)))
            log += limb_words(p, si, sf, o, e)
            events += end - first_after(p, ws, At(o, z, w), horizon)
        o += p[e + P_STATE_WORDS]
    return entities, state, log, events


@kernel
def move_all(p: Ints, m: Memory, to: Memory, newest: int, log_used: int) -> None:
    """Copies every entity alive from m to the empty memory `to`, closely packed from `log_used` on.

    `to` must be large enough, and have the counters of m.
    """
    ws = Words(to.state, to.state_floats, to.log, to.log_floats)
    was = Words(m.state, m.state_floats, m.log, m.log_floats)
    si, sf, li = to.state, to.state_floats, to.log
    to.hash_states[:] = -1
    used = entities = 0
    o = 0
    while o < m.counters[C_STATE_USED]:
        e = m.state[o + E_ENTITY]
        size = p[e + P_STATE_WORDS]
        if is_alive(p, was, o, e, newest):
            w = p[e + P_ROW_WORDS]
            z = m.state[o + E_BLOCK] - m.state[o + E_BASE] * w
            horizon = newest_of(p, m.state, m.log, o, e, newest) - p[e + P_RETAIN]
            start = kept_from(p, was, At(o, z, w), e, horizon)
            capacity = fitted(m.state[o + E_END] - start)
            for a in range(size):
                si[used + a] = m.state[o + a]
            copy_block(p, si, used, e, start, capacity, m.log, li, log_used)
            relink(p, ws, used, e)
            place = place_of(p, si, to.hash_keys, to.hash_states, e, m.state[o + E_KEY], m.state[o + E_CHECK])
            to.hash_keys[place] = m.state[o + E_KEY]
            to.hash_states[place] = used * PROGRAM_MAX + e
            used += size
            log_used += block_words(p, e, capacity)
            log_used = move_limbs(p, si, sf, used - size, e, m.log, li, log_used)
            entities += 1
        o += size
    to.counters[C_STATE_USED] = used
    to.counters[C_LOG_USED] = log_used
    to.counters[C_ENTITIES] = entities
