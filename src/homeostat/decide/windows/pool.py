"""Free blocks of limbs for accounts that need them, and the blocks' part in the move to new memory.

An account may need a block at any event, in the midst of an entity's rows, where nothing can be repeated. So before the
rows of an entity there are as many free blocks as it has accounts; where the log's array is too short for them it
becomes longer, while everything stays where it is.
"""

from __future__ import annotations

from homeostat.decide.windows.accounts import give_block
from homeostat.decide.windows.compiled import inlined, kernel
from homeostat.decide.windows.deviations import DEVIATION_WORDS
from homeostat.decide.windows.exact import SQUARE_LIMBS, SUM_LIMBS
from homeostat.decide.windows.layout import (
    A_COLUMNS,
    A_NEEDS,
    A_SQUARES,
    A_SUM,
    C_LOG_USED,
    C_POOL_NEEDED,
    G_POOL,
    NEED_SQUARES,
    NEED_SUM,
    P_ACCOUNT_FROM,
    P_ACCOUNT_TO,
    P_SQUARES,
    P_SUMS,
    POOL_FREE,
    POOL_SQUARES,
    POOL_SUMS,
    Floats,
    Ints,
    Memory,
)

POOL_WORDS = POOL_FREE + DEVIATION_WORDS + SUM_LIMBS + SQUARE_LIMBS
"""Words between the scratch row and the first log."""


@kernel
def fill(p: Ints, m: Memory, e: int) -> bool:
    """Takes blocks from the end of the log; False, with nothing done, if its array is too short for them."""
    li, counters = m.log, m.counters
    sums, squares = p[G_POOL] + POOL_SUMS, p[G_POOL] + POOL_SQUARES
    need = max(p[e + P_SUMS] - li[sums + 1], 0) * SUM_LIMBS + max(p[e + P_SQUARES] - li[squares + 1], 0) * SQUARE_LIMBS
    if counters[C_LOG_USED] + need > len(li):
        counters[C_POOL_NEEDED] = need
        return False
    while li[sums + 1] < p[e + P_SUMS]:
        give_block(li, sums, counters[C_LOG_USED])
        counters[C_LOG_USED] += SUM_LIMBS
    while li[squares + 1] < p[e + P_SQUARES]:
        give_block(li, squares, counters[C_LOG_USED])
        counters[C_LOG_USED] += SQUARE_LIMBS
    return True


@inlined
def stocked(p: Ints, m: Memory, e: int) -> bool:
    """Whether there is a free block for every account of an entity e, now or once some are taken from the log's end."""
    pool = p[G_POOL]
    enough = (m.log[pool + POOL_SUMS + 1] >= p[e + P_SUMS]) & (m.log[pool + POOL_SQUARES + 1] >= p[e + P_SQUARES])
    return bool(enough) or fill(p, m, e)


@kernel
def limb_words(p: Ints, si: Ints, sf: Floats, o: int, e: int) -> int:
    """Words of the blocks that the accounts of the state at o have."""
    words = 0
    for k in range(p[e + P_ACCOUNT_FROM], p[e + P_ACCOUNT_TO], A_COLUMNS):
        needs = p[k + A_NEEDS]
        if needs & NEED_SUM and sf[o + p[k + A_SUM]] != sf[o + p[k + A_SUM]]:
            words += SUM_LIMBS + (SQUARE_LIMBS if needs & NEED_SQUARES else 0)
    return words


@kernel
def move_block(old: Ints, new: Ints, si: Ints, word: int, limbs: int, place: int) -> int:
    """Moves the block whose address is at `word` to `place`; returns where the next one goes."""
    block = si[word]
    for i in range(limbs):
        new[place + i] = old[block + i]
    si[word] = place
    return place + limbs


@kernel
def move_limbs(p: Ints, si: Ints, sf: Floats, o: int, e: int, old: Ints, new: Ints, place: int) -> int:
    """Moves the blocks of the state at o from array `old` to `place` in `new`; returns the place behind them."""
    for k in range(p[e + P_ACCOUNT_FROM], p[e + P_ACCOUNT_TO], A_COLUMNS):
        needs = p[k + A_NEEDS]
        if needs & NEED_SUM and sf[o + p[k + A_SUM]] != sf[o + p[k + A_SUM]]:
            place = move_block(old, new, si, o + p[k + A_SUM] + 1, SUM_LIMBS, place)
            if needs & NEED_SQUARES:
                place = move_block(old, new, si, o + p[k + A_SQUARES], SQUARE_LIMBS, place)
    return place
