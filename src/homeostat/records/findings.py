"""Findings: what an investigation of an incident came to, with the evidence that code has measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Conclusion(StrEnum):
    """The conclusion of an investigation. Each of the three is a result."""

    CAUSE = "cause"  # One cause, or several at once.
    NONE = "none"  # Nothing is wrong that anything should be done about.
    INCONCLUSIVE = "inconclusive"  # Nobody can say as yet, or no kind of cause that is known fits.


@dataclass(frozen=True, slots=True)
class Edge:
    """One step of an evidence path: a node acts on the next one, as it was measured.

    measured : what was measured, in a sentence with its figure; empty where nothing was, so that the path is a guess
    """

    cause: str
    effect: str
    measured: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One test of a hypothesis.

    what : what was asked, in words
    value : the answer as a figure, and `unit` what it counts
    weight : the log of how much likelier the answer is if the hypothesis holds than if it does not
    command : a command line with which a person sees the same; empty where there is none
    """

    what: str
    value: float
    unit: str
    weight: float
    command: str = ""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A cause that was looked into and does not fit: which, and by which measurement."""

    node: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause.

    node, kind : where and what, as in `records.causes`
    probability : calibrated on drills: of all findings at .8, eight in ten are right
    since_ns : when it began, as far as the evidence says
    path : from the node to the symptom; grounded only where each edge was measured
    about : what a remedy needs to know: `factor` of a unit, `shift_ns` of a clock, `from` and `to` of a name, `before`
        of a version or setting, `where` of a segment, `entities`, `accounts`
    """

    node: str
    kind: str
    probability: float
    since_ns: int
    path: tuple[Edge, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[Ruled, ...] = ()
    not_checked: tuple[str, ...] = ()
    about: dict[str, object] | None = None

    @property
    def grounded(self) -> bool:
        """Whether each edge of its path was measured.

        >>> edge = Edge("field:amount", "feature:usual", "its median is 100 times what it was")
        >>> Finding("field:amount", "unit", .9, 0, (edge,)).grounded, Finding("labels", "poisoning", .4, 0).grounded
        (True, False)
        """
        return bool(self.path) and all(edge.measured for edge in self.path)


@dataclass(frozen=True, slots=True)
class Findings:
    """All that an investigation came to.

    findings : by falling probability; the set of causes is the shortest that explains the symptoms. The others that
        were looked into stand in `ranked` as (node, kind, probability), the findings among them
    steps : how many tests and replays it took
    missing : what would settle an inconclusive one
    recalled : the ids of past incidents whose causes were tried first and verified, so that nothing else was tested
    """

    incident: str
    at_ns: int
    conclusion: Conclusion
    findings: tuple[Finding, ...]
    ranked: tuple[tuple[str, str, float], ...]
    steps: int
    missing: tuple[str, ...] = ()
    recalled: tuple[str, ...] = ()
