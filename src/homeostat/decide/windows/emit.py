"""An event's features from its windows' accounts. The event itself is counted in here and nowhere else: accounts
hold only what came before it, so that an event that must not be inserted leaves them untouched."""

from __future__ import annotations

import math

from homeostat.decide.windows.accounts import deviation, summed_wide, take, take_here
from homeostat.decide.windows.compiled import inlined, kernel
from homeostat.decide.windows.exact import two_sum
from homeostat.decide.windows.layout import (
    A_DISTINCT,
    A_FIRST,
    A_MAX,
    A_MIN,
    A_N,
    A_SUM,
    M_ACCOUNT,
    M_COLUMNS,
    M_KIND,
    M_SELF,
    M_SLOT,
    M_SPAN,
    M_STREAM,
    P_EMIT_FROM,
    P_EMIT_TO,
    R_POSITIVE,
    R_TOP,
    S_DELAY,
    S_LENGTH,
    S_POSITION,
    S_TAIL,
    At,
    Bytes,
    Floats,
    Ints,
    Words,
)
from homeostat.decide.windows.links import newest_same
from homeostat.decide.windows.plan import Kind

COUNT = int(Kind.COUNT)
SUM = int(Kind.SUM)
MEAN = int(Kind.MEAN)
STD = int(Kind.STD)
MIN = int(Kind.MIN)
MAX = int(Kind.MAX)
DISTINCT = int(Kind.DISTINCT)
LAST = int(Kind.LAST)
SINCE_LAST = int(Kind.SINCE_LAST)
SINCE_FIRST = int(Kind.SINCE_FIRST)
RATE = int(Kind.RATE)

SECOND_NS = 1e9

PLAIN_MIN, PLAIN_MAX = 1e-290, 1e300
"""Sums between these, and 0, can be divided by a count without leaving the range of floats or losing digits."""

STALE = 1
ABSENT = 2


@kernel
def linked(
    p: Ints,
    ws: Words,
    at: At,
    f: int,
    kind: int,
    tail: int,
    now: int,
    own: float,
) -> float:
    """The value of emit row f, one of the kinds that follow links."""
    k = p[f + M_ACCOUNT]
    r = p[f + M_STREAM]
    if (kind == MIN) | (kind == MAX):
        front = ws.state[at.offset + p[k + (A_MIN if kind == MIN else A_MAX)]]
        if front < 0:
            return own
        best = take(p, ws, r, at.base + front * at.width)
        if own == own and ((own < best) == (kind == MIN)) and own != best:
            return own
        return best
    if kind == DISTINCT:
        count = ws.state[at.offset + p[k + A_DISTINCT]]
        if own == own and newest_same(p, ws, at, r, own)[0] < tail:
            count += 1
        return float(count)
    if (kind == LAST) | (kind == SINCE_LAST):
        if kind == LAST and own == own:
            return own
        top = ws.state[at.offset + p[r + R_TOP]]
        if top < tail:
            return math.nan
        row = at.base + top * at.width
        return take(p, ws, r, row) if kind == LAST else (now - ws.log[row]) / SECOND_NS
    if kind == SINCE_FIRST:
        head = ws.state[at.offset + p[p[f + M_SPAN] + S_POSITION]]
        q = max(ws.state[at.offset + p[k + A_FIRST]], tail)
        while q < head and math.isnan(take(p, ws, r, at.base + q * at.width)):
            q += 1
        ws.state[at.offset + p[k + A_FIRST]] = q
        return (now - ws.log[at.base + q * at.width]) / SECOND_NS if q < head else math.nan
    word = at.offset + p[r + R_POSITIVE]
    return float(ws.state[word + 1]) if ws.state[word] >= tail else math.nan


@inlined
def summed(p: Ints, ws: Words, o: int, f: int, kind: int, own: float) -> float:
    """The value of emit row f, a sum, mean or standard deviation."""
    k = p[f + M_ACCOUNT]
    if kind == STD:
        return deviation(p, ws.state, ws.state_floats, ws.log, o, k, own)
    n = ws.state[o + p[k + A_N]]
    total = ws.state_floats[o + p[k + A_SUM]]
    low = ws.state_floats[o + p[k + A_SUM] + 1]
    rest = 0.0
    if own == own:
        n += 1
        total, lost = two_sum(total, own)
        low, rest = two_sum(low, lost)
    total += low
    divisor = n if kind == MEAN else 1
    if rest == 0.0 and (PLAIN_MIN < abs(total) < PLAIN_MAX or total == 0.0):
        return total / divisor if divisor > 0 else math.nan
    return summed_wide(p, ws.state, ws.state_floats, ws.log, o, k, own, divisor, False)


@inlined
def emit(
    p: Ints,
    ws: Words,
    at: At,
    e: int,
    now: int,
    made: Floats,
    place: int,
) -> None:
    """Entity e's features of the event in the scratch row, from `place` on. The cursors stand at `now`."""
    for f in range(p[e + P_EMIT_FROM], p[e + P_EMIT_TO], M_COLUMNS):
        kind = p[f + M_KIND]
        tail = ws.state[at.offset + p[p[f + M_SPAN] + S_TAIL]]
        own = math.nan
        if p[f + M_SELF]:
            own = 0.0 if p[f + M_ACCOUNT] < 0 else take_here(p, ws, p[f + M_STREAM], 0)
        if SUM <= kind <= STD:
            value = summed(p, ws, at.offset, f, kind, own)
        elif (kind == COUNT) | (kind == RATE):
            if p[f + M_ACCOUNT] < 0:
                n = ws.state[at.offset + p[p[f + M_SPAN] + S_POSITION]] - tail
            else:
                n = ws.state[at.offset + p[p[f + M_ACCOUNT] + A_N]]
            value = float(n + 1 if own == own else n)
            if kind == RATE:
                value /= p[p[f + M_SPAN] + S_LENGTH] / SECOND_NS
        else:
            value = linked(p, ws, at, f, kind, tail, now, own)
        made[place] = value
        place += 1


@kernel
def mark_stale(p: Ints, e: int, now: int, horizon: int, i: int, fresh: Bytes, column: int) -> None:
    """Flags the windows that reach back beyond what is retained: they are of what is left."""
    for f in range(p[e + P_EMIT_FROM], p[e + P_EMIT_TO], M_COLUMNS):
        s = p[f + M_SPAN]
        if now - p[s + S_DELAY] - p[s + S_LENGTH] < horizon:
            fresh[i, column + p[f + M_SLOT]] = STALE


@kernel
def emit_absent(p: Ints, e: int, i: int, out: Floats, fresh: Bytes, column: int) -> None:
    """The features of an event that does not name entity e."""
    for f in range(p[e + P_EMIT_FROM], p[e + P_EMIT_TO], M_COLUMNS):
        kind = p[f + M_KIND]
        counted = (kind == COUNT) | (kind == SUM) | (kind == RATE) | (kind == DISTINCT)
        out[i, column + p[f + M_SLOT]] = 0.0 if counted else math.nan
        fresh[i, column + p[f + M_SLOT]] = ABSENT


@kernel
def emit_nothing(p: Ints, e: int, i: int, out: Floats, column: int) -> None:
    """An outcome has no features."""
    for f in range(p[e + P_EMIT_FROM], p[e + P_EMIT_TO], M_COLUMNS):
        out[i, column + p[f + M_SLOT]] = math.nan
