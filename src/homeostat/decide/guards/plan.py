"""The plan of the guards: rules, breakers and fallbacks with every name resolved. Plain values, no arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from homeostat.decide.guards.limits import RateLimit
from homeostat.expressions import Compiled, ExpressionError, Scope, Type, compile_expression
from homeostat.records.reasons import Fallback, Reason

ALWAYS_NS = -(1 << 63)
NEVER_NS = (1 << 63) - 1
RULES_MAX = 64  # A ruling's hits are the bits of one word.
BREAKERS_MAX = 32
NO_RULE, BY_BREAKER, BY_FALLBACK = -1, -2, -3
BY_NAME = {NO_RULE: "", BY_BREAKER: Reason.BREAKER.value, BY_FALLBACK: "fallback"}
SCORE_PREFIX = "score_"
RISK = "risk"


@dataclass(frozen=True, slots=True)
class Rule:
    """A hard rule: where `when` holds at an event time in [since, until), `action` is taken.

    action : index into the app's actions
    priority : higher goes first; among equals, the earlier one
    limit : the rule holds only of events for which `when` holds that are beyond this rate
    """

    name: str
    when: str
    action: int
    priority: int = 0
    since_ns: int = ALWAYS_NS
    until_ns: int = NEVER_NS
    reason: str | None = None
    limit: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class BreakerPlan:
    """Where taking `action` would make its share of the recent decisions, this one included, exceed `share_max`, and
    there are at least `events_min` of them, `instead` is taken.

    over_ns : how long a decision counts as recent: it is counted in 60 buckets of event time, of which the newest is
        still filling, so a decision is forgotten between 59/60 of `over_ns` and `over_ns` after it was made
    """

    action: int
    share_max: float
    over_ns: int
    events_min: int
    instead: int


def counted(action: str, over_ns: int) -> str:
    """The quantity that a breaker counts; how large a share it allows, and what it does then, change nothing of that.

    >>> counted("block", 3_600_000_000_000)
    'block over 3600 s'
    """
    return f"{action} over {over_ns / 1e9:.15g} s"


@dataclass(frozen=True, slots=True)
class FallbackPlan:
    """The action by cause; None where what was proposed stands (by thresholds, if the policy is what failed).

    always : the action whatever failed, and if nothing did: the settings say so
    """

    scorers_absent: int | None
    policy: int | None = None
    deadline: int | None = None
    always: int | None = None

    def action(self, bits: int) -> int | None:
        """The action declared for these causes, None for none. A passed deadline goes before absent scorers, and they
        before a failed policy: the earlier one leaves less to decide with.

        >>> FallbackPlan(scorers_absent=1, policy=2).action(Fallback.SCORERS_ABSENT | Fallback.POLICY_LATE)
        1
        """
        if self.always is not None:
            return self.always
        if bits & Fallback.DEADLINE and self.deadline is not None:
            return self.deadline
        if bits & Fallback.SCORERS_ABSENT and self.scorers_absent is not None:
            return self.scorers_absent
        if bits & (Fallback.POLICY_FAILED | Fallback.POLICY_LATE):
            return self.policy
        return None


@dataclass(frozen=True, slots=True)
class Names:
    """The names that rules may use, in the order of the columns.

    features : name and type of each column of `Features.values`, which begin with the event's fields
    entities : the columns of `EventBatch.keys`
    scorers : the columns of `Scores.values`; rules name them `score_<scorer>`
    lists : name -> (index in the membership, the entity or category whose members it lists)
    """

    features: Sequence[tuple[str, Type]] = ()
    entities: Sequence[str] = ()
    scorers: Sequence[str] = ()
    lists: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def scope(self) -> Scope:
        """The scope of a rule: features, scores, then the risk are the frame's columns.

        >>> sorted(Names([("amount", Type.NUMBER)], ["customer"], ["forest"]).scope().symbols)
        ['amount', 'customer', 'risk', 'score_forest', 'time']
        """
        scores = [(SCORE_PREFIX + name, Type.NUMBER) for name in self.scorers]
        return Scope.of([*self.features, *scores, (RISK, Type.NUMBER)], self.entities, self.lists)

    @property
    def width(self) -> int:
        """Columns of the frame."""
        return len(self.features) + len(self.scorers) + 1


def condition(text: str, names: Names) -> Compiled:
    """A rule's condition; raises ExpressionError where it is wrong, or is not true or false."""
    compiled = compile_expression(text, names.scope(), strict=True)
    if compiled.type not in (Type.BOOLEAN, Type.UNKNOWN):
        raise ExpressionError(f"a rule needs a condition, which is true or false; this is a {compiled.type.value}")
    return compiled


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """All that the guards do, in the order in which it was declared.

    Raises ValueError, naming every fault.
    """

    actions: tuple[str, ...]
    fallback: FallbackPlan
    rules: tuple[Rule, ...] = ()
    breakers: tuple[BreakerPlan, ...] = ()

    def __post_init__(self) -> None:
        found = [] if len(self.rules) <= RULES_MAX else [f"{len(self.rules)} rules are too many: at most {RULES_MAX}"]
        named = [rule.action for rule in self.rules] + [b.action for b in self.breakers]
        named += [b.instead for b in self.breakers]
        named += [
            a
            for a in (self.fallback.scorers_absent, self.fallback.policy, self.fallback.deadline, self.fallback.always)
            if a is not None
        ]
        found += [f"there is no action {action}" for action in named if not 0 <= action < len(self.actions)]
        found += [] if len(self.breakers) <= BREAKERS_MAX else [f"more than {BREAKERS_MAX} breakers"]
        found += [f"a breaker over {b.over_ns} ns makes no sense" for b in self.breakers if b.over_ns <= 0]
        if found:
            raise ValueError("; ".join(found))

    def order(self) -> list[int]:
        """The rules by precedence: priority, then place."""
        return sorted(range(len(self.rules)), key=lambda at: (-self.rules[at].priority, at))

    def breaker_names(self) -> list[str]:
        """The quantity that each breaker counts."""
        return [counted(self.actions[b.action], b.over_ns) for b in self.breakers]

    def rule_name(self, index: int) -> str:
        """The part that decided, by name.

        >>> GuardPlan(("allow",), FallbackPlan(0)).rule_name(-2)
        'breaker'
        """
        if index >= 0:
            return self.rules[index].name
        return BY_NAME[index]
