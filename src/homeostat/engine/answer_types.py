"""The shapes of answers, for type checkers: a decision, a problem in its place, and the receipt of an outcome.

They are plain dictionaries at run time, the same that the HTTP interface sends as JSON. `"action" in answer` tells a
decision from a problem, and a type checker understands it.
"""

# Without `from __future__ import annotations`: as texts, the NotRequired of a TypedDict are not seen at run time.

from typing import Literal, NotRequired, TypeAlias, TypedDict, final

Shown: TypeAlias = float | str | None  # A feature's value: a category by its text, None where there is none.


@final
class RuleReason(TypedDict):
    """A rule that held. decided : whether it is the one that decided; text : why, in the app's words"""

    kind: Literal["rule"]
    name: str
    decided: bool
    text: str


@final
class OverridingReason(TypedDict):
    """A breaker, a part that failed, chance, or the thresholds of a group. decided : whether the action is by it"""

    kind: Literal["breaker", "fallback", "holdout", "fairness"]
    name: str
    decided: bool


@final
class ScorerReason(TypedDict):
    """A scorer. contribution : its part of the risk, log-odds"""

    kind: Literal["scorer"]
    name: str
    contribution: float


@final
class ServedFeature(TypedDict):
    """A feature as it was served to the decision. freshness : fresh, stale, absent and so on"""

    value: Shown
    freshness: str


@final
class FeatureShare(TypedDict):
    """A feature in an explanation.

    contribution : to the risk or the scorer's score, log-odds
    unit : `s` for a time that has passed, in seconds; absent elsewhere
    """

    name: str
    value: Shown
    contribution: float
    unit: NotRequired[Literal["s"]]


@final
class ScorerShare(TypedDict):
    """A scorer in an explanation. score : in [0, 1], None where it did not answer"""

    name: str
    score: float | None
    contribution: float
    features: list[FeatureShare]


@final
class OtherwiseAction(TypedDict):
    """The smallest change of one feature that would have changed the action. unit : as in `FeatureShare`"""

    feature: str
    was: Shown
    becomes: Shown
    action: str
    unit: NotRequired[Literal["s"]]


@final
class GroupRule(TypedDict):
    """The thresholds of the person's group. chance : to be selected at this risk; without : the action by cost alone"""

    field: str
    group: str
    chance: float
    without: str


@final
class Explained(TypedDict):
    """The explanation of a decision. same_version : whether the parts that explain are those that decided

    group : of an app whose fairness binds the thresholds; None where the event has no group with a rule
    """

    by_version: str
    same_version: bool
    features: list[FeatureShare]
    scorers: list[ScorerShare]
    change: OtherwiseAction | None
    group: NotRequired[GroupRule | None]


@final
class InShadow(TypedDict):
    """The decision of a challenger beside the champion's; nobody acted on it.

    rule : the part that overrode its policy, "" where none did
    fallback : its parts that did not answer, None where all did
    propensity : by action, the probability with which its policy would have chosen it
    differs : True where it took another action than the champion
    """

    version: str
    action: str
    risk: float
    rule: str
    fallback: str | None
    propensity: dict[str, float]
    differs: bool


@final
class Decision(TypedDict):
    """A decision.

    action_index : the place of the action among the app's actions, the first is 0
    risk : in [0, 1]
    rule : the part that overrode the policy, "" where none did
    fallback : the parts that did not answer, None where all did
    propensity : by action, the probability with which the policy would have chosen it
    settings : the number of the last change that was in force
    took_us : of the batch in which it was decided
    duplicate : True where this event id was decided before; here is that decision
    differs : True where that decision was made of another content
    features, explanation, shadow : where they were asked for
    """

    event_id: str
    time: str
    action: str
    action_index: int
    proposed: str
    risk: float
    reasons: list[RuleReason | OverridingReason | ScorerReason]
    rule: str
    fallback: str | None
    late: bool
    scores: dict[str, float | None]
    propensity: dict[str, float]
    version: str
    settings: int
    took_us: float
    duplicate: NotRequired[bool]
    differs: NotRequired[bool]
    features: NotRequired[dict[str, ServedFeature]]
    explanation: NotRequired[Explained]
    shadow: NotRequired[list[InShadow]]


@final
class FieldError(TypedDict):
    """The field of a bad event or outcome, its value as text, and the reason as a word."""

    field: str
    value: str
    reason: str


@final
class Problem(TypedDict):
    """The problem of a bad event or outcome, as RFC 9457 problem details. fix : the remedy, in a sentence"""

    type: str
    title: str
    status: int
    detail: str
    fix: str
    errors: list[FieldError]


@final
class Receipt(TypedDict):
    """The receipt of an outcome that was taken in."""

    event_id: str
    accepted: bool
