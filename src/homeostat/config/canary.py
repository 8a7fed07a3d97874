"""The `canary` section of the app file: how a version's share of the entities grows, and what ends it at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from homeostat.config.scalars import Duration, Name, Node, Share, duration_ns

Step = Annotated[float, Field(gt=0, le=1)]


class Guardrails(Node):
    """By how much a canary's decisions may differ from the champion's. One that is broken ends the canary at once."""

    actions: dict[Name, Share] = Field(
        default={},
        description="by how much the share of decisions with an action may be larger than the champion's; when "
        "absent, that of the harshest action by 0.02",
    )
    failed: Share = Field(
        default=0.01,
        description="by how much the share of decisions may be larger in which a scorer or the policy failed",
    )
    late: Share = Field(
        default=0.01,
        description="by how much the share of decisions may be larger in which a scorer, the policy or the decision "
        "itself was later than its declared deadline",
    )
    cost: Annotated[float, Field(ge=0, le=1e12)] | None = Field(
        default=None, description="by how much dearer an event with a known outcome may be; not judged when absent"
    )


class CanarySpec(Node):
    """How a new version earns its way from a share of the entities to all of them."""

    # Only the entity counts in the app's fingerprint: the rest decides nothing about an event.
    entity: Name | None = Field(default=None, description="of which a share is decided by the canary; the first entity")
    steps: tuple[Step, ...] = Field(
        exclude=True, default=(0.01, 0.05, 0.25, 1.0), min_length=1, max_length=32,
        description="the shares, rising; at 1 the canary becomes champion",
    )  # fmt: skip
    events_min: int = Field(
        exclude=True, default=1000, ge=1, le=10**12, description="decisions of the canary that a step needs"
    )
    time_min: Duration = Field(exclude=True, default=duration_ns("1h"), description="how long a step lasts at least")
    inconclusive: Literal["pause", "go_on"] = Field(
        exclude=True,
        default="pause",
        description="while nothing is decided at a step's end: wait for a PASS, or go on as no guardrail is broken",
    )
    deadline: Duration = Field(
        exclude=True, default=duration_ns("7d"), description="a canary that is not champion by then is undone"
    )
    alpha: float = Field(
        exclude=True, default=0.05, gt=0, le=0.5, description="how often a canary may be ended wrongly"
    )
    evidence: Literal["none", "shadow", "replay"] = Field(
        exclude=True, default="none", description="the judgement that must be a PASS before a canary begins"
    )
    margin: float = Field(
        exclude=True, default=0.0, ge=0, le=1e12, description="of that judgement: by how much dearer an event may be"
    )
    guardrails: Guardrails = Field(exclude=True, default=Guardrails(), description="what ends the canary at once")

    def fault(self) -> str | None:
        """Why the steps are none."""
        if any(later <= one for one, later in pairwise(self.steps)):
            return "each step should be larger than the one before it"
        return None
