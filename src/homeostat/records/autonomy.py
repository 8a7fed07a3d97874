"""Autonomy: how far loop 2 may act by itself, for each kind of action and how far it reaches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from homeostat.records.plans import Remedy


class Level(StrEnum):
    """The acts of loop 2 without a person, from the least to the most."""

    ASSISTED = "assisted"  # It proposes, and a person approves.
    SUPERVISED = "supervised"  # It acts, people hear of it at once, and any of them can take it back.
    FULL = "full"  # It acts.

    @property
    def rank(self) -> int:
        """0 for the least."""
        return tuple(Level).index(self)

    def lowered(self, times: int) -> Level:
        """The level so many steps below, assisted at least.

        >>> str(Level.FULL.lowered(1)), str(Level.SUPERVISED.lowered(5))
        ('supervised', 'assisted')
        """
        return tuple(Level)[max(0, self.rank - max(0, times))]


class Reach(StrEnum):
    """How far an action reaches: the whole app, or a segment of its events."""

    APP = "app"
    SEGMENT = "segment"


def reach_of(scope: str) -> Reach:
    """How far a step's scope reaches. A field, a source or labels are of the whole app.

    >>> str(reach_of("segment:country == 'AT'")), str(reach_of("field:amount"))
    ('segment', 'app')
    """
    return Reach.SEGMENT if scope.startswith("segment:") else Reach.APP


@dataclass(frozen=True, slots=True)
class Raised:
    """An owner's word that a kind of action has its declared level again; failures before it count no more.

    number : orders them, from 1 on; 0 until it is stored
    """

    remedy: Remedy
    reach: Reach
    at_ns: int
    actor: str
    reason: str
    number: int = 0
