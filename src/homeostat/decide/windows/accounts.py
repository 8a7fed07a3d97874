"""Counts and exact sums: what an account adds when an event enters its span and takes back when it leaves.

A sum is two floats whose exact sum it is, for as long as it is: the error of the last addition shows that. Sums of
squares are limbs (see `exact`), few for ordinary values. Where these can't hold what is asked of them, the account gets
a block of all limbs until it is empty; its first word then is no number, the second says where the block begins. The
result depends on the values held alone, not on their order, nor on what was held before, nor on how it is kept.

Kernels name their arguments alike: p the program, ws the words of state and log, and where an entity lies in them, at
(see `layout`), or where that is all that is asked, o for the beginning of its state, z for the address of its log's row
0 (dropped rows included) and w for the words of a row; e an entity, h a head, s a span, r a stream, k an account, f an
emit, each the place of its row in the program; q an event's number, x its value. The few that are asked for exact sums
only take the arrays of words themselves: si and sf the state as integers and floats, li the log.
"""

from __future__ import annotations

import math

from homeostat.decide.windows.compiled import inlined, kernel
from homeostat.decide.windows.deviations import (
    DEVIATION_WORDS,
    NARROW_FIRST,
    NARROW_LIMBS,
    NARROW_UNIT,
    is_narrow,
    narrow_deviation,
    wide_deviation,
)
from homeostat.decide.windows.exact import (
    SQUARE_LIMBS,
    SQUARE_UNIT,
    SUM_LIMBS,
    SUM_UNIT,
    put_square,
    put_value,
    total_of,
    two_sum,
)
from homeostat.decide.windows.layout import (
    A_N,
    A_NEEDS,
    A_SQUARES,
    A_SUM,
    G_POOL,
    NEED_SQUARES,
    NEED_SUM,
    POOL_FREE,
    POOL_SQUARES,
    POOL_SUMS,
    R_FILTER,
    R_LABEL,
    R_MASK,
    R_MASKS,
    R_PLAIN,
    R_UNKNOWN_IS_ZERO,
    R_VALUE,
    Floats,
    Ints,
    Words,
)
from homeostat.decide.windows.plan import LabelFilter

POSITIVE = int(LabelFilter.POSITIVE)
NEGATIVE = int(LabelFilter.NEGATIVE)
KNOWN = int(LabelFilter.KNOWN)


def _take(p: Ints, ws: Words, r: int, address: int) -> float:
    """The value that stream r sees in the row at `address`, or NaN if it does not admit it."""
    if p[r + R_PLAIN]:
        return ws.log_floats[address + p[r + R_VALUE]]  # type: ignore[no-any-return]
    mask = p[r + R_MASK]
    if mask >= 0 and not (ws.log[address + p[r + R_MASKS]] >> mask) & 1:
        return math.nan
    admits = p[r + R_FILTER]
    if admits:
        label = ws.log_floats[address + p[r + R_LABEL]]
        if admits == POSITIVE and label != 1.0:
            return math.nan
        if admits == NEGATIVE and label != 0.0:
            return math.nan
        if admits == KNOWN and label != label:
            return math.nan
    if p[r + R_VALUE] == 0:
        return 0.0
    x = ws.log_floats[address + p[r + R_VALUE]]
    if x != x and p[r + R_UNKNOWN_IS_ZERO]:
        return 0.0
    return x  # type: ignore[no-any-return]


take = kernel(_take)
take_here = inlined(_take)
"""`take` for the few places that every event passes."""


@kernel
def take_block(li: Ints, head: int, limbs: int) -> int:
    """A block of limbs that are 0, from the list of free ones that begins at `head`; `stock` has seen to it."""
    block = li[head]
    assert block > 0, "there is no free block of limbs"
    li[head] = li[block]
    li[head + 1] -= 1
    for i in range(limbs):
        li[block + i] = 0
    return block  # type: ignore[no-any-return]


@kernel
def give_block(li: Ints, head: int, block: int) -> None:
    """Puts a block on the list of free ones."""
    li[block] = li[head]
    li[head] = block
    li[head + 1] += 1


@kernel
def spread_out(p: Ints, si: Ints, sf: Floats, li: Ints, o: int, k: int, sums: int, squares: int) -> None:
    """Writes what the account holds in two floats and few limbs to all limbs, which are 0 before."""
    word = o + p[k + A_SUM]
    put_value(li, sums, SUM_LIMBS, SUM_UNIT, sf[word])
    put_value(li, sums, SUM_LIMBS, SUM_UNIT, sf[word + 1])
    if p[k + A_NEEDS] & NEED_SQUARES:
        for i in range(NARROW_LIMBS):
            li[squares + NARROW_FIRST + i] = si[o + p[k + A_SQUARES] + i]


@kernel
def count_wide(p: Ints, si: Ints, sf: Floats, li: Ints, o: int, k: int, x: float, plus: bool) -> None:
    """Counts x in or out where two floats can't hold the sum, or few limbs the squares: from now on all limbs do."""
    pool = p[G_POOL]
    word = o + p[k + A_SUM]
    squared = p[k + A_NEEDS] & NEED_SQUARES
    if sf[word] == sf[word]:
        sums = take_block(li, pool + POOL_SUMS, SUM_LIMBS)
        squares = take_block(li, pool + POOL_SQUARES, SQUARE_LIMBS) if squared else 0
        spread_out(p, si, sf, li, o, k, sums, squares)
        sf[word] = math.nan
        si[word + 1] = sums
        if squared:
            si[o + p[k + A_SQUARES]] = squares
    put_value(li, si[word + 1], SUM_LIMBS, SUM_UNIT, x if plus else -x)
    if squared:
        put_square(li, si[o + p[k + A_SQUARES]], SQUARE_LIMBS, SQUARE_UNIT, x, plus)


@inlined
def count(p: Ints, si: Ints, sf: Floats, li: Ints, o: int, k: int, x: float, plus: bool) -> None:
    """Counts the sums of x in or out. Nothing is rounded: where two floats would have to be, limbs are used."""
    needs = p[k + A_NEEDS]
    if needs & NEED_SUM:
        word = o + p[k + A_SUM]
        total, lost = two_sum(sf[word], x if plus else -x)
        low, rest = two_sum(sf[word + 1], lost)
        # A NaN, because the sum is too large or all limbs are in use, is not equal to 0.
        if rest != 0.0 or (needs & NEED_SQUARES and not is_narrow(x)):
            count_wide(p, si, sf, li, o, k, x, plus)
            return
        sf[word] = total
        sf[word + 1] = low
        if needs & NEED_SQUARES:
            put_square(si, o + p[k + A_SQUARES], NARROW_LIMBS, NARROW_UNIT, x, plus)


@inlined
def add(p: Ints, ws: Words, o: int, k: int, x: float) -> None:
    """Counts x in."""
    ws.state[o + p[k + A_N]] += 1
    count(p, ws.state, ws.state_floats, ws.log, o, k, x, True)


@kernel
def clear(p: Ints, ws: Words, o: int, k: int) -> None:
    """Empties the account."""
    needs = p[k + A_NEEDS]
    ws.state[o + p[k + A_N]] = 0
    if needs & NEED_SUM:
        word = o + p[k + A_SUM]
        wide = ws.state_floats[word] != ws.state_floats[word]
        if wide:
            give_block(ws.log, p[G_POOL] + POOL_SUMS, ws.state[word + 1])
        ws.state_floats[word] = 0.0
        ws.state_floats[word + 1] = 0.0
        if needs & NEED_SQUARES:
            word = o + p[k + A_SQUARES]
            if wide:
                give_block(ws.log, p[G_POOL] + POOL_SQUARES, ws.state[word])
            for i in range(NARROW_LIMBS):
                ws.state[word + i] = 0


@inlined
def remove(p: Ints, ws: Words, o: int, k: int, x: float) -> None:
    """Counts x out."""
    n = ws.state[o + p[k + A_N]] - 1
    if n == 0:
        clear(p, ws, o, k)
        return
    ws.state[o + p[k + A_N]] = n
    count(p, ws.state, ws.state_floats, ws.log, o, k, x, False)


@kernel
def summed_wide(p: Ints, si: Ints, sf: Floats, li: Ints, o: int, k: int, own: float, n: int, squared: bool) -> float:
    """The sum divided by n, or if squared the deviation of n values, `own` among them if it is one, from all limbs."""
    free = p[G_POOL] + POOL_FREE
    word = o + p[k + A_SUM]
    wide = sf[word] != sf[word]
    sums, squares = free + DEVIATION_WORDS, free + DEVIATION_WORDS + SUM_LIMBS
    if wide:
        sums, squares = si[word + 1], si[o + p[k + A_SQUARES]] if squared else 0
    else:
        for i in range(SUM_LIMBS + SQUARE_LIMBS):
            li[sums + i] = 0
        spread_out(p, si, sf, li, o, k, sums, squares)
    if own == own:
        put_value(li, sums, SUM_LIMBS, SUM_UNIT, own)
        if squared:
            put_square(li, squares, SQUARE_LIMBS, SQUARE_UNIT, own, True)
    found = wide_deviation(li, free, n, squares, sums) if squared else total_of(li, free, sums, n)
    if own == own and wide:  # The event itself was a guest: taken back, it leaves no trace.
        put_value(li, sums, SUM_LIMBS, SUM_UNIT, -own)
        if squared:
            put_square(li, squares, SQUARE_LIMBS, SQUARE_UNIT, own, False)
    return found


@kernel
def deviation(p: Ints, si: Ints, sf: Floats, li: Ints, o: int, k: int, own: float) -> float:
    """The standard deviation of the account's values and `own`, if it is one, as a sample; NaN below two."""
    n = si[o + p[k + A_N]] + (own == own)
    if n < 2:
        return math.nan
    word = o + p[k + A_SUM]
    total, low = sf[word], sf[word + 1]
    rest = 0.0 if total == total else math.nan
    if own == own:
        total, lost = two_sum(total, own)
        low, rest = two_sum(low, lost)
    if rest != 0.0 or (own == own and not is_narrow(own)):
        return summed_wide(p, si, sf, li, o, k, own, n, True)
    free = p[G_POOL] + POOL_FREE
    squares = free + DEVIATION_WORDS
    for i in range(NARROW_LIMBS):
        li[squares + i] = si[o + p[k + A_SQUARES] + i]
    if own == own:
        put_square(li, squares, NARROW_LIMBS, NARROW_UNIT, own, True)
    return narrow_deviation(li, free, n, squares, total, low)
