"""The one way from an outcome to the learners: the joiner keeps it until its event is mature, then they are taught.

A learner that fails keeps what it knew.

Learning comes before the event at whose moment it is due, and so a caller waits for it. Many outcomes can be due at one
moment. Each event is therefore preceded by a bounded step, and the rest is learned before the events after it: whatever
the batches, the same outcomes are learned before the same event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeostat.decide.canary import lessons
from homeostat.decide.contracts import Fusion, Policy
from homeostat.decide.stages import Limits, Stages
from homeostat.records.decisions import Experience
from homeostat.records.events import OutcomeBatch

STEP_ENTRIES = 1024  # Learned before one event: 3 ms with a bandit of ten features. A usual moment owes fewer.


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
        named = (("fusion", limits.learn_fusion), ("policy", limits.learn_policy))
        self._learns, self._tell = frozenset(name for name, on in named if on), tell

    def step(self, stages: Stages, outcomes: OutcomeBatch | None, moment_ns: int | None) -> bool:
        """Give the joiner what has arrived, and teach some of what was known at a moment of event time.

        outcomes : of decisions that the joiner remembers; None for none
        moment_ns : None where nothing is to be learned now
        Returns whether some of what was known at the moment is left.
        """
        if stages.joiner is None:
            return False
        if outcomes is not None:
            stages.joiner.deliver(outcomes)
        if moment_ns is None:
            return False
        learns = self._learns if stages.learns is None else stages.learns
        experience = stages.joiner.due(moment_ns, STEP_ENTRIES)
        if len(experience) and "fusion" in learns:
            for fusion, own in lessons(stages, experience):
                self._teach("fusion", fusion, own)
        if len(experience) and "policy" in learns:
            self._teach("policy", stages.policy, experience)
        return stages.joiner.owes(moment_ns)

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
