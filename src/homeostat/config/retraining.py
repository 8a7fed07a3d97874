"""The `retrain` section of the app file: what makes homeostat train again, and how far it may go by itself."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from homeostat.config.scalars import Duration, Node, duration_ns

QualityMetric: TypeAlias = Literal["average_precision", "roc_auc", "cost"]
Autonomy: TypeAlias = Literal["assisted", "supervised", "full"]
Count = Annotated[int, Field(ge=1, le=10**12)]


class FeedbackTrigger(Node):
    """Train again after so much feedback."""

    weight: Annotated[float, Field(gt=0, le=1e6)] = Field(
        description="the sum of the qualities of the feedback since the last training: so many pieces of full quality"
    )


class QualityTrigger(Node):
    """It is time when the decisions are surely worse than a bound, by the outcomes of the last days."""

    metric: QualityMetric = Field(
        default="average_precision", description="of the risks that were served; `cost` is that of an event"
    )
    below: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="the bound of average_precision or roc_auc"
    )
    above: Annotated[float, Field(ge=-1e12, le=1e12)] | None = Field(default=None, description="the bound of cost")
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        default=0.95, description="how sure it has to be at a look that the bound is broken"
    )
    over: Duration = Field(default=duration_ns("30d"), description="of the last events whose outcomes count")

    def fault(self) -> str | None:
        """Why there is no bound."""
        if self.metric == "cost":
            return None if self.above is not None and self.below is None else "cost has a bound `above`"
        return None if self.below is not None and self.above is None else f"{self.metric} has a bound `below`"

    def fault_in(self, costs: bool) -> str | None:
        """Why it can't be judged in an app, with costs or without."""
        needless = self.metric != "cost" or costs
        return self.fault() or (None if needless else "the app declares no costs: choose another metric")


class Least(Node):
    """The data that a training needs at least."""

    outcomes: Count = Field(default=1000, description="events with an outcome that counts")
    positives: Count = Field(default=50, description="positive ones among them")


class Retrain(Node):
    """When models are trained again, and by what steps a new version becomes the champion."""

    every: Duration | None = Field(default=None, description="so long after the last training; on request when absent")
    outcomes: Count | None = Field(default=None, description="after so many outcomes that count, since the last one")
    feedback: FeedbackTrigger | None = Field(default=None, description="after so much feedback")
    quality: QualityTrigger | None = Field(default=None, description="when the decisions get worse than a bound")
    cool_down: Duration = Field(
        default=duration_ns("1d"), description="no training begins sooner after the last one has ended; a request may"
    )
    least: Least = Field(default=Least(), description="the data that a training needs at least")
    window: Duration | None = Field(
        default=None, description="the events that teach are not older than this; all teach when absent"
    )
    validation: Duration = Field(
        default=duration_ns("7d"), description="the newest events of age, which do not teach: the new version is "
        "judged on them first"
    )  # fmt: skip
    library: Annotated[int, Field(ge=0, le=100)] = Field(
        default=5, description="so many recent versions are judged on the newest events first; one that is better "
        "than the champion is taken, and nothing is trained"
    )  # fmt: skip
    autonomy: Autonomy = Field(
        default="assisted", description="assisted asks before each change of what decides, supervised makes it after "
        "`hold` unless somebody objects, full makes it at once"
    )  # fmt: skip
    hold: Duration = Field(default=duration_ns("4h"), description="how long supervised waits for an objection")
    margin: float = Field(
        default=0.0, ge=0, le=1e12, description="by how much dearer an event may be at each judgement"
    )
    alpha: float = Field(default=0.05, gt=0, lt=1, description="how often a judgement may be wrong")
    patience: Duration = Field(
        default=duration_ns("14d"), description="a challenger that has no PASS in shadow by then is let go"
    )
