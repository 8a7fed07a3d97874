"""The events of an evaluation, and what the windows remember before the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.adapters.disk.event_files import read_events, read_outcomes
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, build, untrained
from homeostat.decide.admission import Watermark, admit
from homeostat.engine.assembly import Prepared
from homeostat.errors import HomeostatError
from homeostat.jobs.history import History
from homeostat.jobs.past import PastOutcomes, without_labels
from homeostat.jobs.replay import rows_in
from homeostat.models.training_set import Progress
from homeostat.ports import Entry
from homeostat.records.arrays import Float, State
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.identity import Identity, Ids
from homeostat.records.rows import pick
from homeostat.records.times import time_text

_CHUNK_ROWS = 65_536


class NothingToEvaluate(HomeostatError, ValueError):
    """No event lies in the window that is to be evaluated; the text says which window that is."""

    why = "an evaluation decides the events from --from until --until"
    remedy = "Give times between which the file has events"


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch of events on their way, and the outcomes that become known of them, each at its time."""

    events: EventBatch
    outcomes: OutcomeBatch | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The events to evaluate, and the state of the windows before the first of them.

    label : (n,) of each event as it is known today, NaN where nothing is
    read, dead_letters, repeated : rows of the files until the window's end; refused events are dead letters too
    """

    parts: tuple[Sent, ...]
    state: State
    label: Float
    apart: bool
    newest_ns: int
    read: int
    dead_letters: int
    repeated: int
    warnings: tuple[str, ...]


class Forgetful:
    """A journal that keeps nothing: repeats have been taken out before, and the decisions are gathered as they come."""

    def append(self, body: Body) -> int:
        """Forget it."""
        return 0

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Nothing."""
        return iter(())

    def seen(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """None of them."""
        return np.zeros(len(ids), np.bool_)

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        """Nothing."""
        return None

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """Nothing."""
        return [None] * len(ids)


def window_of(
    prepared: Prepared, events: Path, outcomes: Path | None, from_ns: int, until_ns: int, progress: Progress
) -> Window:
    """Read the files; events before `from_ns` fill the windows, as in a replay that learns at that moment.

    Raises NothingToEvaluate, EventFileError, Unavailable.
    """
    clock, history = SystemClock(), History()
    past, buried, warnings = _past(prepared, outcomes, clock.now_ns())
    loop = build(prepared.app, prepared.features, untrained(prepared.app), ports_of(prepared))
    door: _Door | None = None
    parts: list[Sent] = []
    labels: list[Float] = []
    read, total = 0, rows_in(events)
    seen: list[int] = []
    for chunk, letters in read_events(events, prepared.schema, clock.now_ns(), _CHUNK_ROWS):
        seen += [int(chunk.time_ns.min()), int(chunk.time_ns.max())] if len(chunk) else []
        buried += len(letters)
        within, ended = _before(chunk, until_ns)
        read += len(within) + len(letters)
        earlier, begins = _before(within, from_ns) if door is None else (within.slice(0, 0), True)
        rest = within.slice(len(earlier), len(within))
        if len(earlier := history.fresh(earlier)):
            sent = _sent(earlier, past)
            if sent.outcomes is not None:
                loop.expect(sent.outcomes)
            loop.absorb(sent.events)
        if begins and door is None:
            door = _Door(prepared.app.events.late == "reject", loop.stages.watermark)
        if door is not None and len(rest := door.admitted(history.unknown(rest))):
            parts.append(_sent(rest, past))
            labels.append(rest.label if past is None else past.labels_by(rest, None))
        progress("fills the windows", min(1.0, read / total) if total else 0.5)
        if ended:
            break
    state = {name: value.copy() for name, value in loop.state().items()}
    loop.close()
    if not parts or door is None:
        raise NothingToEvaluate(f"no event lies between --from and --until: {_ends(seen)}")
    newest_ns = np.iinfo(np.int64).min if past is None else past.newest_ns
    return Window(
        tuple(parts), state, np.concatenate(labels), past is not None, newest_ns, read, buried + door.refused,
        history.repeated + door.repeated, (*history.warnings(), *warnings),
    )  # fmt: skip


class _Door:
    """Lets the events of the window in as a replay does: each id once, and no late one where the app refuses these."""

    def __init__(self, rejects: bool, watermark: Watermark) -> None:
        self._rejects, self._known = rejects, History()
        self._watermark = Watermark(watermark.lateness_ns)
        self._watermark.restore(watermark.state())
        self.refused = self.repeated = 0

    def admitted(self, events: EventBatch) -> EventBatch:
        """The events that are decided."""
        seen = self._known.holds(events.ids)
        rows = admit(events, seen, self._watermark, self._rejects)
        self.refused += int(np.count_nonzero(rows.refused))
        self.repeated += int(np.count_nonzero(seen | rows.again))
        new = self._known.fresh(pick(events, rows.new))
        self._watermark.advance(new.reach)
        return new


def _before(events: EventBatch, moment_ns: int) -> tuple[EventBatch, bool]:
    """The events up to the first one at or after a moment, and whether there is one."""
    over = np.flatnonzero(events.time_ns >= moment_ns)
    return (events.slice(0, int(over[0])), True) if len(over) else (events, False)


def _ends(seen: list[int]) -> str:
    """The times between which the events lie that were read, in words."""
    if not seen:
        return "the file has none that can be read"
    return f"those that were read lie from {time_text(min(seen))} until {time_text(max(seen))}"


def _past(prepared: Prepared, path: Path | None, now_ns: int) -> tuple[PastOutcomes | None, int, list[str]]:
    if path is None:
        return None, 0, []
    batches, buried = [], 0
    for outcomes, letters in read_outcomes(path, prepared.schema, now_ns):
        batches.append(outcomes)
        buried += len(letters)
    past = PastOutcomes(batches)
    return past, buried, past.warnings() + past.undated(now_ns, "they teach nothing and count in the report alone")


def _sent(events: EventBatch, past: PastOutcomes | None) -> Sent:
    return Sent(events) if past is None else Sent(without_labels(events), past.of(events))


def ports_of(prepared: Prepared) -> Ports:
    """Ports on which nothing is kept and nobody is late."""
    return Ports(Forgetful(), SystemClock(), prepared.coding, bounded=False)
