"""A kind of cause, as an investigation looks into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from homeostat.maintain.investigate.inquiry import Answer, Inquiry


@runtime_checkable
class Hypothesis(Protocol):
    """One kind of cause. It holds no state, and knows of no other.

    kind : a `records.causes.Cause`, or a kind of a plug-in's own
    beats : the kinds that look alike and that it explains away once its tests decide
    """

    kind: str
    beats: frozenset[str]

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The nodes at which signals or the change log suggest it."""
        ...

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Its tests, the cheapest first. A test is made when its answer is asked for."""
        ...

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """All that a remedy needs to know; called once its tests have decided for it."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """A hypothesis at a node after its tests.

    prior : of the ranking by signals; weight : the sum of the answers' weights
    decided : whether a test showed the cause itself
    """

    hypothesis: Hypothesis
    node: str
    prior: float
    answers: tuple[Answer, ...]

    @property
    def kind(self) -> str:
        """The kind of cause."""
        return str(self.hypothesis.kind)

    @property
    def weight(self) -> float:
        """The evidence of all tests."""
        return sum(one.weight for one in self.answers)

    @property
    def decided(self) -> bool:
        """Whether a test showed the cause itself, and the tests together speak for it."""
        return self.weight > 0 and any(one.decides for one in self.answers)
