"""Gives the learners the decisions whose outcomes have become known. A learner that fails keeps what it knew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeostat.decide.contracts import Fusion, Policy
from homeostat.decide.stages import Limits, Stages
from homeostat.records.decisions import Experience


@dataclass(frozen=True, slots=True)
class LearningFailure:
    """How many of a learner's steps failed, and how the last of them did."""

    count: int
    last: str


class Teaching:
    """See the module.

    failures : by the learner's name
    tell : is given the name of the part and each exception
    """

    def __init__(self, limits: Limits, tell: Callable[[str, Exception], None]) -> None:
        self.failures: dict[str, LearningFailure] = {}
        self._limits, self._tell = limits, tell

    def learn_until(self, stages: Stages, moment_ns: int) -> None:
        """Teach what was known at a moment of event time."""
        if stages.joiner is None:
            return
        experience = stages.joiner.due(moment_ns)
        if len(experience) == 0:
            return
        if self._limits.learn_fusion:
            self._teach("fusion", stages.fusion, experience)
        if self._limits.learn_policy:
            self._teach("policy", stages.policy, experience)

    def _teach(self, name: str, learner: Fusion | Policy, experience: Experience) -> None:
        try:
            learner.learn(experience)
        except Exception as error:  # A learner may be a plug-in: whatever it raises, the decisions go on.
            earlier = self.failures.get(name, LearningFailure(0, ""))
            self.failures[name] = LearningFailure(earlier.count + 1, f"{type(error).__name__}: {error}")
            self._tell(f"learning of the {name}", error)

    @property
    def failed(self) -> int:
        """How many steps failed so far."""
        return sum(failure.count for failure in self.failures.values())

    def troubles(self) -> dict[str, dict[str, Any]]:
        """How many steps of each learner failed, and how the last did."""
        return {name: {"failed": failure.count, "last": failure.last} for name, failure in self.failures.items()}

    def notes(self) -> list[str]:
        """The same, a sentence each."""
        return [
            f"{failure.count} steps of the {name}'s learning failed, the last with {failure.last}"
            for name, failure in self.failures.items()
        ]
