"""The limits that the owner set, with every name resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from homeostat.maintain.gate.blackouts import Blackout
from homeostat.maintain.gate.business import Business
from homeostat.records.autonomy import Level, Reach
from homeostat.records.plans import Remedy

_HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * _HOUR_NS
WATCHING = frozenset({Remedy.MONITOR, Remedy.NOTE, Remedy.ESCALATE, Remedy.IGNORE, Remedy.FLAG})
"""Kinds of step that alter nothing; none of them may hold an alteration."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of acts without a person. The defaults allow nothing.

    stop : the kill switch
    levels : by kind of action and reach; `level` for those that it does not name
    raised_ns : when an owner raised a kind of action last; failures up to then count no more
    lowered_ns : a failure counts for so long
    confidence, grounded : of findings, see `rules`
    worth_h : hours for which what a remedy saves an hour counts against its cost
    cost_per_day, actions_per_day : in 24 hours
    rate : so many actions in so many nanoseconds
    cool_ns : until the same action at the same place may be done again
    age_ns : of a plan, at most
    decisions, entities : shares; money : an hour; infinite where any is allowed
    four_eyes : kinds that are approved by a person who did not ask for them
    """

    stop: bool = False
    level: Level = Level.ASSISTED
    levels: Mapping[tuple[Remedy, Reach], Level] = field(default_factory=dict)
    raised_ns: Mapping[tuple[Remedy, Reach], int] = field(default_factory=dict)
    lowered_ns: int = 30 * DAY_NS
    confidence: float = 0.8
    grounded: bool = True
    worth_h: float = 24.0
    cost_per_day: float = float("inf")
    actions_per_day: int = 6
    rate: tuple[float, int] = (3.0, _HOUR_NS)
    cool_ns: int = 6 * _HOUR_NS
    age_ns: int = DAY_NS
    decisions: float = 0.3
    entities: float = 0.3
    money: float = float("inf")
    blackouts: Sequence[Blackout] = ()
    business: Business = field(default_factory=Business)
    four_eyes: frozenset[Remedy] = frozenset()

    def declared(self, remedy: Remedy, reach: Reach) -> Level:
        """The level that the owner gave a kind of action. One that alters nothing by its kind has the least.

        >>> Limits(level=Level.FULL).declared(Remedy.MONITOR, Reach.APP) is Level.ASSISTED
        True
        """
        return Level.ASSISTED if remedy in WATCHING else self.levels.get((remedy, reach), self.level)
