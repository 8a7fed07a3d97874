"""Chance that depends on nothing but a seed, an event's id and a stream: the same in any batch, order or process.

Of decisions, a secret is part of the function, so that whoever picks an id can't pick its fate: `keyed_chances` is
SipHash-2-4, see `records.siphash`. Simulations have no secrets. Theirs is a counter-based generator: the splitmix64
finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants of Stafford's
variant 13) applied to the seed, then to the id, then to the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Bits, Float, Int

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_STREAM = np.uint64(0xD1342543DE82EF95)  # Odd, so that streams are distinct (Steele, Vigna 2021, table of multipliers).
_TO_UNIT = 2.0**-53


def finalise(x: Bits) -> Bits:
    """The splitmix64 finaliser: a bijection on 64 bits in which each input bit flips each output bit half of the time.

    >>> hex(int(finalise(np.array([1], dtype=np.uint64))[0]))
    '0x5692161d100b05e5'
    """
    x = (x ^ (x >> np.uint64(30))) * _M1
    x = (x ^ (x >> np.uint64(27))) * _M2
    return x ^ (x >> np.uint64(31))


def bits(seed: int, codes: Int, stream: int = 0) -> Bits:
    """64 random bits for each code.

    seed : any integer; its low 64 bits count
    codes : (n,) event id codes, or any 64-bit counters
    stream : a number for each independent use of the same id
    Returns (n,) uint64.
    """
    start = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64) + _GAMMA
    key = finalise(start) + np.array([stream & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64) * _STREAM
    counters = np.ascontiguousarray(codes, dtype=np.int64).view(np.uint64)
    return finalise(finalise(counters * _GAMMA + key) + key)


def uniform(seed: int, codes: Int, stream: int = 0) -> Float:
    """Uniform numbers in [0, 1), one for each code: the upper 53 bits of `bits`, so that each is exact in float64.

    >>> ids = np.array([7, 8, 9])
    >>> bool((uniform(1, ids)[1:] == uniform(1, ids[1:])).all())
    True
    """
    return (bits(seed, codes, stream) >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def keyed_chances(keys: Bits, code: Int, check: Int) -> Float:
    """(n, streams) uniform numbers in [0, 1) for events of these identities; nobody can tell them without the keys.

    keys : (streams, 2) words; those of different streams have nothing in common
    code, check : (n,) see `records.identity`
    """
    drawn = np.empty((len(code), len(keys)))
    _kernel()(keys, code, check, drawn)
    return drawn


@cache
def _kernel() -> Callable[[Bits, Int, Int, Float], None]:
    from homeostat.records.siphash import draw_chances  # Loads the compiler, which simulations do without.

    return draw_chances


def chances(seed: int, codes: Int, streams: int = 2) -> Float:
    """(n, streams) uniform numbers in [0, 1) for the counters `codes`.

    >>> ids = np.array([5, -6])
    >>> bool((chances(1, ids)[1:] == chances(1, ids[1:])).all())
    True
    """
    out: NDArray[np.float64] = np.empty((len(codes), streams))
    for stream in range(streams):
        out[:, stream] = uniform(seed, codes, stream)
    return out
