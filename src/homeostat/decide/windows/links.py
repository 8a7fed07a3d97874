"""The values that a stream keeps beyond sums: its newest event, its minima and maxima, its distinct values.

All of it lives in links between the rows of the log, which the spans of a stream share, so that a further window
costs one cursor and no memory per event.

Minima and maxima: each event knows the next older event that beats it; from the newest event these links form the
monotonic queue of whatever span ends at the head (Knuth's "ascending minima"). The links forward along that queue let
each span move its front. Distinct values: each event knows the next older and newer event of its value; an event is
the first of its value in a span if the older one lies before the span. The newest events of all values are found
through buckets of chains ordered by age, as in the LZ77 compressors, so that what has expired falls off the ends.
"""

from __future__ import annotations

import math

import numpy as np

from homeostat.decide.windows.accounts import take
from homeostat.decide.windows.compiled import inlined, kernel
from homeostat.decide.windows.layout import (
    A_COLUMNS,
    A_DISTINCT,
    A_MAX,
    A_MIN,
    A_NEEDS,
    A_TAIL,
    E_BASE,
    E_BLOCK,
    E_CAPACITY,
    G_PLACES,
    NEED_DISTINCT,
    NEED_LINKS,
    NEED_MAX,
    NEED_MIN,
    NEED_SINCE,
    NEED_TOP,
    R_ACCOUNT_FROM,
    R_ACCOUNT_TO,
    R_DISTINCT,
    R_LABEL,
    R_MASK,
    R_MASKS,
    R_MAX,
    R_MIN,
    R_NEEDS,
    R_POSITION,
    R_POSITIVE,
    R_SAME,
    R_TOP,
    At,
    Ints,
    Words,
)


@inlined
def mix(p: Ints, word: np.uint64) -> np.uint64:
    """A 64-bit hash, keyed by the program's odd number: chosen keys and values do not meet in one place.

    Source: Steele, Lea, Flood (2014), OOPSLA, SplitMix64's finaliser.
    """
    word = word * np.uint64(p[G_PLACES])
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@kernel
def bucket_count(capacity: int) -> int:
    """Buckets of a block of `capacity` rows: the next power of two."""
    count = 1
    while count < capacity:
        count *= 2
    return count


@kernel
def older(li: Ints, address: int, q: int, base: int) -> int:
    """The event that a backward distance at `address` leads to from q, or -1 for none that is still logged."""
    distance = li[address]
    if distance == 0 or q - distance < base:
        return -1
    return q - distance  # type: ignore[no-any-return]


@kernel
def bucket_of(p: Ints, ws: Words, o: int, w: int, r: int, x: float) -> int:
    """Address of the bucket that value x belongs to."""
    capacity = ws.state[o + E_CAPACITY]
    count = bucket_count(capacity)
    place = np.int64(mix(p, np.float64(x).view(np.uint64)) & np.uint64(count - 1))
    return ws.state[o + E_BLOCK] + capacity * w + p[r + R_DISTINCT] * count + place  # type: ignore[no-any-return]


@kernel
def newest_same(p: Ints, ws: Words, at: At, r: int, x: float) -> tuple[int, int]:
    """The newest event of value x that the head has passed, and the one before it in its bucket; -1 for none."""
    base = ws.state[at.offset + E_BASE]
    word = p[r + R_SAME] + 2
    before = -1
    q = ws.log[bucket_of(p, ws, at.offset, at.width, r, x)]
    while q >= base:
        if take(p, ws, r, at.base + q * at.width) == x:
            return q, before
        before = q
        q = older(ws.log, at.base + q * at.width + word, q, base)
    return -1, -1


@kernel
def link_same(p: Ints, ws: Words, at: At, r: int, q: int, x: float) -> int:
    """Makes q the newest event of its value; returns the one that was, or -1."""
    base = ws.state[at.offset + E_BASE]
    word = p[r + R_SAME]
    bucket = bucket_of(p, ws, at.offset, at.width, r, x)
    same, before = newest_same(p, ws, at, r, x)
    if same >= 0:
        after = older(ws.log, at.base + same * at.width + word + 2, same, base)
        if before < 0:
            ws.log[bucket] = after
        else:
            ws.log[at.base + before * at.width + word + 2] = before - after if after >= 0 else 0
        ws.log[at.base + same * at.width + word + 1] = q - same
    first = ws.log[bucket]
    ws.log[at.base + q * at.width + word] = q - same if same >= 0 else 0
    ws.log[at.base + q * at.width + word + 1] = 0
    ws.log[at.base + q * at.width + word + 2] = q - first if first >= base else 0
    ws.log[bucket] = q
    return same


@kernel
def unlink_same(p: Ints, ws: Words, at: At, r: int, q: int, x: float) -> int:
    """Undoes `link_same` of q, the newest event of all; returns the event that is the newest of its value again."""
    base = ws.state[at.offset + E_BASE]
    word = p[r + R_SAME]
    bucket = bucket_of(p, ws, at.offset, at.width, r, x)
    ws.log[bucket] = older(ws.log, at.base + q * at.width + word + 2, q, base)
    same = older(ws.log, at.base + q * at.width + word, q, base)
    if same < 0:
        return -1
    ws.log[at.base + same * at.width + word + 1] = 0
    before = -1
    after = ws.log[bucket]
    while after > same:
        before = after
        after = older(ws.log, at.base + after * at.width + word + 2, after, base)
    ws.log[at.base + same * at.width + word + 2] = same - after if after >= base else 0
    if before < 0:
        ws.log[bucket] = same
    else:
        ws.log[at.base + before * at.width + word + 2] = before - same
    return same


@kernel
def rebuild_same(p: Ints, ws: Words, at: At, r: int) -> None:
    """Fills the buckets of a block that has moved."""
    count = bucket_count(ws.state[at.offset + E_CAPACITY])
    start = ws.state[at.offset + E_BLOCK] + ws.state[at.offset + E_CAPACITY] * at.width + p[r + R_DISTINCT] * count
    ws.log[start : start + count] = -1
    for q in range(ws.state[at.offset + E_BASE], ws.state[at.offset + p[r + R_POSITION]]):
        x = take(p, ws, r, at.base + q * at.width)
        if x == x:
            link_same(p, ws, at, r, q, x)


@kernel
def link_ordered(
    p: Ints,
    ws: Words,
    at: At,
    r: int,
    q: int,
    x: float,
    sign: float,
) -> None:
    """Puts q at the end of the queue of maxima (sign 1) or minima (-1) and of each span whose front it beats."""
    base = ws.state[at.offset + E_BASE]
    word = p[r + R_MAX] if sign > 0 else p[r + R_MIN]
    j = ws.state[at.offset + p[r + R_TOP]]
    while j >= base and sign * take(p, ws, r, at.base + j * at.width) <= sign * x:
        j = older(ws.log, at.base + j * at.width + word, j, base)
    ws.log[at.base + q * at.width + word] = q - j if j >= base else 0
    ws.log[at.base + q * at.width + word + 1] = 0
    if j >= base:
        ws.log[at.base + j * at.width + word + 1] = q - j
    need = NEED_MAX if sign > 0 else NEED_MIN
    column = A_MAX if sign > 0 else A_MIN
    for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
        if p[k + A_NEEDS] & need:
            front = at.offset + p[k + column]
            f = ws.state[front]
            if f < 0 or sign * take(p, ws, r, at.base + f * at.width) <= sign * x:
                ws.state[front] = q


@kernel
def repair_ordered(p: Ints, ws: Words, at: At, r: int, sign: float) -> None:
    """The forward links and fronts of a queue whose end or spans have moved back."""
    base = ws.state[at.offset + E_BASE]
    word = p[r + R_MAX] if sign > 0 else p[r + R_MIN]
    need = NEED_MAX if sign > 0 else NEED_MIN
    column = A_MAX if sign > 0 else A_MIN
    top = ws.state[at.offset + p[r + R_TOP]]
    distance = 0
    q = top if top >= base else -1
    while q >= 0:
        ws.log[at.base + q * at.width + word + 1] = distance
        j = older(ws.log, at.base + q * at.width + word, q, base)
        distance = q - j
        q = j
    for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
        if p[k + A_NEEDS] & need:
            tail = ws.state[at.offset + p[k + A_TAIL]]
            front = -1
            q = top
            while q >= tail and q >= base:
                front = q
                q = older(ws.log, at.base + q * at.width + word, q, base)
            ws.state[at.offset + p[k + column]] = front


@kernel
def pass_more(p: Ints, ws: Words, at: At, r: int, q: int, x: float) -> None:
    """The head passes q, which stream r admits with value x."""
    needs = p[r + R_NEEDS]
    if needs & NEED_MIN:
        link_ordered(p, ws, at, r, q, x, -1.0)
    if needs & NEED_MAX:
        link_ordered(p, ws, at, r, q, x, 1.0)
    if needs & NEED_TOP:
        ws.state[at.offset + p[r + R_TOP]] = q
    if needs & NEED_DISTINCT:
        same = link_same(p, ws, at, r, q, x)
        for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
            tail = ws.state[at.offset + p[k + A_TAIL]]
            if p[k + A_NEEDS] & NEED_DISTINCT and q >= tail > same:
                ws.state[at.offset + p[k + A_DISTINCT]] += 1


@kernel
def unpass_more(p: Ints, ws: Words, at: At, r: int, q: int, x: float) -> None:
    """The head goes back over q; `recompute` must follow when it has arrived."""
    if p[r + R_NEEDS] & NEED_DISTINCT:
        same = unlink_same(p, ws, at, r, q, x)
        for k in range(p[r + R_ACCOUNT_FROM], p[r + R_ACCOUNT_TO], A_COLUMNS):
            tail = ws.state[at.offset + p[k + A_TAIL]]
            if p[k + A_NEEDS] & NEED_DISTINCT and q >= tail > same:
                ws.state[at.offset + p[k + A_DISTINCT]] -= 1


@kernel
def pass_since(p: Ints, ws: Words, at: At, r: int, q: int, x: float) -> None:
    """The head passes q, admitted or not: a positive one starts the count afresh."""
    address = at.base + q * at.width
    word = at.offset + p[r + R_POSITIVE]
    mask = p[r + R_MASK]
    unmasked = mask < 0 or (ws.log[address + p[r + R_MASKS]] >> mask) & 1
    if unmasked and ws.log_floats[address + p[r + R_LABEL]] == 1.0:
        ws.state[word] = q
        ws.state[word + 1] = 0
    elif x == x:
        ws.state[word + 1] += 1


@kernel
def recompute(p: Ints, ws: Words, at: At, r: int) -> None:
    """Recompute all that is cheaper to find again than to undo, once stream r went back or a label has changed."""
    needs = p[r + R_NEEDS]
    base = ws.state[at.offset + E_BASE]
    head = ws.state[at.offset + p[r + R_POSITION]]
    if needs & NEED_TOP:
        q = head - 1
        while q >= base and math.isnan(take(p, ws, r, at.base + q * at.width)):
            q -= 1
        ws.state[at.offset + p[r + R_TOP]] = q if q >= base else -1
    if needs & NEED_LINKS:
        if needs & NEED_MIN:
            repair_ordered(p, ws, at, r, -1.0)
        if needs & NEED_MAX:
            repair_ordered(p, ws, at, r, 1.0)
    if needs & NEED_SINCE:
        word = at.offset + p[r + R_POSITIVE]
        ws.state[word] = -1
        ws.state[word + 1] = 0
        start = head
        while start > base and ws.state[word] < 0:
            start -= 1
            pass_since(p, ws, at, r, start, 0.0)
        if ws.state[word] < 0:
            ws.state[word + 1] = 0
        for q in range(start + 1, head):
            pass_since(p, ws, at, r, q, take(p, ws, r, at.base + q * at.width))
