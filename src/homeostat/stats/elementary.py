"""exp, log, sigmoid and logit from additions, multiplications and divisions alone, for use inside Numba kernels.

The C library's versions differ in the last bit from one machine to the next, and a compiler may put a vector version
in the body of a loop and a scalar one in its remainder. These round the same everywhere, so that a score does not
depend on the machine, nor on how many rows it was computed with.
"""

from __future__ import annotations

import math

from homeostat.records.compiled import compiled

_LN2_HIGH = 6.93147180369123816490e-01  # ln 2 = high + low; high has 21 trailing zero bits, so that k * high is exact.
_LN2_LOW = 1.90821492927058770002e-10
_LOG2_E = 1.4426950408889634
_EXP_MAX = 709.0
_EXP_MIN = -708.0
TINY = 1e-12  # Scores are held this far from 0 and 1 before their log-odds are taken.


@compiled
def exp(x: float) -> float:
    """e to the power of `x`, to about one unit in the last place; held within [e^-708, e^709].

    Source: range reduction of Cody and Waite (1980), then the Taylor series, whose 14th term is below 5e-18.

    >>> abs(exp(1.0) - 2.718281828459045) < 1e-15
    True
    """
    if x != x:
        return x
    x = min(max(x, _EXP_MIN), _EXP_MAX)
    k = math.floor(x * _LOG2_E + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = 1.0
    for term in range(13, 0, -1):
        total = 1.0 + r * total / term
    return math.ldexp(total, int(k))


@compiled
def log(x: float) -> float:
    """The natural logarithm of `x` > 0, to about one unit in the last place; NaN otherwise.

    Source: log m = 2 artanh((m - 1) / (m + 1)) with m within a factor of the square root of 2 around 1.

    >>> abs(log(10.0) - 2.302585092994046) < 1e-15
    True
    """
    if not x > 0.0:
        return math.nan
    if x == math.inf:
        return x
    m, k = math.frexp(x)
    if m < 0.7071067811865476:
        m *= 2.0
        k -= 1
    s = (m - 1.0) / (m + 1.0)
    s2 = s * s
    total = 0.0
    for term in range(21, 1, -2):
        total = (total + 1.0 / term) * s2
    return k * _LN2_HIGH + (2.0 * s + (2.0 * s * total + k * _LN2_LOW))


@compiled
def sigmoid(x: float) -> float:
    """1 / (1 + e^-x).

    >>> sigmoid(0.0)
    0.5
    """
    if x >= 0.0:
        return 1.0 / (1.0 + exp(-x))
    e = exp(x)
    return e / (1.0 + e)


@compiled
def logit(p: float) -> float:
    """The log-odds of `p`, which is held within [1e-12, 1 - 1e-12].

    >>> logit(0.5)
    0.0
    """
    p = min(max(p, TINY), 1.0 - TINY)
    return log(p) - log(1.0 - p)
