"""A remedy that could be taken, before anybody has rehearsed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.records.library import KeptVersion
from homeostat.records.plans import Alteration, Remedy


@dataclass(frozen=True, slots=True)
class Offer:
    """A remedy that could be taken.

    scope : see `plans.Step`
    notify : whether people hear of it in any case: the world outside has to be mended, too
    lasts_ns : after which it ends by itself, 0 for never
    takes_ns : until it has its effect
    protects : whether it changes what is learned and not what is decided, so that a rehearsal shows no effect
    beyond : where its use lies, if not in the cost of decisions: in `load` or `time`, see `plan.load`. Else empty
    order : steps of a lower order come first where a plan has several
    version : that is to decide: events that it has not learned from say what it is worth. None where none changes
    """

    remedy: Remedy
    scope: str
    alterations: tuple[Alteration, ...] = ()
    job: tuple[str, Mapping[str, Any]] | None = None
    reversible: bool = True
    notify: bool = False
    lasts_ns: int = 0
    takes_ns: int = 0
    protects: bool = False
    beyond: str = ""
    order: int = 5
    why: str = ""
    version: KeptVersion | None = None
