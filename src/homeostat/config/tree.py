"""The app file as one frozen, typed tree. Loading and its errors are in `load`; this says what may be declared."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}


def duration_ns(text: object) -> object:
    """A duration such as `7d`, `1.5h` or `250ms` in nanoseconds.

    >>> duration_ns("1.5h")
    5400000000000
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and one of {', '.join(_UNITS_NS)}, as in 7d")
    return round(float(match[1]) * _UNITS_NS[match[2]])


Duration = Annotated[int, BeforeValidator(duration_ns, json_schema_input_type=str)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Expression = Annotated[str, Field(min_length=1, max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Node(BaseModel):
    """A frozen mapping of the app file; unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Column(Node):
    """Where a value is found in an event: its own name first, then its aliases."""

    name: Name | None = None
    aliases: tuple[str, ...] = ()


class EntityKey(Node):
    """Something with a past: a customer, a terminal, or a pair of entities (`of`)."""

    aliases: tuple[str, ...] = ()
    required: bool = True
    of: tuple[Name, Name] | None = Field(None, description="a composite of two other entities")


class FieldType(Node):
    """A typed value that an event carries."""

    type: Literal["number", "integer", "boolean", "category"] = "number"
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] | None = Field(None, description="the allowed categories; any when absent")
    required: bool = True
    aliases: tuple[str, ...] = ()


class Events(Node):
    """What an event of this app looks like, and how its time is treated."""

    id: Column = Column(name="event_id")
    time: Column = Column(name="time")
    entities: dict[Name, EntityKey] = Field(min_length=1)
    fields: dict[Name, FieldType] = {}
    label: Column | None = Field(None, description="a column that carries the outcome along, if any")
    lateness: Duration = Field(0, description="how far events may arrive out of order")
    late: Literal["decide", "reject"] = Field(
        "decide", description="what comes later still: decided without being counted, or a dead letter"
    )
    ahead_max: Duration = Field(duration_ns("1d"), description="how far ahead of the clock an event time may be")


class WindowGroup(Node):
    """Aggregates of one entity's past over windows of several lengths: (t - delay - length, t - delay]."""

    entity: Name
    lengths: tuple[Annotated[str, Field(pattern=r"^\d+(ms|s|m|h|d|w)$")], ...] = Field(min_length=1)
    delay: Duration = 0
    past: bool = Field(False, description="leave the event itself out")
    where: Expression | None = Field(None, description="which events count; may name the label beside a delay")
    compute: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_{}]*$")], str] = Field(
        min_length=1, description="feature name ({length} is filled in) -> count, sum(x), mean(x), std(x), min(x), "
        "max(x), distinct(x), last(x), since_last, since_first, rate"
    )  # fmt: skip


class FeatureSet(Node):
    """Windows first; then derived features, which may name the windows, the event's fields and earlier ones."""

    windows: tuple[WindowGroup, ...] = ()
    derived: dict[Name, Expression] = {}


class ScoreRule(Node):
    """One rule of a rules-as-score scorer: the score is 1 - product of (1 - score) of the rules that hold."""

    name: Name
    when: Expression
    score: Share


class ScorerSpec(Node):
    """One scorer. `kind` names a built-in (isolation_forest, boosted_trees, network, rules) or a plug-in."""

    kind: str
    features: tuple[str, ...] | None = Field(None, description="which features it sees; all when absent")
    rules: tuple[ScoreRule, ...] = ()
    settings: dict[str, float | int | str | bool | tuple[float, ...]] = Field({}, description="how it is trained")
    deadline: Duration | None = Field(None, description="later than this, it is fused around")
    isolated: bool | None = Field(None, description="run in a thread of its own; plug-ins are unless told otherwise")


class FusionSpec(Node):
    """How scores become one risk."""

    kind: Literal["weighted", "learned", "adaptive"] = "learned"
    weights: dict[Name, Annotated[float, Field(ge=0)]] = {}
    rate: float = Field(0.05, gt=0, le=1, description="adaptive: step size of the weights")
    bound: float = Field(3.0, ge=1, description="adaptive: a weight stays within 1/bound and bound times its start")


class Exploration(Node):
    """How much chance a policy may use, and what that may cost."""

    rate: Share = 0.02
    budget: float = Field(0.0, ge=0, description="expected extra cost allowed a period, in the app's currency")
    period: Duration = duration_ns("1d")


class PolicySpec(Node):
    """How risk and context become a proposed action."""

    kind: Literal["thresholds", "bandit", "ppo"] = "thresholds"
    algorithm: Literal["linucb", "thompson"] = "thompson"
    context: tuple[str, ...] = Field((), description="features that the bandit and PPO see beside the risk")
    exploration: Exploration = Exploration()
    holdout: Share = Field(0.0, description="share of would-be censored events let through, to estimate outcomes")
    deadline: Duration | None = None
    settings: dict[str, float | int | str | bool | tuple[float, ...]] = {}


class ListEntry(Node):
    """A list member, for as long as it is one."""

    key: str | int
    since: str | None = None
    until: str | None = None


class NamedList(Node):
    """A set of keys of one entity, or of categories of one field, that rules may ask about with `in`."""

    of: Name
    entries: tuple[str | int | ListEntry, ...] = ()
    file: str | None = Field(None, description="a CSV beside the app file: key[,since[,until]]")


class RuleSpec(Node):
    """A hard rule. The highest priority that holds decides; every rule that holds is recorded."""

    name: Name
    when: Expression
    action: Name
    priority: int = 0
    since: str | None = None
    until: str | None = None
    reason: str | None = None


class Breaker(Node):
    """Stops an action when its share of recent decisions is out of all proportion."""

    action: Name
    share_max: Share
    over: Duration
    events_min: int = Field(100, ge=1)
    instead: Name


class FallbackSpec(Node):
    """What is done when a part is missing: `thresholds` on what risk there is, or an action."""

    scorers_absent: Name
    policy: Literal["thresholds"] | Name = "thresholds"
    deadline: Name | None = None


class Guards(Node):
    """The deterministic last word."""

    lists: dict[Name, NamedList] = {}
    rules: tuple[RuleSpec, ...] = Field((), max_length=64)
    breakers: tuple[Breaker, ...] = ()
    fallback: FallbackSpec


class Cost(Node):
    """What an action costs by outcome: expressions on the event, in the app's currency."""

    positive: Expression
    negative: Expression


class Outcomes(Node):
    """How outcomes are named, when they are known, and what silence means."""

    label: Name = "label"
    delay: Duration = Field(0, description="when a label that came along with its event counts as known")
    horizon: Duration = Field(duration_ns("60d"), description="after this, a missing outcome is given up")
    unknown: Literal["negative", "skip"] = "skip"
    censoring: tuple[Name, ...] = Field((), description="actions whose outcome is never seen")


class Learning(Node):
    """When the online learners learn: on a grid of event time, so that batches can't matter."""

    every: Duration = duration_ns("6h")
    fusion: bool = True
    policy: bool = True


class App(Node):
    """One decision application."""

    homeostat: Literal[1]
    app: Name
    description: str = ""
    seed: int = Field(0, ge=0, lt=2**63)
    currency: str = ""
    events: Events
    features: FeatureSet = FeatureSet()
    scorers: dict[Name, ScorerSpec] = {}
    fusion: FusionSpec = FusionSpec()
    actions: tuple[Name, ...] = Field(min_length=1, max_length=16)
    costs: dict[Name, Cost] = {}
    policy: PolicySpec = PolicySpec()
    guards: Guards
    outcomes: Outcomes = Outcomes()
    learning: Learning = Learning()
    deadline: Duration | None = Field(None, description="budget of one decision")
