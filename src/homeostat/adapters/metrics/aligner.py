"""Metrics that come separately and slightly apart become one row for each entity and time step."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

E = TypeVar("E", bound=Hashable)


class Step(NamedTuple, Generic[E]):
    """The metrics of one entity in the step that starts at `time_ns`; a metric that did not come is missing."""

    entity: E
    time_ns: int
    values: dict[str, float]


@dataclass(slots=True)
class Aligner(Generic[E]):
    """Gathers measurements until their step is over.

    A step of an entity is over when a measurement of the same entity is `lateness_ns` past its end. A clock that
    is ahead on one host therefore closes no step of another. Of several values of a metric in a step, the last to come
    counts. Steps of an entity come out in order. At most `entities_max` entities have open steps; the entity that
    has been quiet longest is closed first.

    step_ns : length of a step, > 0; lateness_ns : >= 0; both in nanoseconds
    late : measurements of steps that were over, which are left out

    >>> aligner = Aligner(step_ns=10, lateness_ns=5)
    >>> aligner.add("a", 3, {"cpu": 1.0}), aligner.add("a", 7, {"memory": 2.0})
    ([], [])
    >>> aligner.add("a", 15, {"cpu": 3.0})
    [Step(entity='a', time_ns=0, values={'cpu': 1.0, 'memory': 2.0})]
    """

    step_ns: int
    lateness_ns: int
    entities_max: int = 100_000
    late: int = 0
    _open: dict[E, dict[int, dict[str, float]]] = field(default_factory=dict, init=False, repr=False)
    _closed: dict[E, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse lengths that make no steps."""
        if self.step_ns <= 0 or self.lateness_ns < 0 or self.entities_max < 1:
            raise ValueError("step_ns and entities_max have to be positive, and lateness_ns not negative")

    def start(self, time_ns: int) -> int:
        """The start of the step that a time is in."""
        return time_ns // self.step_ns * self.step_ns

    def add(self, entity: E, time_ns: int, values: Mapping[str, float]) -> list[Step[E]]:
        """Take measurements of an entity at one time; returns the steps that are over, oldest first."""
        start = self.start(time_ns)
        steps = self._open.pop(entity, {})
        self._open[entity] = steps  # Last in the order of the dictionary, so that the first has been quiet longest.
        closed = self._closed.get(entity)
        if closed is not None and start < closed:
            self.late += 1
            return []
        steps.setdefault(start, {}).update(values)
        over = self._over(entity, time_ns - self.lateness_ns)
        while len(self._open) > self.entities_max:
            over += self.end(next(iter(self._open)))
        return over

    def end(self, entity: E) -> list[Step[E]]:
        """Close the open steps of an entity, such as at the end of a file or after a long silence."""
        steps = self._open.pop(entity, {})
        if steps:
            self._close(entity, max(steps) + self.step_ns)
        return [Step(entity, start, steps[start]) for start in sorted(steps)]

    def close(self, entity: E, until_ns: int) -> list[Step[E]]:
        """Close the open steps of an entity that end at `until_ns` or before, such as those that a clock has passed.

        Later steps that nothing came for stay possible: a sender that was held up sends what it has kept.
        """
        border = self.start(until_ns)
        ended = [start for start in self._open.get(entity, ()) if start < border]
        if not ended:
            return []
        over = self._over(entity, max(ended) + self.step_ns)
        if not self._open[entity]:
            del self._open[entity]
        return over

    def is_open(self, entity: E) -> bool:
        """Whether an entity has open steps."""
        return bool(self._open.get(entity))

    @property
    def open_steps(self) -> int:
        """How many steps are open, of all entities."""
        return sum(map(len, self._open.values()))

    def end_all(self) -> list[Step[E]]:
        """Close all open steps, by entity in the order of their last measurement."""
        return [step for entity in list(self._open) for step in self.end(entity)]

    def _over(self, entity: E, until_ns: int) -> list[Step[E]]:
        steps = self._open[entity]
        border = self.start(until_ns)  # Steps that start before it are over.
        over = sorted(start for start in steps if start < border)
        self._close(entity, border)
        return [Step(entity, start, steps.pop(start)) for start in over]

    def _close(self, entity: E, border: int) -> None:
        """Note that steps before `border` are over; the entities that are quiet longest are forgotten."""
        self._closed[entity] = max(border, self._closed.pop(entity, border))
        if len(self._closed) > 2 * self.entities_max:
            del self._closed[next(iter(self._closed))]
