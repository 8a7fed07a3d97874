"""A quiet past that every monitor and the alarm scale know, and ticks after it on which a fault can be laid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

import numpy as np

from homeostat.checks.ticks import HOUR_NS, NAMES, quiet_ticks, with_events
from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import BlockMonitor, Monitor, Tick
from homeostat.maintain.monitor.behaviour import BehaviourMonitor
from homeostat.maintain.monitor.contract import ContractMonitor
from homeostat.maintain.monitor.distribution import DistributionMonitor
from homeostat.maintain.monitor.fairness import Bound, FairnessMonitor, Groups
from homeostat.maintain.monitor.models import ModelsMonitor
from homeostat.maintain.monitor.scale import Scale
from homeostat.maintain.monitor.serving import ServingMonitor
from homeostat.maintain.monitor.transport import TransportMonitor
from homeostat.records.events import EventBatch
from homeostat.records.signals import Measured, Signal

PAST = 24 * 24


def costs(events: EventBatch):
    """Costs under which the risks 0.15 and 0.5 are the thresholds of the harsher actions."""
    n = len(events)
    positive, negative = np.array([100.0, 43.3, 0.0]), np.array([0.0, 10.0, 53.3])
    return np.broadcast_to(positive, (n, 3)), np.broadcast_to(negative, (n, 3))


class Again:
    """A replayer that serves what it is given."""

    def __init__(self) -> None:
        self.answer = None

    def replayed(self, tick):
        return self.answer


BUILDS: dict[str, Callable[[], Monitor]] = {
    "contract": lambda: ContractMonitor(NAMES),
    "transport": lambda: TransportMonitor(NAMES),
    "serving": lambda: ServingMonitor(NAMES, Again()),
    "models": lambda: ModelsMonitor(NAMES),
    "behaviour": lambda: BehaviourMonitor(NAMES, costs),
    "distribution": lambda: DistributionMonitor(NAMES),
    "fairness": lambda: FairnessMonitor(NAMES, Groups(2, (1, 2)), [Bound("selection_rate", difference_max=0.1)]),
}


def scale_of(monitor: Monitor) -> Scale:
    return Scale("shop", monitor.series, HOUR_NS, false_alarms=0.1)


@cache
def past():
    return quiet_ticks(PAST, seed=4)


@cache
def _known(name: str):
    monitor = BUILDS[name]()
    scale = scale_of(monitor)
    early = judged(monitor, scale, past())
    return monitor.state(), scale.state(), tuple(signal for signals in early for signal in signals)


def judged(monitor: Monitor, scale: Scale, ticks: Iterable[Tick]) -> list[list[Signal]]:
    """The signals at each of these ticks."""
    ticks = list(ticks)
    block = block_of(ticks)
    if isinstance(monitor, BlockMonitor):
        measured = monitor.measure_block(block)
    else:
        rows = [monitor.measure(tick) for tick in ticks]
        measured = Measured(*(np.stack([getattr(one, name) for one in rows]) for name in ("value", "n", "spread")))
    return scale.judge_block(block, monitor.series, measured)


@cache
def after(hours: int = 36, seed: int = 5, per_hour: float = 80.0) -> tuple[Tick, ...]:
    """Quiet ticks after the past."""
    return tuple(quiet_ticks(hours, seed=seed, per_hour=per_hour, start=PAST))


def raised(name: str, ticks: Iterable[Tick], monitor: Monitor | None = None) -> dict[str, int]:
    """The series that a monitor raises on these ticks after the past, and at which of them."""
    monitor = BUILDS[name]() if monitor is None else monitor
    state, scaled, _ = _known(name)
    monitor.restore(state)
    scale = scale_of(monitor)
    scale.restore(scaled)
    found: dict[str, int] = {}
    for k, signals in enumerate(judged(monitor, scale, ticks)):
        for signal in signals:
            one = signal.series
            found.setdefault(f"{one.node} {one.kind} {one.name}", k)
    return found


def early(name: str):
    """The signals of the past itself."""
    return _known(name)[2]


def changed(change: Callable[[Tick, np.random.Generator], Tick], hours: int = 36, seed: int = 5) -> list[Tick]:
    """Ticks after the past with a fault on each."""
    return [change(tick, np.random.default_rng([seed, tick.number])) for tick in after(hours, seed)]


def with_numbers(tick: Tick, numbers: np.ndarray) -> Tick:
    """The tick with other values of its fields, decided by these."""
    return with_events(tick, replace(tick.events, numbers=numbers))
