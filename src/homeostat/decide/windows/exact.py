"""Whole numbers of many 64-bit words (limbs), least first: what sums are kept in where two floats can't hold them.

A sum counts in units of 2^SUM_UNIT, a sum of squares in units of 2^SQUARE_UNIT. No float or square has a smaller bit,
so that any finite values are added and taken back exactly, in any order. A sum is in two's complement.
Source: Kulisch (2013), Computer Arithmetic and Validity, chapter 8, whose long accumulator this is.
"""

from __future__ import annotations

import math

import numpy as np

from homeostat.decide.windows.compiled import inlined, kernel, leading_zeros, mul_high
from homeostat.decide.windows.layout import Ints

SUM_UNIT = -1088
SUM_LIMBS = 35
"""2^1024 and far more than as many of it as there can be, and a sign."""

SQUARE_UNIT = 2 * SUM_UNIT
SQUARE_LIMBS = 67

FRACTION = (1 << 52) - 1
EXPONENTS = 0x7FF
BIAS = 1075
"""A float is a whole number of 53 bits times 2^(its exponent - BIAS)."""

SPLIT = 134217729.0
"""2^27 + 1 halves a float's 53 bits (Dekker 1971, Numerische Mathematik 18, 224-242)."""

NORMAL_MIN = 2.0**-1022

ONE = np.uint64(1)
SIX3 = np.uint64(63)
LOW_11, SHIFT_11 = np.uint64(0x7FF), np.uint64(11)
LOW_22, SHIFT_22, SHIFT_42 = np.uint64(0x3FFFFF), np.uint64(22), np.uint64(42)
ZERO = np.uint64(0)


@inlined
def two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b rounded, and what the rounding lost, exactly. Source: Knuth, TAOCP 2, 4.2.2."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inlined
def two_product(a: float, b: float) -> tuple[float, float]:
    """a * b rounded, and what the rounding lost, exactly while nothing leaves the range. Source: Dekker (1971)."""
    product = a * b
    big = SPLIT * a
    a_high = big - (big - a)
    a_low = a - a_high
    big = SPLIT * b
    b_high = big - (big - b)
    b_low = b - b_high
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


@inlined
def apart(x: float) -> tuple[np.uint64, int]:
    """|x| as a whole number and the power of two that it is to be multiplied by."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits >> 52) & EXPONENTS
    normal = np.int64(exponent > 0)  # Without a branch: which floats are 0 is hard to foresee.
    return np.uint64((bits & FRACTION) | normal << 52), exponent - normal + (1 - BIAS)  # type: ignore[return-value]


@inlined
def put_words(li: Ints, a: int, stop: int, w0: np.uint64, w1: np.uint64, w2: np.uint64, plus: bool) -> None:
    """Adds three words to the limbs from address a on, or takes them away; the carry goes no further than `stop`."""
    if plus:
        old = np.uint64(li[a])
        new = old + w0
        carry = np.uint64(new < old)
        li[a] = np.int64(new)
        old = np.uint64(li[a + 1])
        new = old + w1
        more = np.uint64(new < old)
        new += carry
        carry = more | np.uint64(new < carry)
        li[a + 1] = np.int64(new)
        old = np.uint64(li[a + 2])
        new = old + w2
        more = np.uint64(new < old)
        new += carry
        carry = more | np.uint64(new < carry)
        li[a + 2] = np.int64(new)
        a += 3
        while carry != ZERO and a < stop:
            li[a] += 1
            carry = np.uint64(li[a] == 0)
            a += 1
        return
    old = np.uint64(li[a])
    carry = np.uint64(old < w0)
    li[a] = np.int64(old - w0)
    old = np.uint64(li[a + 1])
    more = np.uint64(old < w1)
    new = old - w1
    li[a + 1] = np.int64(new - carry)
    carry = more | np.uint64(new < carry)
    old = np.uint64(li[a + 2])
    more = np.uint64(old < w2)
    new = old - w2
    li[a + 2] = np.int64(new - carry)
    carry = more | np.uint64(new < carry)
    a += 3
    while carry != ZERO and a < stop:
        carry = np.uint64(li[a] == 0)
        li[a] -= 1
        a += 1


@inlined
def put_value(li: Ints, a: int, limbs: int, unit: int, x: float) -> None:
    """Adds x, a multiple of 2^unit, to the limbs from address a on."""
    whole, exponent = apart(x)
    if whole == ZERO:
        return
    place = exponent - unit
    if place < 0:  # Its bits below the unit are zero.
        whole >>= np.uint64(-place)
        place = 0
    shift = np.uint64(place & 63)
    start = a + (place >> 6)
    put_words(li, start, a + limbs, whole << shift, (whole >> ONE) >> (SIX3 - shift), ZERO, x > 0.0)


@inlined
def put_square(li: Ints, a: int, limbs: int, unit: int, x: float, plus: bool) -> None:
    """Adds the square of x, a multiple of 2^unit, to the limbs from address a on, or takes it away."""
    whole, exponent = apart(x)
    if whole == ZERO:
        return
    low, high = whole * whole, mul_high(whole, whole)
    place = 2 * exponent - unit
    shift = np.uint64(place & 63)
    back = SIX3 - shift
    start = a + (place >> 6)
    middle = (high << shift) | ((low >> ONE) >> back)
    put_words(li, start, a + limbs, low << shift, middle, (high >> ONE) >> back, plus)


@kernel
def negate(li: Ints, a: int, to: int, limbs: int) -> None:
    """Writes the number at a, times -1, to the address `to`."""
    carry = ONE
    for i in range(limbs):
        word = ~np.uint64(li[a + i]) + carry
        carry = np.uint64((carry != ZERO) & (word == ZERO))
        li[to + i] = np.int64(word)


@inlined
def leading(li: Ints, a: int, limbs: int) -> tuple[float, float, int]:
    """The number at a, not negative, as (s + t) * 2^k: s is it rounded to nearest, t the rest.

    t has the sign of the rest, and is it to 2^-42 of itself; it is 0 where there is none. All are 0 for 0.
    """
    top = limbs - 1
    while top >= 0 and li[a + top] == 0:
        top -= 1
    if top < 0:
        return 0.0, 0.0, 0
    first = np.uint64(li[a + top])
    second = np.uint64(li[a + top - 1]) if top > 0 else ZERO
    third = np.uint64(li[a + top - 2]) if top > 1 else ZERO
    zeros = leading_zeros(first)
    back = SIX3 - zeros
    first = (first << zeros) | ((second >> ONE) >> back)
    second = (second << zeros) | ((third >> ONE) >> back)
    more = ((third << zeros) != ZERO) | ((second & LOW_22) != ZERO)
    q = top - 3
    while not more and q >= 0:
        more = li[a + q] != 0
        q -= 1
    low = ((first & LOW_11) << SHIFT_42) | (second >> SHIFT_22)
    if more:
        low |= ONE  # Rounding to odd keeps the next rounding right (Boldo, Melquiond 2008, IEEE TC 57, 462-471).
    s, t = two_sum(float(np.int64(first >> SHIFT_11)) * 2048.0, float(np.int64(low)) * 2.0**-42)
    return s, t, 64 * top - np.int64(zeros)  # type: ignore[return-value]


@inlined
def power(k: int) -> float:
    """2^k, for k from -1022 to 1023."""
    return np.int64((k + 1023) << 52).view(np.float64)


@kernel
def scaled(v: float, rest: float, k: int) -> float:
    """(v + rest) * 2^k rounded once, where v is the sum rounded to nearest; NaN where it is too large for a float."""
    half = k >> 1
    found = v * power(half) * power(k - half)
    if abs(found) < NORMAL_MIN and rest != 0.0:
        # Fewer than 53 bits are left, so that rounding v once more could round twice the same way.
        bits = np.float64(v).view(np.int64)
        if bits & 1 == 0:
            bits += 1 if (rest > 0.0) == (v > 0.0) else -1
        found = np.int64(bits).view(np.float64) * power(half) * power(k - half)
    return found if abs(found) < math.inf else math.nan


@inlined
def divide(s: float, t: float, by: float) -> tuple[float, float]:
    """(s + t) / by rounded, and about what the rounding lost."""
    found = s / by
    back, lost = two_product(found, by)
    return found, (((s - back) - lost) + t) / by


@kernel
def mean_of(s: float, t: float, k: int, n: int) -> float:
    """(s + t) * 2^k / n."""
    found = s / n
    if -900 < k < 900:
        return found * power(k)
    found, rest = divide(s, t, float(n))
    return scaled(found, rest, k)


@kernel
def total_of(li: Ints, d: int, sums: int, n: int) -> float:
    """The sum of the limbs at `sums`, divided by n; SUM_LIMBS words at d are free."""
    negative = li[sums + SUM_LIMBS - 1] < 0
    if negative:
        negate(li, sums, d, SUM_LIMBS)
        sums = d
    s, t, k = leading(li, sums, SUM_LIMBS)
    found = mean_of(s, t, k + SUM_UNIT, n)
    return -found if negative else found
