"""Trials of a study: what was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from homeostat.errors import HomeostatError
from homeostat.models.tuning.space import Value


class State(StrEnum):
    """How a trial ended, or that it did not."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    LOST = "lost"  # Its process died; another trial took its place.


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial.

    number : its place in the study
    slot : which of the budget's trials it is; a trial that takes a lost one's place has the same
    value : the metric, the mean over its folds
    excess : how far each constraint is broken, relative to its bound; none above 0 in a trial that keeps them all
    facts : by name: the metric on each fold, other measures, the error of one that failed
    """

    number: int
    slot: int
    state: State
    value: float | None
    values: Mapping[str, Value]
    excess: tuple[float, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether it keeps every constraint."""
        return all(one <= 0.0 for one in self.excess)


class NoneFits(HomeostatError, ValueError):
    """No trial of a tuning can be used: each failed or breaks a constraint; the text says which."""

    why = "the winner is trained on all events only if it keeps what tune.constraints asks for"
    remedy = "Loosen the constraint, or let more trials run"


def best_of(trials: Sequence[Tried], higher: bool) -> Tried:
    """The best complete trial that keeps the constraints; of equal ones the earliest. Raises NoneFits."""
    complete = [trial for trial in trials if trial.state is State.COMPLETE and trial.value is not None]
    fitting = [trial for trial in complete if trial.feasible]
    if fitting:
        sign = 1.0 if higher else -1.0
        return max(fitting, key=lambda trial: (sign * (trial.value or 0.0), -trial.number))
    if complete:
        nearest = min(complete, key=lambda trial: sum(max(0.0, one) for one in trial.excess))
        broken = nearest.facts.get("broken", "a constraint")
        raise NoneFits(f"none of {len(complete)} trials keeps the constraints; the nearest, {nearest.number}: {broken}")
    errors = [str(trial.facts.get("error", "")) for trial in trials if trial.state is State.FAILED]
    raise NoneFits("no trial came to its end" + (f": {errors[0]}" if errors else ": give more time or trials"))
