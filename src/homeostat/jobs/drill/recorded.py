"""A recorded journal as the world of a drill: its days are drawn again, each at a day of the same kind.

A day of the record is used whole, so that hours, entities and their pasts stay as they are; weekdays fall on weekdays
where the record has a week. A record with many more events than a drill needs is thinned by its entities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from homeostat.engine.assembly import Prepared, prepare
from homeostat.errors import HomeostatError
from homeostat.jobs.drill.deciding import DrillApp
from homeostat.ports import Entry
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.identity import Coding
from homeostat.records.renaming import events_as
from homeostat.sim.faults.scene import Form, Frame, form_of
from homeostat.sim.faults.traffic import DAY_NS, NEVER, Traffic, simple
from homeostat.sim.faults.worlds import known_of
from homeostat.stats.chance import uniform

_AN_HOUR = 120.0  # Events, on average, that a drill decides at most.
_DAYS_LEAST = 3


class Recorded(Protocol):
    """A journal, as far as a drill reads it."""

    @property
    def coding(self) -> Coding: ...

    def read(self, after: int = 0) -> Iterator[Entry]: ...


class TooShort(HomeostatError, ValueError):
    """A record does not have the days that a drill draws its own from."""

    why = "a drill draws whole days of the record, and their kinds have to be seen"
    remedy = "Let the app decide for some days, or drill without --journal in a simulated world"


@dataclass(frozen=True, slots=True)
class Record:
    """A record as columns in order of time, as `Traffic` has them; `delay_ns` is -1 where no outcome is known."""

    time_ns: Int
    keys: Int
    numbers: Float
    label: Bytes
    delay_ns: Int
    words: tuple[tuple[str, ...], ...]


def recorded_drill(app: str, journal: Recorded, bundle: Path | None = None) -> DrillApp:
    """The app's drill in the world of a journal.

    bundle : the folder of its trained models; the shipped ones when None
    Raises AppFileError, TooShort, Unavailable.
    """
    prepared = prepare(app)
    record = record_of(prepared, journal)

    def world(form: Form, frame: Frame, seed: int) -> Traffic:
        return drawn_days(record, form, frame, seed)

    return DrillApp(prepared, world, bundle)


def record_of(prepared: Prepared, journal: Recorded) -> Record:
    """The events of a journal with their outcomes. Raises TooShort."""
    words, form = prepared.words, form_of(prepared.app)
    batches: list[EventBatch] = []
    known: dict[tuple[int, int], tuple[float, int]] = {}
    for entry in journal.read():
        body = entry.body
        if isinstance(body, DecisionBatch):
            events = events_as(body.events, body.words, words, journal.coding)
            batches.append(events.rows(events.kind != Row.OUTCOME))
        elif isinstance(body, OutcomeBatch):
            values = zip(body.label.tolist(), body.known_ns.tolist(), strict=True)
            known.update(zip(zip(body.id_code.tolist(), body.id_check.tolist(), strict=True), values, strict=True))
    if not batches:
        raise TooShort("the record holds no decisions")
    time_ns = np.concatenate([one.time_ns for one in batches])
    if (int(time_ns.max()) - int(time_ns.min())) < _DAYS_LEAST * DAY_NS:
        raise TooShort(f"the record spans less than {_DAYS_LEAST} days")
    read = [place for place, (_, of) in enumerate(words.entities) if not of]
    keys = np.stack([_dense(batches, place) for place in read], axis=1) if read else np.zeros((len(time_ns), 0), int)
    numbers, texts = _numbers(batches, form)
    label, delay = _outcomes(batches, known, prepared)
    order = np.argsort(time_ns, kind="stable")
    return Record(time_ns[order], keys[order], numbers[order], label[order], delay[order], texts)


def _dense(batches: list[EventBatch], place: int) -> Int:
    """(n,) the keys of an entity as small numbers."""
    pairs = np.concatenate([np.stack([one.keys[:, place], one.key_checks[:, place]], axis=1) for one in batches])
    found: Int = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return found


def _numbers(batches: list[EventBatch], form: Form) -> tuple[Float, tuple[tuple[str, ...], ...]]:
    """The fields, a category as its place among the field's texts."""
    numbers = np.concatenate([one.numbers for one in batches])
    said = {code: text for one in batches for code, text in one.category_texts.items()}
    words: list[tuple[str, ...]] = [() for _ in form.fields]
    for column in form.columns("category"):
        codes, place = np.unique(numbers[:, column], return_inverse=True)
        numbers[:, column] = np.where(np.isnan(numbers[:, column]), np.nan, place)
        words[column] = tuple(said.get(code, f"{code:g}") for code in codes.tolist())
    return numbers, tuple(words)


def _outcomes(
    batches: list[EventBatch], known: dict[tuple[int, int], tuple[float, int]], prepared: Prepared
) -> tuple[Bytes, Int]:
    """(n,) labels, and how long after its event each was known; one that came along is known after the app's delay."""
    label: list[int] = []
    delay: list[int] = []
    along_ns = prepared.app.outcomes.delay
    for one in batches:
        ids = zip(one.id_code.tolist(), one.id_check.tolist(), strict=True)
        for place, own, time_ns in zip(ids, one.label.tolist(), one.time_ns.tolist(), strict=True):
            found = known.get(place)
            said: Any = own if found is None else found[0]
            label.append(int(said == 1))
            delay.append(-1 if said != said else along_ns if found is None else max(0, found[1] - time_ns))
    return np.array(label, np.uint8), np.array(delay, np.int64)


def drawn_days(record: Record, form: Form, frame: Frame, seed: int) -> Traffic:
    """Traffic over a frame: each of its days is a whole day of the record, of the same weekday where there is one."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 29])))
    kept = _thinned(record)
    day = record.time_ns // DAY_NS
    whole = np.unique(day)[1:-1] if len(np.unique(day)) > _DAYS_LEAST else np.unique(day)
    rows_of = {int(one): np.flatnonzero((day == one) & kept) for one in whole}
    rows, moments = [], []
    for start in range(frame.begin_ns, frame.end_ns, DAY_NS):
        same = [one for one in rows_of if one % 7 == start // DAY_NS % 7] or list(rows_of)
        chosen = rows_of[same[int(rng.integers(len(same)))]]
        rows.append(chosen)
        moments.append(record.time_ns[chosen] % DAY_NS + start)
    at, time_ns = np.concatenate(rows), np.concatenate(moments)
    label, ids = record.label[at], np.arange(len(at))
    delay = record.delay_ns[at]
    known = np.where(delay >= 0, time_ns + np.maximum(delay, 0), NEVER)
    if (delay < 0).all() and form.app.outcomes.unknown == "negative":
        known = known_of(form, ids, time_ns, label, seed)
    return simple(ids, time_ns, record.keys[at], record.numbers[at], label, known, record.words)


def _thinned(record: Record) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n,) the events of a share of the entities, so that an hour has no more than a drill needs."""
    hours = max(1.0, (int(record.time_ns[-1]) - int(record.time_ns[0])) / (DAY_NS / 24))
    share = min(1.0, _AN_HOUR * hours / len(record.time_ns))
    code = record.keys[:, 0] if record.keys.shape[1] else np.arange(len(record.time_ns))
    return uniform(31, code, 163) < share
