"""A drill's rehearsal: a span of a run is decided again, from the last state that was kept before it.

The shadow has the environment of now, as any process that is started now: so a library that has changed shows in what
it makes of events from before the change. It reads features from its own windows, and no outage comes in its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.app import costs_of, setup_of
from homeostat.config import plans
from homeostat.config.repairs import read_schema
from homeostat.config.variants import variant
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.loop import DecisionLoop
from homeostat.jobs.compared import compared
from homeostat.jobs.drill.deciding import Deciding, Kept
from homeostat.jobs.drill.stand_ins import ServedFeatures
from homeostat.jobs.recent import RecentColumns
from homeostat.ports.rehearsal import Again, CanNotRehearse
from homeostat.records.arrays import Float, State
from homeostat.records.changes import Change, ChangeKind, in_force
from homeostat.records.decisions import DecisionBatch
from homeostat.records.plans import Alteration
from homeostat.records.times import time_text
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS

KEPT_MAX = 14
BY = "rehearsal"


@dataclass(frozen=True, slots=True)
class _Point:
    """A run's loop at an hour; what it knows of its rows follows from the run."""

    now_ns: int
    row: int
    state: State


class DrillRehearsal:
    """See the module; a `Rehearsal`. `keep` after each hour.

    deciding : the run that is live
    recent : what it has decided
    every_ns, kept_max : a state is kept so often, and so many of them
    """

    def __init__(
        self, deciding: Deciding, recent: RecentColumns, every_ns: int = DAY_NS, kept_max: int = KEPT_MAX
    ) -> None:
        self.deciding, self.recent = deciding, recent
        self._every_ns, self._points = every_ns, deque[_Point](maxlen=kept_max)

    def keep(self) -> None:
        """Keep the state of now, if the last one is old enough."""
        live = self.deciding
        if not self._points or live.now_ns >= self._points[-1].now_ns + self._every_ns:
            self._points.append(_Point(live.now_ns, live.row, live.loop.state()))

    def forked(self, deciding: Deciding, recent: RecentColumns) -> DrillRehearsal:
        """The rehearsal of another run that has the same past."""
        found = DrillRehearsal(deciding, recent, self._every_ns, self._points.maxlen or KEPT_MAX)
        found._points.extend(self._points)
        return found

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        """See `Rehearsal`. The span is cut to whole hours."""
        live = self.deciding
        from_ns, until_ns = from_ns // HOUR_NS * HOUR_NS, min(-(-until_ns // HOUR_NS) * HOUR_NS, live.now_ns)
        since = from_ns if since_ns is None else since_ns // HOUR_NS * HOUR_NS
        point = next((one for one in reversed(self._points) if one.now_ns <= min(since, from_ns)), None)
        if point is None or until_ns <= from_ns:
            raise CanNotRehearse(f"no state is kept of {time_text(min(since, from_ns))} or shortly before it")
        shadow = self._shadow(point)
        made = _Altered(live, shadow, alterations, since)
        shadow.acting = made  # type: ignore[assignment]
        batches: list[DecisionBatch] = []
        while shadow.now_ns < until_ns:
            begun = shadow.now_ns
            hour = shadow.hour()
            if begun >= from_ns:
                batches += hour.decisions
        return self._compared(batches, from_ns, until_ns)

    def _shadow(self, point: _Point) -> Deciding:
        """A loop that stands where the run stood."""
        live, done = self.deciding, slice(0, point.row)
        shadow = Deciding(live.drill, live.traffic, live.frame, live.seed)
        shadow.resume(Kept(
            point.now_ns, point.row, point.state, live.visible[done], live.risk[done], live.time_ns[done],
            live.keys[done], live.checks[done],
        ))  # fmt: skip
        return shadow

    def _compared(self, batches: Sequence[DecisionBatch], from_ns: int, until_ns: int) -> Again:
        recent = self.recent.until(self.deciding.now_ns)
        rows = np.flatnonzero((recent.arrived_ns > from_ns) & (recent.arrived_ns <= until_ns))
        app = self.deciding.drill.prepared.app
        return compared(recent, rows, batches, costs_of(app), app.outcomes.censoring)


class _Altered:
    """Stands in for the run's acts: its own changes and versions, the alterations in their place, and no faults."""

    def __init__(self, live: Deciding, shadow: Deciding, alterations: Sequence[Alteration], since_ns: int) -> None:
        self._live, self._since_ns = live, since_ns
        self._ports = shadow.ports
        self._changes = live.acting.settings.since(0)
        self._altered = [
            Change(one.kind, one.scope, one.body, BY, "it is tried", number=1 << 40, at_ns=since_ns)
            for one in alterations
        ]
        self._stood: tuple[Change, ...] | None = None
        self._repairs: tuple[Change, ...] = ()
        self._reads: EventSchema | None = None

    def until(
        self, now_ns: int, loop: DecisionLoop, served: ServedFeatures, risks: Callable[[], Float]
    ) -> tuple[Change, ...]:
        """Put in force what is in force at an hour of the run, and the alterations from their moment on."""
        now = in_force(one for one in self._changes if one.at_ns <= now_ns)
        repairs = tuple(one for one in now.values() if one.kind == ChangeKind.REPAIR)
        if repairs != self._repairs:
            app = self._live.drill.prepared.app
            self._repairs, self._reads = repairs, read_schema(app, variant(app, repairs).repairs, self._ports.coding)
        if now_ns >= self._since_ns:
            for one in self._altered:
                now.pop(one.where, None)
                if one.body is not None:
                    now[one.where] = one
        changes = tuple(now.values())
        if self._stood is None or changes != self._stood:
            self._apply(changes, loop)
            self._stood = changes
        return ()

    def _apply(self, changes: tuple[Change, ...], loop: DecisionLoop) -> None:
        acting, prepared = self._live.acting, self._live.drill.prepared
        found = variant(prepared.app, changes)
        ready, bundle = acting.models_of(found.champion)
        lists = plans.membership(found.app, self._ports.coding)
        mark = Change(ChangeKind.LEARNING, BY, None, BY, "it is tried", number=loop.stages.settings + 1)
        setup = setup_of(prepared.app, prepared.features, ready, bundle, found, lists, (mark,), changes, self._ports)
        loop.put_in_force(setup)
        scorers = dict(zip(prepared.app.scorers, ready.scorers, strict=True))
        loop.stages.panel = loop.stages.panel.seating(scorers)

    def reads(self, loop: DecisionLoop) -> EventSchema | None:
        """How events were read at that hour: as a journal has, it has nothing that was not taken in then."""
        return self._reads

    def away(self, now_ns: int, seed: int) -> bool:
        """Nothing is away."""
        return False

    def took_us(self, moment_ns: int, seed: int, typical: float) -> float:
        """Nothing is slow."""
        return typical
