"""The `tune` section of the app file: what tuning may try, how it judges, and what a trial must keep to."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from homeostat.config.retraining import QualityTrigger
from homeostat.config.scalars import Duration, Name, Node, Setting, duration_ns

Metric: TypeAlias = Literal["average_precision", "roc_auc", "f1", "log_loss", "brier", "cost"]
SamplerName: TypeAlias = Literal["tpe", "random", "cmaes", "grid"]
Trials = Annotated[int, Field(ge=1, le=100_000)]
Seconds = Annotated[float, Field(gt=0, le=1e7)]


class Tried(Node):
    """The values of one setting that are tried: from `low` to `high`, or `choices`."""

    low: float | None = Field(default=None, description="the smallest value")
    high: float | None = Field(default=None, description="the largest value")
    log: bool = Field(default=False, description="whether values are spread by their logarithm")
    choices: tuple[Setting, ...] = Field(default=(), max_length=100, description="these values and no others")

    def fault(self) -> str | None:
        """Why nothing can be tried."""
        if self.choices:
            both = self.low is not None or self.high is not None or self.log
            return "choices stand alone: leave low, high and log out" if both else None
        if self.low is None or self.high is None:
            return "give low and high, or choices"
        if not self.low < self.high:
            return "low should be below high"
        return "values by their logarithm begin above 0" if self.log and self.low <= 0 else None

    def values(self) -> tuple[Any, ...]:
        """Its ends, or its choices: where these may be set, so may the rest."""
        return self.choices or (self.low, self.high)


class TunedFusion(Node):
    """How tuning varies the fusion."""

    kinds: tuple[Literal["weighted", "learned"], ...] = Field(
        default=(), description="the kinds that are tried; the app's own alone when absent"
    )
    weights: Tried | None = Field(
        default=None, description="the weights that are tried for each scorer where the kind is weighted"
    )


class Floor(Node):
    """The worst value of a metric that the winner may have."""

    metric: Metric = Field(description="of the same metrics")
    value: float = Field(description="the mean over the folds is at least as good")


class TuneConstraints(Node):
    """The bounds of the winner. Without any of them the best metric wins."""

    latency_us_max: Seconds | None = Field(
        default=None, description="processor time of the trained scorers and the fusion for one event, in microseconds"
    )
    size_max: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        default=None, description="bytes of the trained parts"
    )
    training_s_max: Seconds | None = Field(
        default=None, description="processor time of one training, in seconds, the mean over the folds"
    )
    floors: tuple[Floor, ...] = Field(default=(), max_length=8, description="bounds of other metrics")


class Tune(Node):
    """How `homeostat tune` searches. Everything has a default, so an app without this section is tuned, too."""

    metric: Metric = Field(
        default="average_precision", description="what the best trial is best in; `cost` needs costs, `f1` judges the "
        "first action that is not the mildest"
    )  # fmt: skip
    folds: Annotated[int, Field(ge=1, le=50)] = Field(
        default=3, description="how many spans of time are validated, one after the other"
    )
    fold: Duration | None = Field(
        default=None, description="how long each is; a week, or less where the history is short, when absent"
    )
    trials: Trials = Field(default=40, description="how many combinations are tried")
    seconds: Seconds | None = Field(default=None, description="no trial begins later than this after the start")
    sampler: SamplerName = Field(default="tpe", description="how the next combination is chosen")
    prune: bool = Field(
        default=True, description="whether a trial ends early that is below the median of the others after a fold"
    )
    windows: tuple[Duration, ...] = Field(
        default=(), max_length=20, description="lengths of the training window that are tried; see docs/tuning.md"
    )
    scorers: dict[Name, dict[Name, Tried]] = Field(
        default={}, description="scorer -> setting -> what is tried; a scorer that is named here keeps its other "
        "settings, and one that is not has the ranges of its kind"
    )  # fmt: skip
    fusion: TunedFusion = Field(default=TunedFusion(), description="how the fusion varies")
    cuts: Tried | None = Field(default=None, description="first cut-off of an app without costs, where metric is f1")
    constraints: TuneConstraints = Field(default=TuneConstraints(), description="what the winner keeps to")
    every: Duration | None = Field(
        default=None, description="a round of retraining tunes so long after the last one that did; by hand when absent"
    )
    when: QualityTrigger | None = Field(
        default=None, description="a round of retraining tunes when the decisions get worse than a bound"
    )
    load_max: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=0.5, description="such a round begins to tune at this load of the machine for each processor, or less"
    )
    load_patience: Duration = Field(
        default=duration_ns("12h"), description="it begins at any load after waiting so long"
    )

    @property
    def by_itself(self) -> bool:
        """Whether anything but a person begins it."""
        return self.every is not None or self.when is not None
