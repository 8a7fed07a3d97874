"""The values that each stage of the decision loop hands to the next, and the decision that comes out."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from homeostat.records.arrays import Bits, Bytes, Float, Int, Small
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.vocabulary import NAMELESS, Vocabulary

BY_CHANCE, BY_GROUP = 1, 2
"""Bits of a proposal's `explored`."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scorers' answers.

    names : scorers, one a column
    values : (n, s) in [0, 1], NaN where a scorer is missing
    confidence : (n, s) in [0, 1], 0 where a scorer is missing
    fallback : (n,) `Fallback` bits
    """

    names: tuple[str, ...]
    values: Float
    confidence: Float
    fallback: Bytes


@dataclass(frozen=True, slots=True)
class Fused:
    """One risk of several scores.

    risk : (n,) calibrated probability of a positive outcome, in [0, 1]
    contributions : (n, s) each scorer's part of the risk's log-odds, 0 where it is missing
    """

    risk: Float
    contributions: Float


@dataclass(frozen=True, slots=True)
class Proposal:
    """The policy's proposal.

    action : (n,) index into the actions of the words
    propensity : (n, actions) probability with which the policy would have chosen each; rows sum to 1
    explored : (n,) bits: BY_CHANCE where chance, not value, chose (exploration, hold-out, a mixture of thresholds);
        BY_GROUP where the rule of the person's group chose another action than the one of least expected cost
    fallback : (n,) `Fallback` bits
    """

    action: Small
    propensity: Float
    explored: Bytes
    fallback: Bytes


@dataclass(frozen=True, slots=True)
class Ruling:
    """The guards' last word.

    action : (n,) index into the actions of the words
    rule : (n,) index of the rule that decided, -1 none, -2 the circuit breaker, -3 the declared fallback
    hits : (n,) bit r is set where rule r held, deciding or not
    """

    action: Small
    rule: Small
    hits: Bits


@dataclass(frozen=True, slots=True)
class DecisionBatch:
    """`n` decisions and everything that led to them, row for row.

    fallback : (n,) `Fallback` bits of every stage together
    version : of the app file and the bundle that decided
    took_us : wall time that the whole batch took
    words : what columns and numbers stood for when they were decided, whatever the app has become since
    settings : the number of the last change that was in force; 0 before the first
    canary : the version that decided a share of the entities; empty where there was none
    arm : (n,) 1 where it was the canary that decided; None where there was none
    """

    events: EventBatch
    features: Features
    scores: Scores
    fused: Fused
    proposal: Proposal
    ruling: Ruling
    fallback: Bytes
    version: str
    took_us: float
    words: Vocabulary = NAMELESS
    settings: int = 0
    canary: str = ""
    arm: Bytes | None = None

    def __len__(self) -> int:
        return len(self.events)

    @property
    def marks(self) -> Float:
        """(n,) by the canary that decided, see `mark_of`; 0 where the champion did."""
        mark = mark_of(self.canary)
        return np.zeros(len(self)) if self.arm is None else np.where(self.arm, mark, 0.0)

    def made_by(self, row: int) -> str:
        """The version that made a decision."""
        return self.canary if self.arm is not None and self.arm.item(row) else self.version

    @property
    def makers(self) -> list[str]:
        """(n) the version that made each decision."""
        if self.arm is None:
            return [self.version] * len(self)
        return [self.canary if one else self.version for one in self.arm.tolist()]


def mark_of(version: str) -> float:
    """The number by which learners know which canary decided; 0 stands for the champion.

    >>> mark_of("") == 0, mark_of("app-1+2") > 0
    (True, True)
    """
    return float(crc32(version.encode()) + 1) if version else 0.0


@dataclass(frozen=True, slots=True)
class Experience:
    """Decisions whose outcomes have become known: what learners learn from.

    time_ns : (n,) event time of the decision
    id_code : (n,)
    context : (n, c) what the policy saw (see `policy.context`)
    scores : (n, s) NaN where a scorer was missing
    risk : (n,)
    action : (n,) the action taken
    propensity : (n,) that of the action taken, under the policy; 1 where a guard decided
    label : (n,)
    cost : (n, actions) what each action would have cost under `label`, in the app's currency
    censored : (n,) 1 where the action hid the outcome, so that the label is an assumption
    realised : (n,) what the action taken turned out to cost, NaN where that is unknown; None where it always is
    maker : (n,) the mark of the canary that decided, 0 where the champion did; None where there is no canary
    """

    time_ns: Int
    id_code: Int
    context: Float
    scores: Float
    risk: Float
    action: Small
    propensity: Float
    label: Float
    cost: Float
    censored: Bytes
    realised: Float | None = None
    maker: Float | None = None

    def __len__(self) -> int:
        return len(self.time_ns)
