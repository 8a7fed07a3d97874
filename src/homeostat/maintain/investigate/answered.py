"""Answers that were given already in an investigation, so that no test of a cause is made twice in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeostat.maintain.investigate.hypothesis import Hypothesis
from homeostat.maintain.investigate.inquiry import Answer, Inquiry

Ask = Callable[[Hypothesis, Inquiry, str], tuple[Answer, ...]]
"""Makes the tests of a hypothesis at a node."""


@dataclass(frozen=True, slots=True)
class _Given:
    answers: tuple[Answer, ...]
    steps: int
    missing: dict[str, None]


@dataclass(slots=True)
class Answered:
    """Asks a hypothesis at a node once. Asked again, it counts the same steps and names the same gaps as then.

    So an investigation that begins from the start comes to the same as one in which nothing was tried before.
    """

    ask: Ask
    _given: dict[tuple[str, str], _Given] = field(default_factory=dict)

    def __call__(self, hypothesis: Hypothesis, inquiry: Inquiry, node: str) -> tuple[Answer, ...]:
        """The answers of its tests."""
        place = (node, str(hypothesis.kind))
        known = self._given.get(place)
        if known is not None:
            inquiry.steps += known.steps
            inquiry.not_checked |= known.missing
            return known.answers
        steps, missing = inquiry.steps, set(inquiry.not_checked)
        answers = self.ask(hypothesis, inquiry, node)
        if not inquiry.spent:  # Else its tests may have been cut short.
            new = {text: None for text in inquiry.not_checked if text not in missing}
            self._given[place] = _Given(answers, inquiry.steps - steps, new)
        return answers

    @property
    def steps(self) -> int:
        """How many steps the answers took that are kept."""
        return sum(one.steps for one in self._given.values())
