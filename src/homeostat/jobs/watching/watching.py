"""Decides samples one by one, and makes episodes of alerts: found, explained, resolved."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from homeostat.app import Ports, brain, build
from homeostat.engine.assembly import prepare
from homeostat.jobs.drill.stand_ins import PassingJournal, StandingClock
from homeostat.records.events import EventBatch

STEP_NS = 1_000_000_000
KEPT = 120
"""Values of each metric that the view shows."""
CALM = 5
"""Steps without an alert, after which an episode is resolved."""
FIRST = 3
"""Steps in which an episode may still get its name from another metric."""
ALERT = 2
_START_NS = 1_767_571_200_000_000_000  # Steps are counted from here: the app has no calendar.
_HOST = 1


class Sampler(Protocol):
    """Reads a machine or a process."""

    def sample(self) -> Mapping[str, float]: ...

    def culprit(self, metric: str) -> str | None: ...


@dataclass(slots=True)
class Episode:
    """An alert and what explains it.

    step, resolved : its first step, and the one at which it was over; None while it lasts
    metric, value, low, high : the metric farthest out of its band at the beginning, and that band
    out : by metric, how many spreads it is out, those above 1 alone
    culprit : the process that uses most of it, where that is known
    """

    step: int
    metric: str
    value: float
    low: float
    high: float
    out: dict[str, float]
    culprit: str | None = None
    resolved: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As one line of JSON."""
        found = {
            "event": "found" if self.resolved is None else "resolved", "step": self.step, "metric": self.metric,
            "value": round(self.value, 3), "usual": [round(self.low, 3), round(self.high, 3)],
            "out": {name: round(out, 2) for name, out in self.out.items()}, "process": self.culprit,
        }  # fmt: skip
        return found if self.resolved is None else found | {"resolved": self.resolved}


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric at one step, and the ends of its band; NaN where there are none yet."""

    value: float
    low: float
    high: float
    out: float


@dataclass(slots=True)
class Course:
    """The last values of a metric, and its latest reading."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    now: Reading = Reading(np.nan, np.nan, np.nan, np.nan)


class Watching:
    """One sampler, watched.

    metrics : those of the app, in its order; a sampler may lack some
    """

    def __init__(self, culprit: Callable[[str], str | None] = lambda metric: None) -> None:
        prepared = prepare(Path(str(files("homeostat.apps") / "infra" / "machine.yaml")))
        self.metrics = tuple(prepared.app.events.fields)
        self.courses = {name: Course() for name in self.metrics}
        self.episodes: list[Episode] = []
        self.step, self.action, self.learning = 0, 0, True
        self._culprit, self._calm = culprit, 0
        self._clock, self._journal = StandingClock(), PassingJournal()
        ports = Ports(self._journal, self._clock, prepared.coding, bounded=False)
        self._loop = build(prepared.app, prepared.features, brain(prepared.app, prepared.features, None), ports)
        names = prepared.features.names
        self._columns = {
            end: [names.index(f"{name}_{end}") for name in self.metrics] for end in ("now", "low", "high", "out", "far")
        }
        self._learning = names.index("learning")

    @property
    def open(self) -> Episode | None:
        """The episode that lasts."""
        return self.episodes[-1] if self.episodes and self.episodes[-1].resolved is None else None

    def add(self, sample: Mapping[str, float]) -> Episode | None:
        """Take the next step; returns an episode that it begins or ends."""
        self.step += 1
        self._clock.set_ns = at = _START_NS + self.step * STEP_NS
        values = np.array([[sample.get(name, np.nan) for name in self.metrics]])
        event = EventBatch(
            np.array([self.step]),
            np.array([at]),
            np.array([[_HOST]]),
            values,
            np.full(1, np.nan),
            np.zeros(1, np.uint8),
        )
        batch = self._loop.decide(event).fresh
        assert batch is not None, "steps repeat no id"
        self._journal.taken.clear()
        row = batch.features.values[0]
        self.action, self.learning = int(batch.ruling.action[0]), bool(row[self._learning])
        for place, name in enumerate(self.metrics):
            _, low, high, out, far = (float(row[self._columns[end][place]]) for end in self._columns)
            course = self.courses[name]
            course.values.append(float(values[0, place]))
            course.now = Reading(float(values[0, place]), low, high, float(np.nanmax([out, far, 0.0])))
        return self._episode()

    def _episode(self) -> Episode | None:
        current = self.open
        if self.action == ALERT:
            self._calm = 0
            if current is None:
                self.episodes.append(self._begin())
                return self.episodes[-1]
            self._follow(current)
        elif current is not None:
            self._calm += 1
            if self._calm >= CALM:
                current.resolved = self.step
                return current
        return None

    def _follow(self, current: Episode) -> None:
        """Note what else goes out of its band; in its first steps the metric that is farthest out names the episode."""
        for name, out in self._out().items():
            current.out[name] = max(out, current.out.get(name, 0.0))
        metric = max(current.out, key=lambda name: current.out[name])
        if metric != current.metric and self.step - current.step < FIRST:
            now = self.courses[metric].now
            current.metric, current.value, current.low, current.high = metric, now.value, now.low, now.high
            current.culprit = self._culprit(metric)

    def _out(self) -> dict[str, float]:
        return {name: course.now.out for name, course in self.courses.items() if course.now.out > 1}

    def _begin(self) -> Episode:
        out = self._out()
        metric = max(out, key=lambda name: out[name])
        now = self.courses[metric].now
        return Episode(self.step, metric, now.value, now.low, now.high, out, self._culprit(metric))


def watched(
    sampler: Sampler, watching: Watching, wait: Callable[[], None], steps: int | None
) -> Iterator[Episode | None]:  # fmt: skip
    """Sample, decide and wait, again and again; yields for each step the episode that it begins or ends.

    wait : until the next sample is due
    steps : how many, without end when None
    """
    done = 0
    while steps is None or done < steps:
        wait()
        yield watching.add(sampler.sample())
        done += 1
