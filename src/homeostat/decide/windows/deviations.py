"""Standard deviations from exact sums: n * (sum of squares) - (sum)^2 as a whole number, then one division and a root.

Ordinary values' squares fall into a few limbs, in units of 2^NARROW_UNIT, of which 2^NARROW_ROOT is the root.
"""

from __future__ import annotations

import math

import numpy as np

from homeostat.decide.windows.compiled import inlined, kernel, mul_high
from homeostat.decide.windows.exact import (
    ONE,
    SIX3,
    SQUARE_LIMBS,
    SQUARE_UNIT,
    SUM_LIMBS,
    ZERO,
    apart,
    divide,
    leading,
    negate,
    power,
    put_value,
    put_words,
    scaled,
    two_product,
    two_sum,
)
from homeostat.decide.windows.layout import Ints

NARROW_FIRST = 31
NARROW_LIMBS = 5
"""The limbs that ordinary squares fall into, those of 2^30 values that are 0 or from 2^-44 to 2^49: 6e-14 to 6e14."""

NARROW_UNIT = SQUARE_UNIT + 64 * NARROW_FIRST
NARROW_ROOT = NARROW_UNIT // 2
NARROW_PLACE_MAX = 64 * NARROW_LIMBS - 106 - 30

ROOT_LIMBS = 4
"""The sum of values whose squares are NARROW_LIMBS limbs, and a sign."""

ROOT_MAX = 2.0**32
"""Sums below this are two words in units of 2^NARROW_ROOT."""

BEHIND = 2
"""How many limbs of a sum count that are less than the root of the squares' unit."""

DEVIATION_WORDS = NARROW_LIMBS + 2 + 2 * BEHIND + ROOT_LIMBS + BEHIND + 2 + SUM_LIMBS
"""The number of free words that a deviation needs."""

SHIFT_32 = np.uint64(32)


@inlined
def is_narrow(x: float) -> bool:
    """Whether the square of x falls into the limbs of ordinary squares."""
    whole, exponent = apart(x)
    place = 2 * exponent - NARROW_UNIT
    return bool((0 <= place <= NARROW_PLACE_MAX) | (whole == ZERO))


@inlined
def root_of(s: float, t: float, k: int, n: int) -> float:
    """The standard deviation of a sample of n values: the root of (s + t) * 2^k / (n * (n - 1))."""
    if k & 1:
        s, t, k = 2.0 * s, 2.0 * t, k - 1
    among = float(n) * float(n - 1)
    if -1800 < k < 1800:
        return math.sqrt(s / among) * power(k >> 1)
    found, rest = divide(s, t, among)
    root = math.sqrt(found)
    back, lost = two_product(root, root)
    return scaled(root, ((found - back) - lost) + rest, k >> 1)


@inlined
def spread(li: Ints, d: int, n: int, squares: int, roots: int, root_limbs: int, behind: int) -> int:
    """Writes n * I - R^2 to the words at d, where I are NARROW_LIMBS limbs and R is root_limbs limbs, not negative.

    behind : how many of R's limbs are less than the root of I's unit
    Returns how many words that are.
    """
    limbs = NARROW_LIMBS + 2 + 2 * behind
    for i in range(limbs):
        li[d + i] = 0
    times = np.uint64(n)
    start, stop = d + 2 * behind, d + limbs
    for i in range(NARROW_LIMBS):
        word = np.uint64(li[squares + i])
        if word != ZERO:
            put_words(li, start + i, stop, word * times, mul_high(word, times), ZERO, True)
    for i in range(root_limbs):
        one = np.uint64(li[roots + i])
        if one == ZERO:
            continue
        put_words(li, d + 2 * i, stop, one * one, mul_high(one, one), ZERO, False)
        for j in range(i + 1, root_limbs):
            other = np.uint64(li[roots + j])
            if other != ZERO:
                low, high = one * other, mul_high(one, other)
                middle = (high << ONE) | (low >> SIX3)
                put_words(li, d + i + j, stop, low << ONE, middle, high >> SIX3, False)
    return limbs


@inlined
def plus(a: np.uint64, b: np.uint64, carry: np.uint64) -> tuple[np.uint64, np.uint64]:
    """a + b + carry, and what is carried on."""
    one = a + b
    two = one + carry
    return two, np.uint64(one < a) | np.uint64(two < one)


@inlined
def minus(a: np.uint64, b: np.uint64, carry: np.uint64) -> tuple[np.uint64, np.uint64]:
    """a - b - carry, and what is carried on."""
    one = a - b
    return one - carry, np.uint64(a < b) | np.uint64(one < carry)


@inlined
def two_words(x: float) -> tuple[np.uint64, np.uint64]:
    """|x| < ROOT_MAX in units of 2^NARROW_ROOT, of which it is a multiple."""
    whole, exponent = apart(x)
    place = exponent - NARROW_ROOT
    whole >>= np.uint64(max(min(-place, 63), 0))
    place = max(place, 0)
    shift = np.uint64(place & 63)
    far = ZERO - np.uint64(place >> 6)  # All bits where a whole word lies below it.
    low = whole << shift
    return low & ~far, (((whole >> ONE) >> (SIX3 - shift)) & ~far) | (low & far)


@inlined
def spread_near(li: Ints, d: int, n: int, squares: int, s: float, t: float) -> int:
    """`spread` for a sum s + t below ROOT_MAX, s being it rounded: without a loop, since every event may need it.

    The word at d is 0 before.
    """
    s0, s1 = two_words(s)
    t0, t1 = two_words(t)
    other = ZERO - np.uint64((s < 0.0) != (t < 0.0))  # All bits where t is to be taken from s: its sign is chance.
    r0, carry = plus(s0, t0 ^ other, other & ONE)
    r1, carry = plus(s1, t1 ^ other, carry)
    low, high = r0 * r1, mul_high(r0, r1)
    q0 = r0 * r0
    q1, carry = plus(mul_high(r0, r0), low << ONE, ZERO)
    q2, carry = plus(r1 * r1, (high << ONE) | (low >> SIX3), carry)
    q3 = mul_high(r1, r1) + (high >> SIX3) + carry
    times = np.uint64(n)
    above = carry = borrow = ZERO
    word = np.uint64(li[squares])
    if (word | q0) != ZERO:  # Prices have no such bits.
        m, borrow = minus(word * times, q0, ZERO)
        li[d] = np.int64(m)
        above = mul_high(word, times)
    word = np.uint64(li[squares + 1])
    m, carry = plus(word * times, above, ZERO)
    m, borrow = minus(m, q1, borrow)
    li[d + 1] = np.int64(m)
    above = mul_high(word, times)
    word = np.uint64(li[squares + 2])
    m, carry = plus(word * times, above, carry)
    m, borrow = minus(m, q2, borrow)
    li[d + 2] = np.int64(m)
    above = mul_high(word, times)
    word = np.uint64(li[squares + 3])
    m, carry = plus(word * times, above, carry)
    m, borrow = minus(m, q3, borrow)
    li[d + 3] = np.int64(m)
    above = mul_high(word, times) + carry
    word = np.uint64(li[squares + 4])
    if (word | above | borrow) == ZERO:
        return 4
    m, carry = plus(word * times, above, ZERO)
    li[d + 4] = np.int64(m - borrow)
    li[d + 5] = np.int64(mul_high(word, times) + carry - np.uint64(m < borrow))
    return 6


@inlined
def narrow_deviation(li: Ints, d: int, n: int, squares: int, total: float, low: float) -> float:
    """The standard deviation of n values from their ordinary squares' limbs and their sum in two parts.

    The NARROW_LIMBS limbs at `squares` lie in li; the words at d are free: DEVIATION_WORDS.
    """
    total, low = two_sum(total, low)
    if abs(total) < ROOT_MAX:
        li[d] = 0
        limbs = spread_near(li, d, n, squares, total, low)
    else:
        roots = d + NARROW_LIMBS + 2
        for i in range(ROOT_LIMBS):
            li[roots + i] = 0
        put_value(li, roots, ROOT_LIMBS, NARROW_ROOT, total)
        put_value(li, roots, ROOT_LIMBS, NARROW_ROOT, low)
        if li[roots + ROOT_LIMBS - 1] < 0:
            negate(li, roots, roots, ROOT_LIMBS)
        limbs = spread(li, d, n, squares, roots, ROOT_LIMBS, 0)
    s, t, k = leading(li, d, limbs)
    return root_of(s, t, k + NARROW_UNIT, n)


@kernel
def wide_deviation(li: Ints, d: int, n: int, squares: int, sums: int) -> float:
    """The standard deviation of n values from all limbs of their squares and of their sum; d as above.

    Of the squares the NARROW_LIMBS limbs from the first that is not 0 are enough, of the sum as much and two limbs
    more: floats that are not equal differ by 2^-54 of the largest, M, at least, so that n * I - R^2 is 0, or at least
    2^-109 M^2 and I at least M^2 and 2^256 units. The parts left out change it by less than 2^-90 of itself.
    """
    top = SQUARE_LIMBS - 1
    while top >= NARROW_LIMBS and li[squares + top] == 0:
        top -= 1
    first = top + 1 - NARROW_LIMBS
    magnitude = sums
    if li[sums + SUM_LIMBS - 1] < 0:
        magnitude = d + DEVIATION_WORDS - SUM_LIMBS
        negate(li, sums, magnitude, SUM_LIMBS)
    roots = d + NARROW_LIMBS + 2 + 2 * BEHIND
    for i in range(ROOT_LIMBS + BEHIND):
        place = 32 * first + 64 * (i - BEHIND)
        q = place >> 6
        word = np.uint64(li[magnitude + q]) if 0 <= q < SUM_LIMBS else ZERO
        if place & 63:
            above = np.uint64(li[magnitude + q + 1]) if -1 <= q < SUM_LIMBS - 1 else ZERO
            word = (word >> SHIFT_32) | (above << SHIFT_32)
        li[roots + i] = np.int64(word)
    limbs = spread(li, d, n, squares + first, roots, ROOT_LIMBS + BEHIND, BEHIND)
    s, t, k = leading(li, d, limbs)
    if li[d + limbs - 1] < 0 or (first > 0 and k < 64 * (2 * BEHIND + 1)):
        return 0.0
    return root_of(s, t, k + SQUARE_UNIT + 64 * (first - 2 * BEHIND), n)
