"""Incidents that were only watched and came again and again: at one place, at one hour of the day, of one source.

One of them is no reason to act. Three within four weeks at the same figure are: with a budget of one false alarm in 30
days over 100 figures, chance brings that about once in 75,000 spans of four weeks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import comb

from homeostat.records.incidents import Incident, Severity
from homeostat.records.past import PastCase

DAY_NS, HOUR_NS = 86_400 * 10**9, 3_600 * 10**9
WEEK_NS = 7 * DAY_NS
SPAN_NS = 28 * DAY_NS
LEAST = 3  # Cases, each on a day of its own.
REPEATS = "repeats"
"""The note of an incident that was opened for a repeat: the ids of its cases."""
_HOURS = 3  # So wide a window of the day is looked at.
_CHANCE = 0.001  # Of all 24 windows together.


@dataclass(frozen=True, slots=True)
class Repeat:
    """Watched incidents that have something in common.

    by : `node`, `source` or `hour`
    what : the node and kind of change, the source, or the hour of the day in UTC
    cases : by the time at which they began
    """

    by: str
    what: str
    cases: tuple[PastCase, ...]

    def incident(self, app: str, signals: Sequence[str], now_ns: int) -> Incident:
        """The incident to be opened. signals : the ids of those of its cases that are kept"""
        ids = [one.id for one in self.cases]
        id = sha256("|".join(("repeat", app, self.by, self.what, *ids)).encode("utf-8", "replace")).hexdigest()[:16]
        since = min(one.since_ns or one.opened_ns for one in self.cases)
        notes = {REPEATS: ids, "by": self.by, "what": self.what}
        return Incident(id, app, 1, now_ns, now_ns, since, Severity.MEDIUM, tuple(signals), notes=notes)


def repeats(cases: Iterable[PastCase], now_ns: int, known: Iterable[str] = ()) -> list[Repeat]:
    """The repeats among the watched incidents of the last four weeks, the one with the most cases first.

    known : the ids of cases that an earlier repeat was opened for; they don't count again
    """
    used = frozenset(known)
    watched = sorted(
        (one for one in cases if _counts(one, now_ns) and one.id not in used), key=lambda one: (_began(one), one.id)
    )
    at: dict[tuple[str, str], list[PastCase]] = {}
    for one in watched:
        places = {f"{trait.kind} at {trait.node}" for trait in one.traits if trait.alone}
        for by, names in (("node", places), ("source", set(one.sources))):
            for name in names:
                at.setdefault((by, name), []).append(one)
    found = [Repeat(by, what, tuple(group)) for (by, what), group in at.items() if _days(group) >= LEAST]
    found += _by_hour(watched)
    order = ("source", "node", "hour")
    return sorted(found, key=lambda one: (-len(one.cases), order.index(one.by), one.what))


def _by_hour(watched: Sequence[PastCase]) -> list[Repeat]:
    """The window of three hours in which more of them began than chance explains, if there is one."""
    best: tuple[float, int, list[PastCase]] | None = None
    for start in range(24):
        inside = [one for one in watched if (_began(one) // HOUR_NS - start) % 24 < _HOURS]
        chance = 24 * _tail(len(inside), len(watched), _HOURS / 24)
        if _days(inside) >= LEAST and chance < _CHANCE and (best is None or chance < best[0]):
            best = chance, start, inside
    if best is None:
        return []
    _, start, inside = best
    return [Repeat("hour", f"{start:02d}:00 to {(start + _HOURS) % 24:02d}:00 UTC", tuple(inside))]


def _tail(hits: int, n: int, share: float) -> float:
    """The probability of so many hits or more of n.

    >>> round(_tail(2, 3, 0.5), 3)
    0.5
    """
    return sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits, n + 1))


def _counts(one: PastCase, now_ns: int) -> bool:
    return one.watched and one.closed_ns > 0 and now_ns - SPAN_NS < _began(one) <= now_ns


def _days(cases: Sequence[PastCase]) -> int:
    return len({_began(one) // DAY_NS for one in cases})


def _began(one: PastCase) -> int:
    return one.since_ns or one.opened_ns


def opened_for(incidents: Iterable[Incident]) -> Mapping[str, int]:
    """By the id of each case that a repeat was opened for, and of the repeat's own incident: when that was."""
    found: dict[str, int] = {}
    for one in incidents:
        if REPEATS in one.notes:
            found |= dict.fromkeys((one.id, *map(str, one.notes[REPEATS])), one.opened_ns)
    return found
