"""The failures of a loop's parts, and its decisions, counted for people and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.decide.stages import Stages
from homeostat.decide.teaching import Teaching
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.reasons import Fallback, Reason


def count(
    counts: dict[str, int], fallbacks: dict[Reason, int], decisions: DecisionBatch, shed: tuple[str, ...] = ()
) -> None:
    """Add new decisions to the counts of events, and of the causes of fallbacks.

    shed : the scorers that the settings leave out
    """
    counts["events"] += len(decisions)
    if shed:
        fallbacks[Reason.SCORER_SHED] = fallbacks.get(Reason.SCORER_SHED, 0) + len(decisions)
    if np.count_nonzero(decisions.events.kind):
        late = int(np.count_nonzero(decisions.events.kind == Row.LATE_EVENT))
        copies = 0 if decisions.events.came is None else int(np.count_nonzero(decisions.events.came.copy))
        counts["late"] += late - copies
    if np.count_nonzero(decisions.fallback):
        for bit, reason in Fallback.NAMES.items():
            hit = int((decisions.fallback & bit != 0).sum())
            fallbacks[reason] = fallbacks.get(reason, 0) + hit


def troubles(stages: Stages, teaching: Teaching) -> dict[str, dict[str, Any]]:
    """The failures so far, by part: see `DecisionLoop.troubles`."""
    found = {"scorers": stages.panel.troubles(), "learning": teaching.troubles()}
    canary = stages.canary
    return found if canary is None else {**found, "canary": canary.panel.troubles()}


def notes(stages: Stages, teaching: Teaching) -> list[str]:
    """The parts that are decided without at present, and the learners that fail: a sentence each."""
    left_out = [f"decides without the scorer {name}: the settings leave it out" for name in stages.shed]
    left_out += [f"decides without the scorer {name}: {why}" for name, why in stages.panel.out().items()]
    canary = stages.canary
    if canary is not None:
        out = canary.panel.out().items()
        left_out += [f"the canary decides without the scorer {name}: {why}" for name, why in out]
    return left_out + teaching.notes()
