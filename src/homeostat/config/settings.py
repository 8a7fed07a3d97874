"""The `settings` of scorers and policies, typed by kind: what may be set, between which bounds, and its default.

The trainers' own defaults are the same; a test holds them equal. A plug-in may bring a type of its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

from homeostat.config.scalars import Duration, Name, Node, Setting


def _whole(value: object) -> object:
    """A whole number: not true, which counts as 1 elsewhere, and not a text."""
    if isinstance(value, bool | str):
        raise PydanticKnownError("int_type")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticKnownError("float_type")
    return value


def _several(value: object) -> object:
    """One number may stand for a list of one."""
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


_WHOLE, _NUMBER = BeforeValidator(_whole), BeforeValidator(_number)
Part = Annotated[float, Field(gt=0, le=1), _NUMBER]
Chance = Annotated[float, Field(ge=0, le=1), _NUMBER]
Seldom = Annotated[float, Field(ge=0, lt=1), _NUMBER]
Positive = Annotated[float, Field(gt=0, le=1e6), _NUMBER]
NotNegative = Annotated[float, Field(ge=0, le=1e6), _NUMBER]
Deviation = Annotated[float, Field(ge=1e-6, le=100), _NUMBER]
Anomalous = Annotated[float, Field(gt=0, le=0.5), _NUMBER]
Count = Annotated[int, Field(ge=1, le=10_000), _WHOLE]
Width = Annotated[int, Field(ge=1, le=4096), _WHOLE]


class IsolationForestSettings(Node):
    """How an isolation forest is trained."""

    trees: Count = Field(default=100, description="how many")
    rows: Annotated[int, Field(ge=2, le=10_000_000), _WHOLE] = Field(default=256, description="a tree's sample")
    columns: Part = Field(default=1.0, description="share of the features that a tree sees")
    contamination: Annotated[tuple[Anomalous, ...], BeforeValidator(_several)] = Field(
        default=(), description="shares of anomalies to choose from, such as [0.01, 0.05, 0.1]: rows are cut 70/15/15 "
        "in time to learn, choose and measure, and the score is .5 at the chosen one's quantile"
    )  # fmt: skip


class BoostedTreesSettings(Node):
    """How boosted trees are trained."""

    trees: Count = Field(default=100, description="how many, one after the other")
    depth: Annotated[int, Field(ge=1, le=30), _WHOLE] = Field(default=3, description="levels of a tree")
    rate: Part = Field(default=0.1, description="how much of its correction each tree keeps")
    rows: Part = Field(default=1.0, description="share of the rows that a tree sees")
    columns: Part = Field(default=1.0, description="share of the features that a tree sees")
    columns_level: Part = Field(default=1.0, description="share of those that a level sees")
    columns_node: Part = Field(default=1.0, description="share of those that a node sees")
    leaf_weight_min: NotNegative = Field(default=1.0, description="least sum of Hessians in a leaf")
    leaf_weight_step_max: NotNegative = Field(default=0.0, description="bound of a leaf's step; 0 for none")
    gamma: NotNegative = Field(default=0.0, description="least gain of a split")
    l1: NotNegative = Field(default=0.0, description="L1 penalty of the leaves")
    l2: NotNegative = Field(default=1.0, description="L2 penalty of the leaves")
    positive_weight: Positive = Field(default=1.0, description="weight of a positive row")
    bags: Annotated[int, Field(ge=1, le=100), _WHOLE] = Field(
        default=1, description="models of different seeds, averaged in log-odds"
    )
    bag_rows: Part = Field(default=1.0, description="share of the rows that each of them learns from")
    parallel_trees: Annotated[int, Field(ge=1, le=100), _WHOLE] = Field(default=1, description="trees of one step")
    threads: Annotated[int, Field(ge=1, le=256), _WHOLE] = Field(default=1, description="threads of the training")


class NetworkSettings(Node):
    """How a network is trained."""

    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=30), BeforeValidator(_several)] = Field(
        default=(64, 64), description="units of each hidden layer"
    )
    epochs: Count = Field(default=12, description="passes over the rows")
    rate: Part = Field(default=0.002, description="step size")
    warm_up: Chance = Field(default=0.1, description="share of the steps in which the rate rises")
    batch: Annotated[int, Field(ge=2, le=1_000_000), _WHOLE] = Field(default=256, description="rows of a step")
    dropout: Seldom = Field(default=0.2, description="share of the units that are left out")
    decay: Chance = Field(default=1e-4, description="weight decay")
    positive_weight: Positive = Field(default=1.0, description="weight of a positive row")
    members: Annotated[int, Field(ge=1, le=100), _WHOLE] = Field(
        default=2, description="networks of different seeds, averaged in log-odds"
    )
    logarithm: Literal["all", "none", "tails"] = Field(
        default="all", description="of which features: all, none, or those with tails"
    )
    clip: Annotated[float, Field(ge=1e-3, lt=1e6), _NUMBER] = Field(
        default=6.0, description="bound of an input, in standard deviations"
    )
    block: Annotated[int, Field(ge=1, le=4096), _WHOLE] = Field(
        default=64, description="rows a run of the served graph"
    )
    patience: Annotated[int, Field(ge=0, le=10_000), _WHOLE] = Field(
        default=0, description="epochs without a better loss before the best is taken; 0: all epochs on all rows"
    )
    held_out: Annotated[float, Field(gt=0, lt=1), _NUMBER] = Field(
        default=0.15, description="share of the rows by which patience judges"
    )


Feature = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*)?$", max_length=64)]
Alarms = Annotated[float, Field(ge=1e-6, le=1e4), _NUMBER]
Contamination = Annotated[float, Field(ge=0, le=0.2), _NUMBER]
History = Annotated[float, Field(ge=0, le=1e15), _NUMBER]


class ReconstructionSettings(Node):
    """How principal components of metrics are learned, without outcomes."""

    kept: Part = Field(default=0.9, description="share of the variance that the components carry")
    alarms: Alarms = Field(default=0.1, description="false alarms a series and day at a score of .5")
    contamination: Contamination = Field(
        default=0.02, description="share of the training rows that may be anomalies: their size counts for nothing"
    )
    history: Feature = Field(default="", description="the feature that says how much of the past is known")
    history_min: History = Field(default=1.0, description="with less of it, a row has no score")


class ProfileSettings(Node):
    """How the expected course of metrics by hour and weekday is learned, without outcomes."""

    series: Feature = Field(default="", description="the category that says whose a row is; all share one when absent")
    hour: Feature = Field(default="", description="the feature that holds the hour of the day, 0 to 23")
    weekday: Feature = Field(default="", description="the feature that holds the weekday, 0 for Monday; beside an hour")
    rows_min: Annotated[int, Field(ge=50, le=10_000_000), _WHOLE] = Field(
        default=500, description="a series of fewer training rows has the course of all series together"
    )
    alarms: Alarms = Field(default=0.1, description="false alarms a series and day at a score of .5")
    contamination: Contamination = Field(
        default=0.02, description="share of the training rows that may be anomalies: their size counts for nothing"
    )
    history: Feature = Field(default="", description="the feature that says how much of the past is known")
    history_min: History = Field(default=1.0, description="with less of it, a row has no score")


class NoSettings(Node):
    """A scorer of kind `rules` has nothing to set."""


class ThresholdsSettings(Node):
    """Thresholds of an app that declares no costs."""

    cuts: Annotated[tuple[Chance, ...], BeforeValidator(_several)] | None = Field(
        default=None, description="ascending risks, one fewer than actions: from each on, the next action is proposed; "
        "even ones when absent"
    )  # fmt: skip


class PluginPolicySettings(Node):
    """A policy of another package."""

    name: Name = Field(description="the name of its entry point")
    options: dict[Name, Setting] = Field(default={}, description="its own settings")


class BanditSettings(Node):
    """How the bandit learns."""

    alpha: Annotated[float, Field(ge=0, le=100), _NUMBER] = Field(
        default=1.0, description="linucb: width, in standard deviations"
    )
    prior_shift: Deviation = Field(default=1.0, description="standard deviation of the risk's shift, in log-odds")
    prior_slope: Deviation = Field(default=0.2, description="standard deviation of the risk's slope")
    prior_context: Deviation = Field(default=0.5, description="standard deviation of each context feature's weight")
    prior_cost: Deviation = Field(
        default=0.3, description="standard deviation of the costs' corrections, as a share of 1 and the cost"
    )
    cost_noise: Annotated[float, Field(gt=0, le=1e12), _NUMBER] = Field(
        default=1.0, description="variance of a realised cost about its mean, in the same unit squared"
    )
    memory: Annotated[float, Field(ge=1, le=1e15), _NUMBER] = Field(
        default=1e6, description="outcomes after which half of what was learned is forgotten"
    )
    weight_max: Annotated[float, Field(ge=1, le=1e6), _NUMBER] = Field(
        default=5.0, description="bound of the importance weights 1 / propensity"
    )
    maturity: Duration | None = Field(
        default=None, description="age of an event at which good and bad outcomes are both known; `outcomes.maturity` "
        "when absent"
    )  # fmt: skip


class PpoSettings(Node):
    """How a PPO policy is trained."""

    steps: Annotated[int, Field(ge=1, le=10**10), _WHOLE] = Field(
        default=400_000, description="decisions to learn from"
    )
    environments: Count = Field(default=256, description="simulated worlds side by side")
    hidden: tuple[Width, Width] = Field(default=(64, 64), description="units of the two hidden layers")
    rate: Part = Field(default=1e-4, description="step size")
    rollout: Count = Field(default=64, description="steps of each world between two updates")
    epochs: Count = Field(default=4, description="passes over each rollout")
    batch: Annotated[int, Field(ge=2, le=1_000_000), _WHOLE] = Field(default=4096, description="decisions of a step")
    entropy: Chance = Field(default=0.002, description="weight of the entropy, which keeps it trying")
    discount: Seldom = Field(default=0.9, description="weight of the next decision's cost beside this one's")
    imitation_steps: Annotated[int, Field(ge=0, le=10**7), _WHOLE] = Field(
        default=3_000, description="steps of copying the thresholds, before it tries for itself"
    )
    threads: Annotated[int, Field(ge=1, le=256), _WHOLE] = Field(default=1, description="threads of the training")


SCORERS: dict[str, type[Node]] = {
    "isolation_forest": IsolationForestSettings,
    "boosted_trees": BoostedTreesSettings,
    "network": NetworkSettings,
    "reconstruction": ReconstructionSettings,
    "profile": ProfileSettings,
    "rules": NoSettings,
}
POLICIES: dict[str, type[Node]] = {
    "thresholds": ThresholdsSettings,
    "bandit": BanditSettings,
    "ppo": PpoSettings,
    "plugin": PluginPolicySettings,
}
