"""The maintenance loop: one call a tick, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from homeostat.maintain.contracts import AlarmScale, Grouping, Monitor, Stateful, Tick, joined
from homeostat.records.arrays import State
from homeostat.records.incidents import Incident
from homeostat.records.signals import Series, Signal


@dataclass(frozen=True, slots=True)
class Noticed:
    """One tick's signals, and the incidents that are new or have changed."""

    signals: list[Signal]
    incidents: list[Incident]


class MaintenanceLoop:
    """See the module. It does no I/O: ticks come in, signals and incidents go out.

    monitors : in the order in which they are asked; their names differ
    """

    def __init__(self, monitors: Sequence[Monitor], scale: AlarmScale, grouping: Grouping) -> None:
        self.monitors, self.scale, self.grouping = tuple(monitors), scale, grouping
        self.series: tuple[Series, ...] = tuple(one for monitor in self.monitors for one in monitor.series)
        self._places = {
            one.key: (monitor, place) for monitor in self.monitors for place, one in enumerate(monitor.series)
        }

    def on_tick(self, tick: Tick, also: Sequence[Signal] = ()) -> Noticed:
        """Measure, judge, group.

        also : signals from elsewhere, to be grouped with those of the tick
        """
        signals = [*also, *(self._noted(one) for one in self.learn(tick))]
        return Noticed(signals, self.grouping.group(tick, signals))

    def learn(self, tick: Tick) -> list[Signal]:
        """Measure and judge a tick whose signals were handed on already, so that no incident comes of them."""
        return self.scale.judge(tick, self.series, joined([monitor.measure(tick) for monitor in self.monitors]))

    def _noted(self, signal: Signal) -> Signal:
        """A signal with its monitor's notes. Notes named as a field of the signal become that field."""
        monitor, place = self._places[signal.series.key]
        if not signal.still:
            return signal
        notes = dict(monitor.notes(place))
        fields = {name: notes.pop(name) for name in ("decisions", "cost_per_hour") if name in notes}
        return replace(signal, notes={**signal.notes, **notes}, **fields)  # type: ignore[arg-type]

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
        return [*monitors, ("scale", self.scale), ("grouping", self.grouping)]
