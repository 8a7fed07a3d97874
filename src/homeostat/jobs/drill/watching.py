"""Watches a run as `maintain` watches a journal: hours become ticks, ticks become signals and incidents.

Hours are watched a day at a time, since a block of ticks costs little more than one (see `maintain.blocks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from homeostat.app.maintaining import maintenance_of, tick_form
from homeostat.jobs.drill.deciding import DrillApp, Hour
from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import Tick
from homeostat.maintain.loop import MaintenanceLoop
from homeostat.maintain.monitor.serving import Replayed
from homeostat.maintain.ticks import TickReader
from homeostat.records.arrays import Float, State
from homeostat.records.bodies import ChangeBatch
from homeostat.records.incidents import Incident
from homeostat.records.signals import Signal
from homeostat.sim.faults.fault import LogEntry

HOURS = 24
"""That are watched at once."""
_READER, _LOOP = "reader/", "loop/"


class Computed:
    """A `Replayer` of the drill: it has the features as they were computed, wherever others were served."""

    def __init__(self) -> None:
        self._rows: dict[int, Float] = {}

    def add(self, hour: Hour) -> None:
        """Keep what was served otherwise than it was computed."""
        for decisions, computed in zip(hour.decisions, hour.computed, strict=True):
            if computed is not None:
                self._rows.update(zip(decisions.events.id_code.tolist(), computed, strict=True))

    def replayed(self, tick: Tick) -> Replayed | None:
        """A tick's features as they are computed."""
        values = tick.features.values
        if self._rows:
            values = values.copy()
            for row, code in enumerate(tick.events.id_code.tolist()):
                found = self._rows.pop(code, None)
                if found is not None:
                    values[row] = found
        return Replayed(np.arange(len(values)), values, np.ones(values.shape, np.bool_))


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was noticed in an hour, at its end."""

    at_ns: int
    signals: list[Signal]
    incidents: list[Incident]


class Watching:
    """One maintenance loop over one run.

    calendar : the seasons and campaigns that the change log declares
    """

    def __init__(self, drill: DrillApp, calendar: Sequence[LogEntry] = ()) -> None:
        prepared = drill.prepared
        app = prepared.app
        self.computed = Computed()
        seasons = [(known_from(one), one.until_ns) for one in calendar if one.kind == "calendar"]
        self.loop: MaintenanceLoop = maintenance_of(app, prepared.features, self.computed, seasons)
        self.reader = TickReader(tick_form(app, prepared.features, prepared.coding))

    def take(self, hours: Sequence[Hour]) -> list[Seen]:
        """Take hours in, and say of each what was noticed at its end; however they are cut, it is the same."""
        ticks: list[Tick] = []
        counts = [0]
        for hour in hours:
            ticks += self._ticks(hour)
            counts.append(len(ticks))
        noticed = self.loop.on_block(block_of(ticks)) if ticks else []
        return [
            Seen(
                hour.end_ns, [one for tick in noticed[first:last] for one in tick.signals],
                [one for tick in noticed[first:last] for one in tick.incidents],
            )
            for hour, (first, last) in zip(hours, pairwise(counts), strict=True)
        ]  # fmt: skip

    def _ticks(self, hour: Hour) -> list[Tick]:
        """The ticks that an hour closes."""
        reader = self.reader
        self.computed.add(hour)
        ticks: list[Tick] = []
        if hour.changes:
            ticks += reader.add(ChangeBatch(hour.changes), hour.start_ns)
        if hour.outcomes is not None:
            ticks += reader.add(hour.outcomes, hour.start_ns)
        for decisions, recorded in zip(hour.decisions, hour.recorded_ns, strict=True):
            ticks += reader.add(decisions, recorded)
        if hour.letters:
            reader.refuse(hour.letters)
        return ticks + reader.pass_time(hour.end_ns)

    def state(self) -> State:
        """All that it remembers."""
        found = {_READER + name: one for name, one in self.reader.state().items()}
        return found | {_LOOP + name: one for name, one in self.loop.state().items()}

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        for mark, part in ((_READER, self.reader), (_LOOP, self.loop)):
            part.restore({key.removeprefix(mark): value for key, value in state.items() if key.startswith(mark)})


def known_from(entry: LogEntry) -> int:
    """When a season of the change log begins: three days after it was written down."""
    return entry.at_ns + 3 * 24 * 3_600_000_000_000
