"""Past cases: incidents that are remembered with their signals, causes, remedies and verdicts, and notes of people."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.records.signals import Signal
from homeostat.records.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Trait:
    """A signal as far as it can be compared with those of other incidents.

    monitor, node, kind, name : of its series
    up : whether the figure rose
    size : how far it moved, as log(1 + |effect| / |before|), at most 10
    alone : whether such a signal makes an incident by itself
    """

    monitor: str
    node: str
    kind: str
    name: str
    up: bool
    size: float
    alone: bool = True

    @property
    def role(self) -> str:
        """The kind of place: `field` for `field:amount`.

        >>> Trait("contract", "field:amount", "missing", "null share", True, 0.7).role
        'field'
        """
        return self.node.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Named:
    """A cause that an investigation found: where, of which kind, and its probability."""

    node: str
    kind: str
    probability: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A remedy that was applied, and its verdict; empty where none came.

    undone : whether it was taken back
    """

    remedy: str
    scope: str
    verdict: str
    undone: bool


@dataclass(frozen=True, slots=True)
class PastCase:
    """An incident as it is remembered.

    id : of the incident; revision : of the incident and its response, so that a later state takes its place
    opened_ns, closed_ns : event times; closed_ns is 0 while it is open
    traits : its signals, for comparing
    conclusion : of its last investigation, empty where there was none
    causes : by falling probability
    tried : the remedies that were applied, in order
    steps : of its last investigation
    words : sentences about it, for searching and for people; nothing is decided by them
    since_ns : when its earliest signal began; sources : senders and accounts that its signals name
    """

    id: str
    revision: int
    opened_ns: int
    closed_ns: int
    traits: tuple[Trait, ...]
    conclusion: str = ""
    causes: tuple[Named, ...] = ()
    tried: tuple[Tried, ...] = ()
    steps: int = 0
    words: str = ""
    since_ns: int = 0
    sources: tuple[str, ...] = ()

    @property
    def watched(self) -> bool:
        """Whether nothing was found and nothing was done."""
        return not self.causes and not self.tried

    @property
    def refuted(self) -> bool:
        """Whether a remedy for its causes failed, and none passed: its causes may have been others."""
        verdicts = {one.verdict for one in self.tried}
        return Verdict.FAIL in verdicts and Verdict.PASS not in verdicts


@dataclass(frozen=True, slots=True)
class Note:
    """A text of people: a runbook, a post-mortem.

    name : of its file; the same name again replaces it
    """

    name: str
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """A past case that resembles the present one, from 0 to 1."""

    likeness: float
    case: PastCase


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a search found.

    source : `case` or `note`; id : of the case, or the note's name
    title : the heading above it; text : the passage, with its words as they stand
    score : larger is better; only comparable within one search
    """

    source: str
    id: str
    title: str
    text: str
    score: float


def traits_of(signals: Iterable[Signal]) -> tuple[Trait, ...]:
    """The traits of signals, by their series.

    >>> traits_of([])
    ()
    """
    found = [
        Trait(
            one.series.monitor, one.series.node, str(one.series.kind), one.series.name, one.effect > 0, _size(one),
            one.series.alone,
        )
        for one in signals
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.monitor, one.node, one.kind, one.name, one.up)))


def _size(one: Signal) -> float:
    """How far a figure moved, against where it was."""
    effect, before = abs(one.effect), abs(one.before)
    if not math.isfinite(effect):
        return 0.0
    base = before if math.isfinite(before) and before > 0 else 1.0
    return round(min(math.log1p(effect / base), 10.0), 3)
