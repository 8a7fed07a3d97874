"""Counts and compensated sums: what an account adds when an event enters its span and takes back when it leaves.

Kernels name their arguments alike: p the program, si and sf the state as integers and floats, li and lf the logs; o
where an entity's state begins, z the address of its log's row 0 (dropped rows included), w the words of a row; e an
entity, h a head, s a span, r a stream, k an account, f an emit, each the place of its row in the program; q an event's
number, x its value.
"""

from __future__ import annotations

import math

from homeostat.decide.windows.compiled import inlined, kernel
from homeostat.decide.windows.layout import (
    A_N,
    A_NEEDS,
    A_SQUARES,
    A_STREAM,
    A_SUM,
    NEED_SQUARES,
    NEED_SUM,
    R_FILTER,
    R_LABEL,
    R_MASK,
    R_MASKS,
    R_PLAIN,
    R_UNKNOWN_IS_ZERO,
    R_VALUE,
    Floats,
    Ints,
)
from homeostat.decide.windows.plan import LabelFilter

POSITIVE = int(LabelFilter.POSITIVE)
NEGATIVE = int(LabelFilter.NEGATIVE)
KNOWN = int(LabelFilter.KNOWN)

CANCELLED = 2.0**40
"""Squares are summed afresh once one leaves that is this much larger than all that stay: its low bits stay behind."""

ROUNDED = 2.0**-90
"""A sum of squared deviations this small against the sum of squares is rounding: the values are equal."""

SPLIT = 134217729.0
"""2^27 + 1 halves a float's 53 bits (Dekker 1971, Numerische Mathematik 18, 224-242)."""


def _take(p: Ints, si: Ints, sf: Floats, li: Ints, lf: Floats, r: int, address: int) -> float:
    """The value that stream r sees in the row at `address`, or NaN if it does not admit it."""
    if p[r + R_PLAIN]:
        return lf[address + p[r + R_VALUE]]  # type: ignore[no-any-return]
    mask = p[r + R_MASK]
    if mask >= 0 and not (li[address + p[r + R_MASKS]] >> mask) & 1:
        return math.nan
    admits = p[r + R_FILTER]
    if admits:
        label = lf[address + p[r + R_LABEL]]
        if admits == POSITIVE and label != 1.0:
            return math.nan
        if admits == NEGATIVE and label != 0.0:
            return math.nan
        if admits == KNOWN and label != label:
            return math.nan
    if p[r + R_VALUE] == 0:
        return 0.0
    x = lf[address + p[r + R_VALUE]]
    if x != x and p[r + R_UNKNOWN_IS_ZERO]:
        return 0.0
    return x  # type: ignore[no-any-return]


take = kernel(_take)
take_here = inlined(_take)
"""`take` for the few places that every event passes."""


@inlined
def two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b rounded, and what the rounding lost, exactly. Source: Knuth, TAOCP 2, 4.2.2."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inlined
def two_product(a: float, b: float) -> tuple[float, float]:
    """a * b rounded, and what the rounding lost, exactly. Source: Dekker (1971)."""
    product = a * b
    big = SPLIT * a
    a_high = big - (big - a)
    a_low = a - a_high
    big = SPLIT * b
    b_high = big - (big - b)
    b_low = b - b_high
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


@inlined
def add(p: Ints, si: Ints, sf: Floats, li: Ints, lf: Floats, o: int, k: int, x: float) -> None:
    """Counts x in."""
    si[o + p[k + A_N]] += 1
    needs = p[k + A_NEEDS]
    if needs & NEED_SUM:
        word = o + p[k + A_SUM]
        total, lost = two_sum(sf[word], x)
        sf[word] = total
        sf[word + 1] += lost
    if needs & NEED_SQUARES:
        word = o + p[k + A_SQUARES]
        square, more = two_product(x, x)
        total, lost = two_sum(sf[word], square)
        sf[word] = total
        sf[word + 1] += lost + more


@kernel
def clear(p: Ints, si: Ints, sf: Floats, li: Ints, lf: Floats, o: int, k: int) -> None:
    """Empties the account, exactly."""
    needs = p[k + A_NEEDS]
    si[o + p[k + A_N]] = 0
    if needs & NEED_SUM:
        sf[o + p[k + A_SUM]] = 0.0
        sf[o + p[k + A_SUM] + 1] = 0.0
    if needs & NEED_SQUARES:
        sf[o + p[k + A_SQUARES]] = 0.0
        sf[o + p[k + A_SQUARES] + 1] = 0.0


@kernel
def sum_afresh(
    p: Ints, si: Ints, sf: Floats, li: Ints, lf: Floats, o: int, z: int, w: int, k: int, start: int, stop: int
) -> None:
    """The account of the events [start, stop)."""
    clear(p, si, sf, li, lf, o, k)
    for q in range(start, stop):
        x = take(p, si, sf, li, lf, p[k + A_STREAM], z + q * w)
        if x == x:
            add(p, si, sf, li, lf, o, k, x)


@inlined
def remove(
    p: Ints,
    si: Ints,
    sf: Floats,
    li: Ints,
    lf: Floats,
    o: int,
    z: int,
    w: int,
    k: int,
    x: float,
    start: int,
    stop: int,
) -> None:
    """Counts x out; [start, stop) are the events that stay."""
    n = si[o + p[k + A_N]] - 1
    if n == 0:
        clear(p, si, sf, li, lf, o, k)
        return
    si[o + p[k + A_N]] = n
    needs = p[k + A_NEEDS]
    if needs & NEED_SUM:
        word = o + p[k + A_SUM]
        total, lost = two_sum(sf[word], -x)
        sf[word] = total
        sf[word + 1] += lost
    if needs & NEED_SQUARES:
        word = o + p[k + A_SQUARES]
        square, more = two_product(x, x)
        total, lost = two_sum(sf[word], -square)
        sf[word] = total
        sf[word + 1] += lost - more
        if square > CANCELLED * total:
            # The same event can cause this once only, and nothing as large may have stayed, so that the cost stays
            # amortised however long the window is.
            sum_afresh(p, si, sf, li, lf, o, z, w, k, start, stop)


@kernel
def deviation(n: int, total: float, total_low: float, squares: float, squares_low: float) -> float:
    """The standard deviation of a sample of n values with these sums, each in two parts; NaN below two.

    The difference of the sums is taken in twice the precision: values may be 10^12 times their deviation.
    """
    if n < 2:
        return math.nan
    high, low = two_sum(total, total_low)
    square, square_low = two_product(high, high)
    square_low += 2.0 * high * low
    mean = square / n
    back, back_low = two_product(mean, float(n))
    mean_low = (((square - back) - back_low) + square_low) / n
    rest, lost = two_sum(squares, -mean)
    rest += lost + (squares_low - mean_low)
    if rest <= squares * ROUNDED:
        return 0.0
    return math.sqrt(rest / (n - 1))
