"""The maintenance loop: one call a tick or a block of ticks, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import (
    AlarmScale,
    Block,
    BlockMonitor,
    Effects,
    Grouping,
    Monitor,
    Stateful,
    Tick,
    joined,
)  # fmt: skip
from homeostat.records.arrays import State
from homeostat.records.incidents import Incident
from homeostat.records.signals import Measured, Series, Signal


@dataclass(frozen=True, slots=True)
class Noticed:
    """One tick's signals, and the incidents that are new or have changed."""

    signals: list[Signal]
    incidents: list[Incident]


class MaintenanceLoop:
    """See the module. It does no I/O: ticks come in, signals and incidents go out.

    monitors : in the order in which they are asked; their names differ
    effects : what signals do to decisions; None to leave that to the monitors
    """

    def __init__(
        self, monitors: Sequence[Monitor], scale: AlarmScale, grouping: Grouping, effects: Effects | None = None
    ) -> None:
        self.monitors, self.scale, self.effects, self.grouping = tuple(monitors), scale, effects, grouping
        self.series: tuple[Series, ...] = tuple(one for monitor in self.monitors for one in monitor.series)
        self._places = {
            one.key: (monitor, place) for monitor in self.monitors for place, one in enumerate(monitor.series)
        }

    def on_tick(self, tick: Tick, also: Sequence[Signal] = ()) -> Noticed:
        """Measure, judge, group.

        also : signals from elsewhere, to be grouped with those of the tick
        """
        return self.on_block(block_of([tick]), also)[0]

    def on_block(self, block: Block, also: Sequence[Signal] = ()) -> list[Noticed]:
        """The same for each tick of a block.

        also : of its first tick
        """
        signals = self.learn(block)
        signals[0] = [*also, *signals[0]]
        incidents = self.grouping.group_block(block, signals)
        return [Noticed(*both) for both in zip(signals, incidents, strict=True)]

    def learn(self, block: Block) -> list[list[Signal]]:
        """Measure and judge each tick of a block, so that no incident comes of its signals."""
        signals = self._judged(block)
        return signals if self.effects is None else self.effects.weigh_block(block, signals)

    def _judged(self, block: Block) -> list[list[Signal]]:
        at_once = [
            one.measure_block(block) if isinstance(one, BlockMonitor) else None for one in self.monitors
        ]  # fmt: skip
        whole = [one for one in at_once if one is not None]
        if len(whole) == len(at_once) and whole:
            found = self.scale.judge_block(block, self.series, joined(whole))
            return [[self._noted(one, at) for one in signals] for at, signals in enumerate(found)]
        # Notes are of the last tick measured, so what a monitor measures tick by tick is judged tick by tick.
        signals = []
        for at, tick in enumerate(block.ticks):
            parts = [
                monitor.measure(tick) if one is None else _tick(one, at)
                for monitor, one in zip(self.monitors, at_once, strict=True)
            ]
            signals.append([self._noted(one, at) for one in self.scale.judge(tick, self.series, joined(parts))])
        return signals

    def _noted(self, signal: Signal, at: int) -> Signal:
        """A signal of tick `at` with its monitor's notes. Numbers named as a field of the signal become that field."""
        monitor, place = self._places[signal.series.key]
        if not signal.still:
            return signal
        notes = dict(monitor.notes(place, at) if isinstance(monitor, BlockMonitor) else monitor.notes(place))
        fields: dict[str, Any] = {
            name: float(notes.pop(name))  # type: ignore[arg-type]
            for name in ("decisions", "cost_per_hour")
            if isinstance(notes.get(name), int | float)
        }
        return replace(signal, notes={**signal.notes, **notes}, **fields)

    def state(self) -> State:
        """The memories of all stages."""
        return {f"{name}/{key}": value for name, one in self._parts() for key, value in one.state().items()}

    def restore(self, state: State) -> None:
        """Go on from what was remembered."""
        for name, one in self._parts():
            mark = f"{name}/"
            one.restore({key.removeprefix(mark): value for key, value in state.items() if key.startswith(mark)})

    def _parts(self) -> list[tuple[str, Stateful]]:
        monitors: list[tuple[str, Stateful]] = [(one.name, one) for one in self.monitors]
        effects: list[tuple[str, Stateful]] = [] if self.effects is None else [("effects", self.effects)]
        return [*monitors, ("scale", self.scale), *effects, ("grouping", self.grouping)]


def _tick(measured: Measured, at: int) -> Measured:
    """The values of one tick of a block."""
    return Measured(measured.value[at], measured.n[at], measured.spread[at])
