"""The `fairness` section of the app file: which groups are compared, by which measures, and how far they may differ."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from homeostat.config.scalars import Duration, Name, Node

Measured: TypeAlias = Literal[
    "selection_rate", "true_positive_rate", "false_positive_rate", "calibration", "cost_per_person"
]


EVERY_NS = 6 * 3600 * 10**9


class FairBound(Node):
    """How far any two groups may differ by one measure: by `difference_max`, or by `ratio_min`."""

    measure: Measured = Field(description="what is compared: rates of the selecting actions, calibration, or cost")
    difference_max: Annotated[float, Field(ge=0, le=1e12)] | None = Field(
        default=None, description="the largest difference allowed"
    )
    ratio_min: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="of rates: the smaller one is at least this share of the larger one"
    )

    def fault(self) -> str | None:
        """Why it is no bound."""
        if (self.difference_max is None) == (self.ratio_min is None):
            return "a bound needs either difference_max or ratio_min"
        if self.ratio_min is not None and not self.measure.endswith("_rate"):
            return f"{self.measure} is no rate: give it a difference_max"
        return None


def _is_none(value: object) -> bool:
    """A key that is not declared has no part in the app's fingerprint, which older versions made without it."""
    return value is None


class Fair(Node):
    """Groups of people that are to be treated alike."""

    groups: Name = Field(description="a field of the events whose values are the groups; no feature needs it")
    selected: tuple[Name, ...] = Field(
        default=(), description="the actions whose rates are compared; all but the first when absent"
    )
    bounds: tuple[FairBound, ...] = Field(default=(), max_length=32, description="how far groups may differ")
    persons_min: int = Field(
        default=50, ge=2, le=10**9, description="a group with fewer people is not enough data, and is not compared"
    )
    alpha: float = Field(default=0.05, gt=0, le=0.5, description="how often a PASS, and a FAIL, may be wrong")
    binds: Literal["thresholds", "refuse"] | None = Field(
        default=None, exclude_if=_is_none, description="what the bounds do beside being reported: `refuse` lets no "
        "version be promoted that breaks one; `thresholds` does that too, and decides by thresholds of each group"
    )  # fmt: skip
    every: Duration | None = Field(
        default=None, exclude_if=_is_none, description="how often a server looks at its last decisions, 1m at least; "
        "`6h` when absent"
    )  # fmt: skip
