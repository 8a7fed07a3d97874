"""How much two incidents resemble each other, by their signals alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from homeostat.records.past import PastCase, Recalled, Trait

_ROLE = 0.8  # The same figure at another node of the same role.
_KIND = 0.4  # Another figure of the same kind of change, at a node of the same role.
_SIDE = 0.5  # The other direction.
_COMPARED = 200  # So many cases are compared signal by signal: those that share most kinds at nodes of one role.
_EVIDENCE = 0.4  # The weight of a signal that makes no incident by itself.


def likeness(a: Sequence[Trait], b: Sequence[Trait]) -> float:
    """From 0 to 1: each signal of either is compared with the one of the other that is most like it.

    A soft form of Dice's coefficient (1945, Ecology 26, 297-302), in which parts may match in part.

    >>> one = Trait("contract", "field:amount", "missing", "null share", True, 0.7)
    >>> other = Trait("contract", "field:duration", "missing", "null share", True, 0.7)
    >>> likeness([one], [one]), likeness([one], [other]), likeness([one], [])
    (1.0, 0.8, 0.0)
    """
    whole = sum(_weight(one) for one in (*a, *b))
    if not a or not b:
        return 0.0
    shared = sum(_weight(one) * max(alike(one, other) for other in b) for one in a)
    shared += sum(_weight(one) * max(alike(one, other) for other in a) for one in b)
    return round(shared / whole, 6)


def alike(one: Trait, other: Trait) -> float:
    """How much two signals resemble each other, from 0 to 1."""
    if one.kind != other.kind or one.role != other.role:
        return 0.0
    same = (one.monitor, one.name) == (other.monitor, other.name)
    found = (1.0 if one.node == other.node else _ROLE) if same else _KIND
    if one.up != other.up:
        found *= _SIDE
    return found * (1.0 - 0.2 * min(abs(one.size - other.size), 5.0) / 5.0)


def _weight(one: Trait) -> float:
    return 1.0 if one.alone else _EVIDENCE


def most_alike(traits: Sequence[Trait], cases: Iterable[PastCase], limit: int) -> list[Recalled]:
    """The cases that resemble these signals, the most alike first; of equals the newest. Others are left out."""
    wanted = Counter((one.kind, one.role) for one in traits)
    near = []
    for case in cases:
        shared = (wanted & Counter((one.kind, one.role) for one in case.traits)).total()
        if shared:
            near.append((2 * shared / (len(traits) + len(case.traits)), case.opened_ns, case))
    near.sort(key=lambda one: (-one[0], -one[1], one[2].id))
    found = [Recalled(likeness(traits, case.traits), case) for _, _, case in near[:_COMPARED]]
    found.sort(key=lambda one: (-one.likeness, -one.case.opened_ns, one.case.id))
    return [one for one in found if one.likeness > 0][:limit]
