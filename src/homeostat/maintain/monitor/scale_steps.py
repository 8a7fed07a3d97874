"""The alarm scale's steps from tick to tick, compiled: it goes on until a tick at which there is something to do.

Most ticks raise nothing. One call takes a whole block of these, so that a quiet tick costs microseconds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import AnyArray, Bytes, Float, Int, Mask
from homeostat.records.compiled import compiled
from homeostat.stats import seasonal
from homeostat.stats.e_detector import Bettors, Stepped, step_all
from homeostat.stats.seasonal import Ordinary

DAY_NS = 86_400_000_000_000
ADOPTED_NS = 14 * DAY_NS
KNOWN_LEAST = 48  # Measurements without which a series is not judged.
BACK = 0.35  # Of the effect: a series with less of it is back.
_FAR = 1e9  # A series that never moved has no deviation to speak of.
_NEAR = 8.0


class Rules(NamedTuple):
    """How each series is judged, (k,) each.

    scale, side : as numbers; bound : the evidence that raises it; learning_ns : not judged for so long
    of_people, of_windows : whether campaigns explain it, see `Scale`
    day : ticks of a day
    """

    scale: Int
    side: Int
    bound: Float
    learning_ns: Int
    of_people: Mask
    of_windows: Mask
    day: int


class Rings(NamedTuple):
    """The last ticks, (k, w) each and (w,) of all: what was measured, and the residuals of it.

    inside : whether a measurement counts as ordinary past
    """

    value: AnyArray
    n: AnyArray
    spread: AnyArray
    z: AnyArray
    u: AnyArray
    inside: Bytes
    hour: Int
    end_ns: Int


class Standing(NamedTuple):
    """How the series stand, (k,) each.

    raised : 1 while a signal is on
    since_ns, low_ns, high_ns : when that change began, with its interval
    raised_ns, named_ns : when it was raised first and last
    effect : its size in standard deviations when it was raised; recent : of late
    first_ns : the first measurement of the series, 0 before it
    evidence, p_value : when it was raised
    """

    raised: Bytes
    since_ns: Int
    low_ns: Int
    high_ns: Int
    raised_ns: Int
    named_ns: Int
    effect: Float
    recent: Float
    first_ns: Int
    evidence: Float
    p_value: Float


class Ticks(NamedTuple):
    """The ticks to take, t of them.

    value, n, spread : (t, k) as in `Measured`
    end_ns, hour : (t,) hour of the week
    people, windows : (t,) whether a campaign explains series of people, and of windows
    """

    value: Float
    n: Float
    spread: Float
    end_ns: Int
    hour: Int
    people: Mask
    windows: Mask

    def muted(self, rules: Rules, at: int) -> Mask:
        """(k,) whether a campaign explains whatever a series shows at a tick."""
        found: Mask = (rules.of_people & self.people[at]) | (rules.of_windows & self.windows[at])
        return found


@compiled
def advance(
    ticks: Ticks, begin: int, rules: Rules, rings: Rings, ordinary: Ordinary, bettors: Bettors, standing: Standing,
    count: Int, found: Stepped,
) -> int:  # fmt: skip
    """Take ticks from `begin` on; returns the one at which there is something to do, or how many there are.

    That one is taken in, and not yet counted. It is one that raises or ends a signal, or at which a day is over.
    """
    k, w = len(rules.scale), len(rings.hour)
    watched = np.zeros(k, np.uint8)
    for t in range(begin, len(ticks.end_ns)):
        place, end_ns = count[0] % w, ticks.end_ns[t]
        rings.hour[place], rings.end_ns[place] = ticks.hour[t], end_ns
        for i in range(k):
            value, n = ticks.value[t, i], ticks.n[t, i]
            usable = math.isfinite(value) and (n > 0.0 or rules.scale[i] == seasonal.FACT)
            rings.value[i, place] = value if usable else math.nan
            rings.n[i, place], rings.spread[i, place] = n, ticks.spread[t, i]
            if usable and standing.first_ns[i] == 0:
                standing.first_ns[i] = end_ns
            muted = (rules.of_people[i] and ticks.people[t]) or (rules.of_windows[i] and ticks.windows[t])
            first = standing.first_ns[i]
            quiet = standing.raised[i] == 0 and not muted
            ready = first > 0 and end_ns - first >= rules.learning_ns[i] and ordinary.known[i] >= KNOWN_LEAST
            watched[i] = 1 if quiet and ready else 0
            rings.inside[i, place] = 1 if quiet else 0
        step_all(
            ordinary, bettors, watched, rules.scale, rules.side, ticks.value[t], ticks.n[t], ticks.spread[t],
            ticks.hour[t], float(end_ns), found.z, found.u, found.before, found.evidence, found.rise,
        )  # fmt: skip
        acts = (count[0] + 1) % rules.day == 0
        for i in range(k):
            z, u = found.z[i], found.u[i]
            rings.z[i, place] = z if z != z else min(max(z, -_FAR), _FAR)
            rings.u[i, place] = u if u != u else min(max(u, -_FAR), _FAR)
            if standing.raised[i] == 1:
                _follow(standing, i, z, rules.scale[i] == seasonal.FACT)
            muted = (rules.of_people[i] and ticks.people[t]) or (rules.of_windows[i] and ticks.windows[t])
            if _has_to_act(standing, i, found, end_ns, rules, muted, ticks.value[t, i]):
                acts = True
        if acts:
            return t
        count[0] += 1
    return len(ticks.end_ns)


@compiled
def _follow(standing: Standing, i: int, z: float, is_fact: bool) -> None:
    """Bring the recent size of an effect up to date."""
    if is_fact or z != z:
        return
    size = max(abs(standing.effect[i]), 1e-9)
    pace = 1.0 / min(max(16.0 / (size * size), 4.0), 168.0)
    now, recent = min(max(z, -_NEAR), _NEAR), min(max(standing.recent[i], -_NEAR), _NEAR)
    standing.recent[i] = recent * (1.0 - pace) + now * pace


@compiled
def _has_to_act(
    standing: Standing, i: int, found: Stepped, end_ns: int, rules: Rules, muted: bool, value: float
) -> bool:  # fmt: skip
    """Whether a series raises or ends a signal now, or has to be named again."""
    z = found.z[i]
    is_fact = rules.scale[i] == seasonal.FACT
    if standing.raised[i] == 0:
        if is_fact:
            return math.isfinite(value) and value != 0.0
        return found.evidence[i] >= rules.bound[i] and not muted and z == z
    if end_ns - standing.named_ns[i] >= DAY_NS:
        return True
    if is_fact:
        return value == 0.0
    if end_ns - standing.raised_ns[i] >= ADOPTED_NS:
        return True
    effect = standing.effect[i]
    sign = 1.0 if effect > 0.0 else (-1.0 if effect < 0.0 else 0.0)
    return bool(z == z and standing.recent[i] * sign < BACK * min(max(abs(effect), 1e-9), 3.0))


@compiled
def levels(ordinary: Ordinary, i: int, scale: int, hour: Int, end_ns: Int) -> Float:
    """(n,) the levels that the past of a series expects at some ticks. hour, end_ns : (n,) of these"""
    found = np.empty(len(hour))
    for t in range(len(hour)):
        found[t] = seasonal.expected(ordinary, i, scale, hour[t], float(end_ns[t]))
    return found
