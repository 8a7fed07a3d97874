"""The app file as one frozen, typed tree. Loading and its errors are in `load`; this says what may be declared.

The descriptions here are the reference: the JSON Schema and `docs/app-file.md` are made of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from homeostat.config.beside import ShadowOptions
from homeostat.config.canary import CanarySpec
from homeostat.config.fair import Fair
from homeostat.config.maintain import Maintain
from homeostat.config.metrics import Metrics
from homeostat.config.predictions import Target
from homeostat.config.retraining import Retrain
from homeostat.config.scalars import DURATION_PATTERN as DURATION_PATTERN
from homeostat.config.scalars import Duration as Duration
from homeostat.config.scalars import Expression, Length, Name, Node, Setting, Share
from homeostat.config.scalars import duration_ns as duration_ns
from homeostat.config.servers import Servers
from homeostat.config.tune import Tune


class Column(Node):
    """Where a value is found in an event: its own name first, then its aliases."""

    name: Name | None = Field(default=None, description="the column's own name")
    aliases: tuple[str, ...] = Field(default=(), description="other names under which a source may send it")


class RowColumn(Column):
    """A column that every event has; in a table without it, rows may stand in for it."""

    from_rows: bool = Field(
        default=False, description="in a table (CSV, Parquet) without this column, take the row's number, from 1: as "
        "the id, or as seconds since 1970",
    )  # fmt: skip


class EntityKey(Node):
    """Something with a past: a customer, a terminal, or a pair of entities (`of`)."""

    aliases: tuple[str, ...] = Field(default=(), description="other names under which a source may send the key")
    required: bool = Field(default=True, description="whether an event without this key is refused")
    of: tuple[Name, Name] | None = Field(default=None, description="a composite of two other entities")


class FieldType(Node):
    """A typed value that an event carries."""

    type: Literal["number", "integer", "boolean", "category"] = Field(
        default="number", description="what the values are"
    )
    min: float | None = Field(default=None, description="the smallest value allowed (numbers)")
    max: float | None = Field(default=None, description="the largest value allowed (numbers)")
    values: tuple[str, ...] | None = Field(default=None, description="the allowed categories; any when absent")
    required: bool = Field(default=True, description="whether an event without this field is refused")
    aliases: tuple[str, ...] = Field(default=(), description="other names under which a source may send the field")


class Events(Node):
    """The form of this app's events, and how their time is treated."""

    id: RowColumn = Field(default=RowColumn(name="event_id"), description="the column that identifies an event")
    time: RowColumn = Field(
        default=RowColumn(name="time"), description="the column with the event's time; without a zone it is UTC"
    )
    entities: dict[Name, EntityKey] = Field(default={}, description="who or what it happened to, by name; may be none")
    fields: dict[Name, FieldType] = Field(default={}, description="what else the event says, by name")
    label: Column | None = Field(default=None, description="a column that carries the outcome along, if any")
    lateness: Duration = Field(default=0, description="how far events may arrive out of order")
    late: Literal["decide", "reject"] = Field(
        default="decide", description="what comes later still: decided without being counted, or a dead letter"
    )
    ahead_max: Duration = Field(
        default=duration_ns("5m"), description="how far ahead of the clock an event time may be; what is further ahead "
        "is refused"
    )  # fmt: skip
    skew: Duration = Field(
        default=duration_ns("1s"), description="how much clocks differ: an event further ahead of this one is decided, "
        "but does not move the time by which others are late, models learn and breakers count"
    )  # fmt: skip


class WindowGroup(Node):
    """Aggregates of one entity's past over windows of several lengths: (t - delay - length, t - delay]."""

    entity: Name = Field(description="whose past: one of events.entities")
    lengths: tuple[Length, ...] = Field(min_length=1, description="how long the windows are, such as 1h or 30d")
    delay: Duration = Field(default=0, description="how long ago the windows end; outcomes are known only later")
    past: bool = Field(default=False, description="leave the event itself out")
    where: Expression | None = Field(default=None, description="which events count; may name the label beside a delay")
    compute: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_{}]*$")], str] = Field(
        min_length=1, description="feature name ({length} is filled in) -> count, sum(x), mean(x), std(x), min(x), "
        "max(x), distinct(x), last(x), since_last, since_first, rate, count_since(label)"
    )  # fmt: skip


class FeatureSet(Node):
    """Windows first; then derived features, which may name the windows, the event's fields and earlier ones."""

    windows: tuple[WindowGroup, ...] = Field(default=(), description="groups of window aggregates")
    derived: dict[Name, Expression] = Field(default={}, description="feature name -> expression, in order")
    redefined: tuple[Name, ...] = Field(
        default=(), description="features that may mean something else than where a bundle was trained, on purpose"
    )


class ScoreRule(Node):
    """One rule of a rules-as-score scorer: the score is 1 - product of (1 - score) of the rules that hold."""

    name: Name = Field(description="what explanations call the rule")
    when: Expression = Field(description="a condition on fields and features")
    score: Share = Field(description="how suspicious an event is for which it holds, from 0 to 1")


def _is_none(value: object) -> bool:
    """A key that is not declared has no part in the app's fingerprint, which older versions made without it."""
    return value is None


class ScorerSpec(Node):
    """One scorer. `kind` names a built-in scorer or a plug-in."""

    kind: str = Field(
        description="isolation_forest, boosted_trees, network, reconstruction, profile, rules, or an installed plug-in"
    )
    features: tuple[str, ...] | None = Field(default=None, description="which features it sees; all when absent")
    rules: tuple[ScoreRule, ...] = Field(default=(), description="the rules of a scorer of kind rules")
    settings: dict[str, Setting] = Field(
        default={}, description="how it is trained, by kind: below; of a plug-in, what it declares"
    )
    deadline: Duration | None = Field(
        default=None, description="later than this, it is fused around; a plug-in without one has half of the app's"
    )
    start: Duration | None = Field(
        default=None, exclude_if=_is_none, description="how long a plug-in may take until it is ready, `10s` when "
        "absent; then the app starts without it, and it joins when it is ready"
    )  # fmt: skip
    isolated: bool | None = Field(
        default=None, description="run in a thread of its own; plug-ins are unless this says false"
    )


class FusionSpec(Node):
    """How scores become one risk."""

    kind: Literal["weighted", "learned", "adaptive", "ensemble"] = Field(
        default="learned", description="weighted by hand, learned with the models, learned and moved by outcomes, or "
        "several of these combined"
    )  # fmt: skip
    of: tuple[Literal["weighted", "learned", "adaptive"], ...] | None = Field(
        default=None, exclude_if=_is_none, description="ensemble: the fusions that it combines, at least two; weighted "
        "and learned when absent"
    )  # fmt: skip
    also: tuple[Literal["weighted", "learned", "adaptive", "ensemble"], ...] | None = Field(
        default=None, exclude_if=_is_none, description="fusions that are trained beside it, so that the settings can "
        "switch to them"
    )  # fmt: skip
    weights: dict[Name, Annotated[float, Field(ge=0, le=1e6)]] = Field(
        default={}, description="scorer -> weight; 1 when absent"
    )
    rate: float = Field(default=0.05, gt=0, le=1, description="adaptive: step size of the weights")
    bound: float = Field(
        default=3.0, ge=1, le=1000, description="adaptive: a weight stays within 1/bound and bound times its start"
    )

    @property
    def members(self) -> tuple[str, ...]:
        """The fusions that an ensemble combines."""
        return self.of or ("weighted", "learned")

    @property
    def learns(self) -> bool:
        """Whether it moves with outcomes."""
        return self.kind == "adaptive" or (self.kind == "ensemble" and "adaptive" in self.members)

    @property
    def trained_too(self) -> tuple[str, ...]:
        """The fusions that training keeps beside the declared one."""
        combined = "ensemble" in (self.kind, *(self.also or ()))
        named = dict.fromkeys([*(self.also or ()), *(self.members if combined else ())])
        return tuple(name for name in named if name != self.kind)


class Exploration(Node):
    """How much chance a policy may use, and what that may cost."""

    rate: Share = Field(default=0.02, description="share of decisions that may be chosen by chance")
    budget: float = Field(default=0.0, ge=0, description="expected extra cost allowed a period, in the app's currency")
    period: Duration = Field(default=duration_ns("1d"), description="how long the budget lasts")


class PolicySpec(Node):
    """How risk and context become a proposed action."""

    kind: Literal["thresholds", "bandit", "ppo", "plugin"] = Field(
        default="thresholds",
        description="cost-optimal thresholds, a contextual bandit that learns online, a PPO policy, or one of another "
        "package",
    )
    algorithm: Literal["linucb", "thompson"] = Field(default="thompson", description="how the bandit explores")
    context: tuple[str, ...] = Field(default=(), description="features that the bandit and PPO see beside the risk")
    exploration: Exploration = Field(default=Exploration(), description="how much chance the bandit may use")
    holdout: Share = Field(
        default=0.0, description="share of would-be censored events let through, to estimate outcomes"
    )
    deadline: Duration | None = Field(default=None, description="later than this, the fallback decides")
    settings: dict[str, Setting] = Field(default={}, description="how it decides or learns, by kind: below")


class ListEntry(Node):
    """A list member, for as long as it is one."""

    key: str | int = Field(description="the entity's key, or the category")
    since: str | None = Field(default=None, description="first instant of membership, ISO 8601; always when absent")
    until: str | None = Field(
        default=None, description="first instant after membership, ISO 8601; for ever when absent"
    )


class NamedList(Node):
    """A set of keys of one entity, or of categories of one field, that rules may ask about with `in`."""

    of: Name = Field(description="an entity, or a field of type category")
    entries: tuple[str | int | ListEntry, ...] = Field(
        default=(), description="keys, or mappings of key, since and until"
    )
    file: str | None = Field(default=None, description="a CSV beside the app file: key[,since[,until]]")


class RuleSpec(Node):
    """A hard rule. The highest priority that holds decides; every rule that holds is recorded."""

    name: Name = Field(description="what decisions and explanations call the rule")
    when: Expression = Field(description="a condition on fields, entities, features, scores, risk and lists")
    action: Name = Field(description="what is done where it holds")
    priority: int = Field(default=0, description="higher goes first; among equals, the one that is declared first")
    since: str | None = Field(default=None, description="first instant at which it holds, ISO 8601; event time decides")
    until: str | None = Field(default=None, description="first instant at which it no longer holds, ISO 8601")
    reason: str | None = Field(default=None, description="a sentence for the people who ask why")


class Breaker(Node):
    """Stops an action when its share of recent decisions is out of all proportion."""

    action: Name = Field(description="the action that is watched")
    share_max: Share = Field(description="the largest share of decisions that may take it")
    over: Duration = Field(description="how long a decision counts as recent, in event time")
    events_min: int = Field(
        default=100, ge=1, le=10**12, description="with fewer recent decisions the breaker does nothing"
    )
    instead: Name = Field(description="the action taken in its place")


class FallbackSpec(Node):
    """The decision when a part is missing: `thresholds` on what risk there is, or an action."""

    scorers_absent: Name = Field(description="the action when no scorer answered")
    policy: Literal["thresholds"] | Name = Field(
        default="thresholds", description="thresholds on the risk, or an action, when the policy failed or was late"
    )
    deadline: Name | None = Field(
        default=None, description="the action when the deadline passed (fail open or closed); without one, what was "
        "proposed stands"
    )  # fmt: skip


class Guards(Node):
    """The deterministic last word."""

    lists: dict[Name, NamedList] = Field(default={}, description="allow and deny lists, by name")
    rules: tuple[RuleSpec, ...] = Field(default=(), max_length=64, description="hard rules, which nothing overrides")
    breakers: tuple[Breaker, ...] = Field(
        default=(), max_length=32, description="limits on how often an action is taken"
    )
    fallback: FallbackSpec = Field(description="what is done when a part is missing")


class Cost(Node):
    """The cost of an action by outcome: expressions on the event, in the app's currency."""

    positive: Expression = Field(description="what it costs where the outcome is positive (a fraud)")
    negative: Expression = Field(description="what it costs where the outcome is negative")


class Outcomes(Node):
    """How outcomes are named, when they are known, and what silence means."""

    label: Name = Field(
        default="label", description="what a positive outcome is called; windows and filters use this name"
    )
    delay: Duration = Field(default=0, description="when a label that came along with its event counts as known")
    horizon: Duration = Field(
        default=duration_ns("60d"), description="after this, a missing outcome is given up and a late one ignored"
    )
    maturity: Duration | None = Field(
        default=None, description="the age at which good and bad outcomes are both known: younger events teach "
        "nothing and count in no figure; the horizon when absent"
    )  # fmt: skip
    unknown: Literal["negative", "skip"] = Field(
        default="skip", description="what silence means at that age: a negative outcome, or nothing"
    )
    censoring: tuple[Name, ...] = Field(default=(), description="actions whose outcome is never seen")

    @property
    def matures(self) -> int:
        """The age at which good and bad outcomes are both known, in nanoseconds."""
        return self.horizon if self.maturity is None else self.maturity


class Learning(Node):
    """When the online learners learn: on a grid of event time, so that batches can't matter."""

    every: Duration = Field(default=duration_ns("6h"), description="the grid's step")
    fusion: bool = Field(default=True, description="whether adaptive fusion learns")
    policy: bool = Field(default=True, description="whether the bandit learns")


class Deployments(Node):
    """How versions of models come to decide."""

    confirm: bool = Field(
        default=False, description="a promotion over HTTP has to send the token of a preview that is not older than "
        "15 minutes; rollbacks need none"
    )  # fmt: skip


class App(Node):
    """One decision application."""

    homeostat: Literal[1] = Field(description="the version of this format")
    app: Name = Field(description="the app's name")
    description: str = Field(default="", description="one sentence for people")
    seed: int = Field(default=0, ge=0, lt=2**63, description="fixes every use of chance")
    currency: str = Field(default="", description="of the costs, such as EUR; shown, never converted")
    events: Events = Field(description="what an event looks like")
    features: FeatureSet = Field(default=FeatureSet(), description="the numbers that scorers and rules see")
    scorers: dict[Name, ScorerSpec] = Field(default={}, description="what turns features into scores, by name")
    fusion: FusionSpec = Field(default=FusionSpec(), description="what turns scores into one risk")
    actions: tuple[Name, ...] = Field(
        min_length=1, max_length=16, description="what can be done, from the mildest to the harshest"
    )
    costs: dict[Name, Cost] = Field(default={}, description="what each action costs; for all actions or for none")
    policy: PolicySpec = Field(default=PolicySpec(), description="what turns the risk into a proposed action")
    guards: Guards = Field(description="rules, lists, breakers and fallbacks: the last word")
    outcomes: Outcomes = Field(default=Outcomes(), description="what later turns out, and when")
    learning: Learning = Field(default=Learning(), description="when the online learners learn")
    fairness: Fair | None = Field(
        default=None, exclude_if=_is_none, description="groups of people that are compared, and how far they may differ"
    )
    deployments: Deployments = Field(
        default=Deployments(), exclude=True, description="how versions of models come to decide"
    )  # It decides nothing, so fingerprints go without it.
    canary: CanarySpec | None = Field(
        default=None, exclude_if=_is_none, description="how a new version earns a growing share of the entities"
    )
    deadline: Duration | None = Field(default=None, description="budget of one decision")
    shadow: ShadowOptions = Field(
        default=ShadowOptions(), description="the process that decides for a challenger in shadow",
        exclude=True, repr=False,  # How it is run is no part of what the app is.
    )  # fmt: skip
    tune: Tune | None = Field(
        default=None, description="how `homeostat tune` searches for better settings",
        exclude=True,  # How an app is tuned is no part of what it is.
    )  # fmt: skip
    retrain: Retrain | None = Field(
        default=None, description="when models are trained again, and how a new version becomes the champion",
        exclude=True,
    )  # fmt: skip
    maintain: Maintain = Field(
        default=Maintain(), description="how the app is watched, and how often it may be called for nothing",
        exclude=True,  # How an app is watched is no part of what it is.
    )  # fmt: skip
    metrics: Metrics | None = Field(
        default=None, description="how measurements that come as InfluxDB lines, Prometheus remote write or OTLP "
        "become events",
        exclude=True,  # How an event came does not change its decision.
    )  # fmt: skip
    predictions: dict[Name, Target] = Field(
        default={}, max_length=20, description="where decisions go as predictions, by name: see predictions-out.md",
        exclude=True, repr=False,  # Where decisions go does not change them, and addresses may be secret.
    )  # fmt: skip
    servers: Servers | None = Field(
        default=None, description="the servers that it runs on; another file and the environment may say, too",
        exclude=True, repr=False,  # Where an app runs is no part of what it is, and addresses hold passwords.
    )  # fmt: skip

    @property
    def retrains(self) -> bool:
        """Whether rounds of retraining begin by themselves."""
        return self.retrain is not None or (self.tune is not None and self.tune.by_itself)
