"""An event's features from its windows' accounts. The event itself is reckoned in here and nowhere else: accounts
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
    Bytes,
    Floats,
    Ints,
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
    si: Ints,
    sf: Floats,
    li: Ints,
    lf: Floats,
    o: int,
    z: int,
    w: int,
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
        front = si[o + p[k + (A_MIN if kind == MIN else A_MAX)]]
        if front < 0:
            return own
        best = take(p, si, sf, li, lf, r, z + front * w)
        if own == own and ((own < best) == (kind == MIN)) and own != best:
            return own
        return best
    if kind == DISTINCT:
        count = si[o + p[k + A_DISTINCT]]
        if own == own and newest_same(p, si, sf, li, lf, o, z, w, r, own)[0] < tail:
            count += 1
        return float(count)
    if (kind == LAST) | (kind == SINCE_LAST):
        if kind == LAST and own == own:
            return own
        top = si[o + p[r + R_TOP]]
        if top < tail:
            return math.nan
        return take(p, si, sf, li, lf, r, z + top * w) if kind == LAST else (now - li[z + top * w]) / SECOND_NS
    if kind == SINCE_FIRST:
        head = si[o + p[p[f + M_SPAN] + S_POSITION]]
        q = max(si[o + p[k + A_FIRST]], tail)
        while q < head and math.isnan(take(p, si, sf, li, lf, r, z + q * w)):
            q += 1
        si[o + p[k + A_FIRST]] = q
        return (now - li[z + q * w]) / SECOND_NS if q < head else math.nan
    word = o + p[r + R_POSITIVE]
    return float(si[word + 1]) if si[word] >= tail else math.nan


@inlined
def summed(p: Ints, si: Ints, sf: Floats, li: Ints, lf: Floats, o: int, f: int, kind: int, own: float) -> float:
    """The value of emit row f, a sum, mean or standard deviation."""
    k = p[f + M_ACCOUNT]
    if kind == STD:
        return deviation(p, si, sf, li, o, k, own)
    n = si[o + p[k + A_N]]
    total = sf[o + p[k + A_SUM]]
    low = sf[o + p[k + A_SUM] + 1]
    rest = 0.0
    if own == own:
        n += 1
        total, lost = two_sum(total, own)
        low, rest = two_sum(low, lost)
    total += low
    divisor = n if kind == MEAN else 1
    if rest == 0.0 and (PLAIN_MIN < abs(total) < PLAIN_MAX or total == 0.0):
        return total / divisor if divisor > 0 else math.nan
    return summed_wide(p, si, sf, li, o, k, own, divisor, False)


@inlined
def emit(
    p: Ints,
    si: Ints,
    sf: Floats,
    li: Ints,
    lf: Floats,
    o: int,
    z: int,
    w: int,
    e: int,
    now: int,
    made: Floats,
    place: int,
) -> None:
    """Entity e's features of the event in the scratch row, from `place` on. The cursors stand at `now`."""
    for f in range(p[e + P_EMIT_FROM], p[e + P_EMIT_TO], M_COLUMNS):
        kind = p[f + M_KIND]
        tail = si[o + p[p[f + M_SPAN] + S_TAIL]]
        own = math.nan
        if p[f + M_SELF]:
            own = 0.0 if p[f + M_ACCOUNT] < 0 else take_here(p, si, sf, li, lf, p[f + M_STREAM], 0)
        if SUM <= kind <= STD:
            value = summed(p, si, sf, li, lf, o, f, kind, own)
        elif (kind == COUNT) | (kind == RATE):
            if p[f + M_ACCOUNT] < 0:
                n = si[o + p[p[f + M_SPAN] + S_POSITION]] - tail
            else:
                n = si[o + p[p[f + M_ACCOUNT] + A_N]]
            value = float(n + 1 if own == own else n)
            if kind == RATE:
                value /= p[p[f + M_SPAN] + S_LENGTH] / SECOND_NS
        else:
            value = linked(p, si, sf, li, lf, o, z, w, f, kind, tail, now, own)
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
