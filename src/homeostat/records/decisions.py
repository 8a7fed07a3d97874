"""What each stage of the decision loop hands to the next, and the decision that comes out."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.records.arrays import Bits, Bytes, Float, Int, Small
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.vocabulary import NAMELESS, Vocabulary


@dataclass(frozen=True, slots=True)
class Scores:
    """What the scorers said.

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
    """What the policy would do.

    action : (n,) index into the actions of the words
    propensity : (n, actions) probability with which the policy would have chosen each; rows sum to 1
    explored : (n,) 1 where chance, not value, chose (exploration or hold-out)
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
    version : of the app file, the bundle and the settings that decided
    took_us : wall time that the whole batch took
    words : what columns and numbers stood for when they were decided, whatever the app has become since
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

    def __len__(self) -> int:
        return len(self.events)


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

    def __len__(self) -> int:
        return len(self.time_ns)
