"""The stages of one app, and the budgets that they work within."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import RLock
from typing import Protocol

from homeostat.decide.admission import Watermark
from homeostat.decide.contracts import Featurizer, Fusion, Guard, Joiner, Policy, Repairing, Withholding
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.learning.schedule import Schedule
from homeostat.decide.panel import Panel
from homeostat.decide.what_if import WhatIf
from homeostat.records.allowance import Allowance
from homeostat.records.arrays import Float, Mask
from homeostat.records.changes import Change
from homeostat.records.events import EventBatch
from homeostat.records.identity import Coding, Ids
from homeostat.records.meaning import Meaning
from homeostat.records.vocabulary import NAMELESS, Vocabulary

Holds = Callable[[EventBatch], Mask]
"""Which of n events a canary decides: a function of their entity, the journal's secret, the version and the share."""


class Chance(Protocol):
    """(n, 2) numbers uniform in [0, 1), a function of the event ids alone."""

    def __call__(self, ids: Ids) -> Float: ...


@dataclass(frozen=True, slots=True)
class Early:
    """The inputs of chance up to an entry of the journal.

    until : that entry's sequence number
    """

    until: int
    chance: Chance


@dataclass(slots=True)
class Canary:
    """The parts of a version that decides a share of the entities, beside the champion's.

    policy : None where the app's policy is no part of a version, so that the champion's serves both
    meaning : of what its fusion remembers
    """

    version: str
    panel: Panel
    fusion: Fusion
    policy: Policy | None
    holds: Holds
    meaning: Meaning


@dataclass(slots=True)
class Stages:
    """The concrete stages of one app, in order.

    thresholds : what proposes where the policy fails; None declares that the guard decides
    early : what chance depended on in the journal's first entries, where that has changed since
    coding : how the texts of ids and keys became codes
    joiner : remembers decisions until their outcomes come; None where nobody learns and no outcome is expected
    settings : the number of the last change that is in force
    in_force : the changes that are in force, by rising number
    learns : the learners that are on, by the settings; None: as the limits say
    words : the names that decisions are made in
    meaning : what the state of each part means, by the part's name
    allowance : how much exploration may cost at present, where several processes share its budget; None: the app's
        budget
    spending : held while the policy proposes and is charged for it
    what_if : what explanations know of the features; without it each is a quantity by itself
    canary : decides a share of the entities; None where there is none
    repairing : the repairs in force; None where there is none
    quarantine : the events that don't teach; None where all do
    shed : the scorers that the settings leave out
    lateness_ns : how far out of order events may enter the windows
    reads : how events are read under these repairs; None: as the app file says
    """

    featurizer: Featurizer
    panel: Panel
    fusion: Fusion
    policy: Policy
    thresholds: Policy | None
    guard: Guard
    joiner: Joiner | None
    schedule: Schedule
    watermark: Watermark
    chance: Chance
    coding: Coding
    actions: tuple[str, ...]
    version: str
    settings: int = 0
    in_force: tuple[Change, ...] = ()
    learns: frozenset[str] | None = None
    words: Vocabulary = NAMELESS
    meaning: Mapping[str, Meaning] = field(default_factory=dict)
    what_if: WhatIf | None = None
    early: Early | None = None
    allowance: Allowance | None = None
    spending: AbstractContextManager[bool] = field(default_factory=RLock)
    canary: Canary | None = None
    repairing: Repairing | None = None
    reads: EventSchema | None = None
    quarantine: Withholding | None = None
    shed: tuple[str, ...] = ()
    lateness_ns: int = 0

    def close(self) -> None:
        """Let go of the scorers' threads."""
        if self.canary is not None:
            self.canary.panel.close()
        self.panel.close()

    def chance_in(self, sequence: int) -> Chance:
        """The inputs of chance in an entry of the journal."""
        return self.chance if self.early is None or sequence > self.early.until else self.early.chance


@dataclass(frozen=True, slots=True)
class Limits:
    """Wall-clock budgets, in nanoseconds; None waits for ever. Replay has none.

    rows : what a budget is for; a larger batch has in proportion more. None: one budget, however large the batch
    """

    decision_ns: int | None = None
    policy_ns: int | None = None
    rows: int | None = None
    reject_late: bool = False
    learn_fusion: bool = True
    learn_policy: bool = True


def in_proportion(budget_ns: int | None, n: int, rows: int | None) -> int | None:
    """The budget of a batch of n rows, where one budget is for so many rows.

    >>> in_proportion(100, 64, 32), in_proportion(100, 5, 32), in_proportion(100, 64, None)
    (200, 100, 100)
    """
    return budget_ns if budget_ns is None or rows is None or n <= rows else budget_ns * n // rows
