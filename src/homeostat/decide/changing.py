"""How a loop gets other parts between two batches: everything that is remembered follows where it means the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeostat.decide.contracts import (
    AllowsLate,
    Explorer,
    Fusion,
    Guard,
    Joiner,
    Learner,
    Policy,
    ReadsLists,
    Repairing,
    Scorer,
    Stateful,
    Withholding,
)
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.stages import Canary, Holds, Stages
from homeostat.decide.what_if import WhatIf
from homeostat.expressions import Membership
from homeostat.records.arrays import State
from homeostat.records.changes import Change
from homeostat.records.meaning import Meaning, follows
from homeostat.records.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class CanaryParts:
    """A canary's parts, see `stages.Canary`, with its scorers by name."""

    version: str
    scorers: Mapping[str, Scorer]
    fusion: Fusion
    policy: Policy | None
    holds: Holds
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Lateness:
    """How far behind the newest time an event may be.

    windows_ns : and still enter the windows
    judged_ns : and not be marked as late by the loop, whose caller may have marked it already
    """

    windows_ns: int
    judged_ns: int


@dataclass(frozen=True, slots=True)
class Setup:
    """A loop's parts under its settings, before they have seen anything. Made outside of the deciding thread.

    number : of the last change that is in force
    in_force : all that are, by rising number
    changes : those that lead here from some earlier number, by rising number
    scorers : those of the version, by name
    joiner : a new one; None where nobody learns
    lists : who is on which list; None where they are as they were
    learns : the learners that are on
    learned : what another process taught fusion and policy, by name; an empty one has no state as yet. None where this
        loop learns by itself
    canary : None where no other version decides a share
    repairing, reads, quarantine, shed : see `Stages`
    lateness : how far events may arrive out of order; None: as they may already
    """

    number: int
    in_force: tuple[Change, ...]
    changes: tuple[Change, ...]
    version: str
    scorers: Mapping[str, Scorer]
    fusion: Fusion
    policy: Policy
    thresholds: Policy | None
    guard: Guard
    joiner: Joiner | None
    lists: Membership | None
    what_if: WhatIf | None
    learns: frozenset[str]
    words: Vocabulary
    meaning: Mapping[str, Meaning]
    learned: Mapping[str, State] | None = None
    canary: CanaryParts | None = None
    repairing: Repairing | None = None
    reads: EventSchema | None = None
    quarantine: Withholding | None = None
    shed: tuple[str, ...] = ()
    lateness: Lateness | None = None

    @property
    def learners(self) -> dict[str, Learner]:
        """Those of its fusion and policy that learn, by name."""
        return {name: part for name, part in self.by_name.items() if isinstance(part, Learner)}

    @property
    def by_name(self) -> dict[str, Fusion | Policy]:
        """Its fusion and policy, by the names that learners have."""
        return {"fusion": self.fusion, "policy": self.policy}


def put_in_force(setup: Setup, stages: Stages) -> None:
    """Let these parts decide from the next batch on."""
    blank = {name: part.learned() for name, part in setup.learners.items()}
    for name, new, old in (
        ("fusion", setup.fusion, stages.fusion), ("policy", setup.policy, stages.policy),
        ("guards", setup.guard, stages.guard),
    ):  # fmt: skip
        _take_over(name, new, old, setup.meaning, stages.meaning)
    if setup.learned is not None:
        for name, part in setup.learners.items():
            part.take(setup.learned.get(name, blank[name]))
    if stages.allowance is not None and isinstance(setup.policy, Explorer):
        setup.policy.allow(stages.allowance)
    was = stages.canary
    if setup.learned is None and was is not None and was.version == setup.version:
        # It is the champion now, and knows what it has learned.
        _take_over("fusion", setup.fusion, was.fusion, setup.meaning, {"fusion": was.meaning})
    if setup.version != stages.version:
        stages.panel = stages.panel.seating(setup.scorers)
    stages.canary = _canary(setup.canary, was, stages)
    if was is not None:
        was.panel.leave(stages.panel, None if stages.canary is None else stages.canary.panel)
    stages.fusion, stages.policy, stages.thresholds, stages.guard = (
        setup.fusion, setup.policy, setup.thresholds, setup.guard,
    )  # fmt: skip
    if setup.joiner is None or stages.joiner is None:
        stages.joiner = setup.joiner
    if setup.lists is not None and isinstance(stages.featurizer, ReadsLists):
        stages.featurizer.read_lists(setup.lists)
    stages.panel.leave_aside(setup.shed)
    if stages.canary is not None:
        stages.canary.panel.leave_aside(setup.shed)
    stages.shed = setup.shed
    _repair(setup.repairing, stages)
    _widen(setup, stages)
    stages.reads, stages.quarantine = setup.reads, setup.quarantine
    stages.what_if, stages.learns = setup.what_if, setup.learns
    stages.version, stages.words, stages.meaning = setup.version, setup.words, setup.meaning
    stages.settings, stages.in_force = setup.number, setup.in_force


def _widen(setup: Setup, stages: Stages) -> None:
    """Let events arrive out of order so far from now on."""
    lateness = setup.lateness
    if lateness is None:
        return
    stages.lateness_ns = lateness.windows_ns
    stages.watermark.lateness_ns = lateness.judged_ns
    if isinstance(stages.featurizer, AllowsLate):
        stages.featurizer.allow_late(lateness.windows_ns)


def _repair(new: Repairing | None, stages: Stages) -> None:
    """Let these repairs be in force; contents stay remembered where copies are found as before."""
    was = stages.repairing
    if new is not None and was is not None and new.remembers == was.remembers:
        new.restore(was.state())
    stages.repairing = new


def _canary(parts: CanaryParts | None, was: Canary | None, stages: Stages) -> Canary | None:
    """The canary of these parts; of the same version as the one before it, it goes on where that stands."""
    if parts is None:
        return None
    if was is not None and was.version == parts.version:
        _take_over("fusion", parts.fusion, was.fusion, {"fusion": parts.meaning}, {"fusion": was.meaning})
    panel = stages.panel.beside(parts.scorers, None if was is None else was.panel)
    return Canary(parts.version, panel, parts.fusion, parts.policy, parts.holds, parts.meaning)


def _take_over(
    name: str, new: Stateful, old: Stateful, meaning: Mapping[str, Meaning], before: Mapping[str, Meaning]
) -> None:
    """Let a part continue where the one before it stands, where that means the same to it."""
    if name in meaning and follows(name, meaning[name], before.get(name)):
        new.restore(old.state())
