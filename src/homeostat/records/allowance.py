"""How much exploration may cost one process, where several share a budget."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan


@dataclass(frozen=True, slots=True)
class Allowance:
    """The part of a budget that one process was granted.

    budget : expected extra cost, in the app's currency
    period : the number of the period that it is for; not a number: each period has as much
    """

    budget: float
    period: float = nan


NOTHING, EVERYTHING = Allowance(0.0), Allowance(inf)
"""No exploration, and as much as chance would have: the two answers that a shared budget can give an event."""
