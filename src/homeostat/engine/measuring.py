"""Metrics on their way to events: points are kept, gathered into the steps of their entities, and decided.

A point that `take` has returned for is in a spool in the data folder, until the event of its step is in the journal.
A process that takes over such a folder gathers these points again, so that a killed one has lost none. A step that was
decided already gets its first decision back, as any repeated event does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec
import numpy as np

from homeostat.adapters.disk.segments import SegmentQueue
from homeostat.adapters.influx.line_protocol import BadLine, Point, lines_of
from homeostat.adapters.metrics.aligner import Aligner, Step
from homeostat.adapters.metrics.mapping import Entity, Measured, MetricMap, Unusable, checks_of
from homeostat.config.metrics import Metrics
from homeostat.config.tree import App
from homeostat.decide.intake.values import shown
from homeostat.ports import Clock, Unavailable
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Reason

if TYPE_CHECKING:
    from homeostat.decide.intake.schema import EventSchema
    from homeostat.engine.readings import Value

SPOOL = "metrics"
"""The folder of the spool in a data folder."""

Item: TypeAlias = Point | BadLine
_SPOOL_BYTES_MAX = 1 << 30
_ROWS = 1000  # Steps that are decided together.
_QUIET_NS_MIN = 10**9  # Requests of one burst come closer together, also where the declared lateness is 0.
_FULL = "no more metrics are taken until the journal takes the steps that wait"
_SECOND_NS = 10**9


class Deciding(Protocol):
    """The part of an engine that decides steps, and buries what can't be used."""

    def answer(self, objects: Sequence[object]) -> Sequence[object]: ...

    def bury(self, letters: list[DeadLetter]) -> None: ...


class _Kept(msgspec.Struct, array_like=True):
    """A record of the spool: the names of the entity's parts, and the measurements."""

    entities: tuple[str, ...]
    rows: list[tuple[Entity, int, dict[str, float]]]


class Measuring:
    """Takes points for one engine, in the turns of its requests. Not for several threads at once."""

    def __init__(
        self, engine: Deciding, app: App, schema: EventSchema, clock: Clock, queue: SegmentQueue | None = None
    ) -> None:
        """Gather again what the spool holds. Raises Unavailable.

        app : with a section `metrics`
        queue : the spool, which is closed with this; None keeps points in memory only
        """
        assert app.metrics is not None, "an app without metrics takes none"
        spec: Metrics = app.metrics
        self._engine, self._clock, self._queue = engine, clock, queue
        events = app.events
        required = tuple(events.entities[name].required for name in spec.entity)
        self._map = MetricMap(spec, required, checks_of(schema), schema.ahead_max_ns)
        self._steps: Aligner[Entity] = Aligner(spec.step, spec.lateness)
        self._lateness_ns, self._quiet_ns = spec.lateness, max(spec.lateness, _QUIET_NS_MIN)
        self._app, self._id, self._time = app.app, schema.id[0], schema.time[0]
        self._since: dict[
            tuple[Entity, int], int
        ] = {}  # A step -> the first record of the spool that has a part of it.
        self._heard: dict[Entity, int] = {}  # When an entity with open steps was last heard of; longest ago first.
        self._due: list[Step[Entity]] = []
        self._lines = dict.fromkeys(("used", "unused", "late", "bad"), 0)
        self._decided = 0
        if queue is not None:
            self._recover(queue)

    def take(self, items: Sequence[object]) -> list[str]:
        """Take points in. Returns for each item why it can't be used; empty where it is used, late or not asked for.

        items : points and bad lines (`Item`), in any order

        Bad lines, and points that can't be used, go to the dead letters.
        Raises Unavailable if nothing was taken, or if what can't be used could not be buried.
        """
        self._decide()  # Steps for which the journal was away go first, and hold up what would only wait behind them.
        now_ns = self._clock.now_ns()
        rows: list[Measured] = []
        answers: list[str] = []
        letters: list[DeadLetter] = []
        unused = 0
        for item in items:
            why = ""
            if isinstance(item, BadLine):
                why = item.why
                letters.append(DeadLetter(item.number, "", shown(item.text), Reason.MALFORMED.value, why))
            elif isinstance(item, Point):
                try:
                    measured = self._map.measured(item, now_ns)
                except Unusable as error:
                    why = str(error)
                    letters.append(DeadLetter(len(answers) + 1, "", shown(text_of(item)), error.reason.value, why))
                else:
                    unused += measured is None
                    if measured is not None:
                        rows.append(measured)
            else:
                raise TypeError(f"{type(item).__name__} is neither a point nor a bad line")
            answers.append(why)
        self._gather(rows, self._keep(rows, now_ns))
        self._lines["unused"] += unused
        self._lines["bad"] += len(letters)
        with suppress(Unavailable):  # The points are kept; the next request is refused until the steps are decided.
            self._decide()
        self._engine.bury(letters)
        return answers

    @property
    def waits(self) -> bool:
        """Whether `tick` may have something to do."""
        return bool(self._heard or self._due)

    def tick(self) -> None:
        """Decide the steps that ended by the clock, of entities that have been quiet since. Raises Unavailable."""
        now_ns, heard_ns = self._clock.now_ns(), self._clock.monotonic_ns() - self._quiet_ns
        for entity, last_ns in list(self._heard.items()):
            if last_ns > heard_ns:
                break
            self._due += self._steps.close(entity, now_ns - self._lateness_ns)
            if not self._steps.is_open(entity):
                del self._heard[entity]
        self._decide()

    def readings(self) -> Mapping[str, Value]:
        """Current figures by name of a declared metric; called by any thread."""
        return {
            "homeostat_metric_lines_total": dict(self._lines),
            "homeostat_metric_steps_total": self._decided,
            "homeostat_metric_steps_open": len(self._since),
        }

    def close(self) -> None:
        """Let go of the spool; open steps wait in it for the next start."""
        if self._queue is not None:
            self._queue.close()

    def _keep(self, rows: list[Measured], now_ns: int) -> int:
        """Put measurements into the spool; returns the record's number. Raises Unavailable."""
        if self._queue is None or not rows:
            return 0
        record = msgspec.msgpack.encode(
            _Kept(self._map.entities, [(row.entity, row.time_ns, row.values) for row in rows])
        )
        return self._queue.put(record, len(rows), now_ns).number

    def _gather(self, rows: list[Measured], number: int) -> None:
        late_before, heard_ns = self._steps.late, self._clock.monotonic_ns()
        for entity, time_ns, values in rows:
            before = self._steps.late
            self._due += self._steps.add(entity, time_ns, values)
            if self._steps.late == before:
                self._since.setdefault((entity, self._steps.start(time_ns)), number)
            self._heard.pop(entity, None)
            self._heard[entity] = heard_ns
        late = self._steps.late - late_before
        self._lines["late"] += late
        self._lines["used"] += len(rows) - late

    def _decide(self) -> None:
        """Decide the steps that are over, and forget in the spool what is in the journal now. Raises Unavailable."""
        while self._due:
            steps = self._due[:_ROWS]
            self._engine.answer([self._event(step) for step in steps])
            del self._due[:_ROWS]
            self._decided += len(steps)
            for step in steps:
                self._since.pop((step.entity, step.time_ns), None)
        queue = self._queue
        if queue is not None:
            oldest = next(iter(self._since.values()), None)  # Numbers rise, and a dictionary keeps its order.
            while queue.waiting and (oldest is None or queue.waiting[0].number < oldest):
                queue.take()

    def _event(self, step: Step[Entity]) -> dict[str, object]:
        """The event of a step: its id is measurement, tags and time, as those of a line."""
        named = [(name, key) for name, key in zip(self._map.entities, step.entity, strict=True) if key is not None]
        tags = "".join(f",{name}={key}" for name, key in named)
        whole, rest = divmod(step.time_ns, _SECOND_NS)
        time: object = str(np.datetime64(step.time_ns, "ns")) if rest else whole
        return {self._id: f"{self._app}{tags}@{step.time_ns}", self._time: time, **dict(named), **step.values}

    def _recover(self, queue: SegmentQueue) -> None:
        """Gather what a process before has not decided; measurements of what the app no longer has are left out."""
        known = self._map.metrics
        for waiting in list(queue.waiting):
            kept = msgspec.msgpack.decode(queue.read(waiting), type=_Kept)
            rows = [Measured(*row) for row in kept.rows] if kept.entities == self._map.entities else []
            found = [(row, {name: row.values[name] for name in row.values.keys() & known}) for row in rows]
            self._gather([row._replace(values=values) for row, values in found if values], waiting.number)
        self._decide()


def measuring_of(engine: Deciding, app: App, schema: EventSchema, clock: Clock, data: Path | None) -> Measuring | None:
    """Takes the metrics of an app; None where it declares none.

    data : the data folder, in which points wait for their step to be decided; None keeps them in memory only
    Raises Unavailable.
    """
    if app.metrics is None:
        return None
    queue = None if data is None else SegmentQueue(data / SPOOL, _SPOOL_BYTES_MAX, when_full=_FULL)
    return Measuring(engine, app, schema, clock, queue)


def text_of(point: Point) -> bytes:
    """A point as a line, to show it."""
    return next(lines_of([point]))
