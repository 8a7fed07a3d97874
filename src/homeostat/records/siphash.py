"""SipHash-2-4 of two and of four 64-bit words, compiled: a keyed hash that holds against whoever chooses the words.

Source: Aumasson, Bernstein (2012), SipHash: a fast short-input PRF, INDOCRYPT, and their reference code for 128 bits.
"""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Bits, Float, Int
from homeostat.records.compiled import compiled, inlined

_V0, _V1, _V2, _V3 = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573
_ABSENT = -(1 << 63)


@inlined
def _turned(x: np.uint64, by: int) -> np.uint64:
    return (x << np.uint64(by)) | (x >> np.uint64(64 - by))


@inlined
def _round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 += v1
    v2 += v3
    v1 = _turned(v1, 13) ^ v0
    v3 = _turned(v3, 16) ^ v2
    v0 = _turned(v0, 32)
    v2 += v1
    v0 += v3
    v1 = _turned(v1, 17) ^ v2
    v3 = _turned(v3, 21) ^ v0
    v2 = _turned(v2, 32)
    return v0, v1, v2, v3


@inlined
def _absorbed(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64, word: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ word, v1, v2, v3


@inlined
def _four_rounds(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return _round(v0, v1, v2, v3)


@inlined
def of_two(k0: np.uint64, k1: np.uint64, a: np.uint64, b: np.uint64) -> np.uint64:
    """64 bits of two words (16 bytes) under a key of two words."""
    v0, v1 = np.uint64(_V0) ^ k0, np.uint64(_V1) ^ k1
    v2, v3 = np.uint64(_V2) ^ k0, np.uint64(_V3) ^ k1
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, a)
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, b)
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, np.uint64(16 << 56))
    v0, v1, v2, v3 = _four_rounds(v0, v1, v2 ^ np.uint64(0xFF), v3)
    return v0 ^ v1 ^ v2 ^ v3


@inlined
def of_four(
    k0: np.uint64, k1: np.uint64, a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """128 bits of four words (32 bytes) under a key of two words."""
    v0, v1 = np.uint64(_V0) ^ k0, np.uint64(_V1) ^ k1 ^ np.uint64(0xEE)
    v2, v3 = np.uint64(_V2) ^ k0, np.uint64(_V3) ^ k1
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, a)
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, b)
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, c)
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, d)
    v0, v1, v2, v3 = _absorbed(v0, v1, v2, v3, np.uint64(32 << 56))
    v0, v1, v2, v3 = _four_rounds(v0, v1, v2 ^ np.uint64(0xEE), v3)
    low = v0 ^ v1 ^ v2 ^ v3
    v0, v1, v2, v3 = _four_rounds(v0, v1 ^ np.uint64(0xDD), v2, v3)
    return low, v0 ^ v1 ^ v2 ^ v3


@compiled
def draw_chances(keys: Bits, code: Int, check: Int, out: Float) -> None:
    """Writes (n, streams) uniform numbers in [0, 1): the upper 53 bits of `of_two` by each stream's key."""
    for i in range(len(code)):
        for stream in range(len(keys)):
            drawn = of_two(keys[stream, 0], keys[stream, 1], np.uint64(code[i]), np.uint64(check[i]))
            out[i, stream] = np.float64(drawn >> np.uint64(11)) * 2.0**-53


@compiled
def hash_pairs(k0: np.uint64, k1: np.uint64, keys: Int, checks: Int, first: int, second: int, column: int) -> None:
    """Writes `column` of keys and checks, each (n, entities): the identity of the pair of two others.

    A pair's code lies in the range of texts' codes, where no integer is. It is absent where one of the two is.
    """
    for i in range(len(keys)):
        a, c = keys[i, first], keys[i, second]
        if a == _ABSENT or c == _ABSENT:
            keys[i, column], checks[i, column] = _ABSENT, 0
            continue
        low, high = of_four(
            k0, k1, np.uint64(a), np.uint64(checks[i, first]), np.uint64(c), np.uint64(checks[i, second])
        )
        keys[i, column] = np.int64((np.uint64(1) << np.uint64(62)) | (low >> np.uint64(2)))
        checks[i, column] = np.int64(high)
