"""Decoded objects, one at a time, into a batch: the path of a single event, and of every row with a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from homeostat.decide.intake import values
from homeostat.decide.intake.border import Texts, Unread, value_of
from homeostat.decide.intake.schema import EventSchema, FieldColumn, outcome_schema
from homeostat.decide.intake.times import ahead_text
from homeostat.decide.intake.values import EVENT, Fault, Source
from homeostat.records.arrays import Int
from homeostat.records.events import DeadLetter, EventBatch, OutcomeBatch
from homeostat.records.identity import ABSENT, Coding, IdTexts
from homeostat.records.reasons import Reason

NAN = float("nan")
_JSON, _TEXT = Source.JSON, Source.TEXT
Check = Callable[[object, Source], float]


class Event(NamedTuple):
    """One valid event, before it becomes a row. Composite keys are left ABSENT."""

    code: int
    check: int
    time_ns: int
    keys: list[int]
    key_checks: list[int]
    numbers: list[float]
    label: float


@lru_cache(maxsize=64)
def field_checks(schema: EventSchema) -> tuple[Check, ...]:
    """The check of each declared field, in order."""
    return tuple(_field_check(field, schema.coding) for field in schema.fields)


@lru_cache(maxsize=64)
def composites(schema: EventSchema) -> tuple[tuple[int, tuple[int, int]], ...]:
    """Columns of the entities that are pairs, and the columns of what each is made of."""
    return tuple((column, entity.of) for column, entity in enumerate(schema.entities) if entity.of is not None)


def _field_check(field: FieldColumn, coding: Coding) -> Check:
    allowed = None if field.values is None else frozenset(field.values)
    low = -np.inf if field.min is None else field.min
    high = np.inf if field.max is None else field.max

    def check_category(value: object, source: Source) -> float:
        return values.category(value, coding, allowed)

    if field.kind == "category":
        return check_category
    if field.kind == "boolean":
        return values.boolean
    kind = values.integer if field.kind == "integer" else values.number

    def check_number(value: object, source: Source) -> float:
        result = kind(value, source)
        if not low <= result <= high:
            raise Fault(Reason.OUT_OF_RANGE, value)
        return result

    return check_number


def _first(event: Mapping[str, object], names: tuple[str, ...], source: Source) -> object:
    """The first value under any of the names that is there; empty texts are not."""
    if source is _JSON:  # Nearly every value is found here.
        value = event.get(names[0])
        kind = type(value)
        if kind is int or kind is float or (kind is str and value):
            return value
    for name in names:
        value = event.get(name)
        if value is not None:
            if isinstance(value, str):
                if source is _TEXT:
                    value = value.strip(values.SPACE)
                if value:
                    return value
                continue
            kind = type(value)
            if kind is int or (kind is float and source is _JSON):
                return value
            value = values.plain(value, source)
            if value is not None and value != b"":
                return value
    return None


def read_event(
    event: object, schema: EventSchema, now_ns: int, texts: IdTexts, line: int, source: Source = Source.JSON
) -> Event | DeadLetter:
    """One event, or the first of its faults. The texts of hashed keys and of categories go to `texts`."""
    if type(event) is not dict:
        if isinstance(event, Texts):
            source = Source.TEXT
        elif isinstance(event, Unread):
            found = read_event(event.value, schema, now_ns, texts, line, source) if event.value is not None else None
            return found if isinstance(found, DeadLetter) and found.field != EVENT else not_an_event(event, line)
        elif not isinstance(event, Mapping):
            return not_an_event(event, line)
    name, coding = schema.id[0], schema.coding
    try:
        value = _first(event, schema.id, source)
        if value is None:
            raise Fault(Reason.MISSING, None)
        code, check = values.key(value, coding, texts, source)
        name = schema.time[0]
        time_ns = _time(event, schema, now_ns, source)
        keys: list[int] = []
        key_checks: list[int] = []
        for entity in schema.entities:
            name = entity.name
            value = None if entity.of is not None else _first(event, entity.names, source)
            if value is not None:
                key, key_check = values.key(value, coding, texts, source)
                keys.append(key)
                key_checks.append(key_check)
            elif entity.required and entity.of is None:
                raise Fault(Reason.MISSING, None)
            else:
                keys.append(ABSENT)
                key_checks.append(0)
        numbers: list[float] = []
        for field, checked in zip(schema.fields, field_checks(schema), strict=True):
            name = field.name
            value = _first(event, field.names, source)
            if value is not None:
                numbers.append(checked(value, source))
                if field.kind == "category":
                    texts[int(numbers[-1]), 0] = value  # type: ignore[assignment]  # The check let texts through only.
            elif field.required:
                raise Fault(Reason.MISSING, None)
            else:
                numbers.append(NAN)
        label = NAN
        if schema.label:
            name = schema.label[0]
            value = _first(event, schema.label, source)
            if value is None and schema.label_required:
                raise Fault(Reason.MISSING, None)
            label = NAN if value is None else values.boolean(value, source)
    except Fault as fault:
        return DeadLetter(line, name, values.shown(fault.value), fault.reason.value, fault.detail, fault.ahead_ns)
    return Event(code, check, time_ns, keys, key_checks, numbers, label)


def not_an_event(found: object, line: int) -> DeadLetter:
    """The dead letter of what is no object."""
    if isinstance(found, bytes):
        found = value_of(found)
    if isinstance(found, Unread):
        return DeadLetter(line, EVENT, values.shown(found.raw.strip()), Reason.MALFORMED.value, f"it {found.why}")
    return DeadLetter(line, EVENT, values.shown(found), Reason.MALFORMED.value, "it is no object")


def _time(event: Mapping[str, object], schema: EventSchema, now_ns: int, source: Source) -> int:
    value = _first(event, schema.time, source)
    if value is not None:
        return values.time(value, now_ns, schema.ahead_max_ns, source)
    if schema.time_required:
        raise Fault(Reason.MISSING, None)
    return now_ns


def by_clock(letters: list[DeadLetter], passed_ns: int) -> list[DeadLetter]:
    """The same letters, where the events were held against a time that has since passed by so long."""
    return [
        replace(letter, detail=ahead_text(letter.ahead_ns - passed_ns), ahead_ns=letter.ahead_ns - passed_ns)
        if letter.ahead_ns
        else letter
        for letter in letters
    ]


def batch_of(events: Sequence[Event], schema: EventSchema, texts: IdTexts) -> EventBatch:
    """Valid events as columns."""
    n = len(events)
    if n == 1:
        return _batch_of_one(events[0], schema, texts)
    keys = np.array([event.keys for event in events], np.int64).reshape(n, len(schema.entities))
    key_checks = np.array([event.key_checks for event in events], np.int64).reshape(n, len(schema.entities))
    fill_composites(keys, key_checks, schema)
    return EventBatch(
        id_code=np.array([event.code for event in events], np.int64),
        time_ns=np.array([event.time_ns for event in events], np.int64),
        keys=keys,
        numbers=np.array([event.numbers for event in events], np.float64).reshape(n, len(schema.fields)),
        label=np.array([event.label for event in events], np.float64),
        kind=np.zeros(n, np.uint8),  # Row.EVENT
        texts=texts,
        id_check=np.array([event.check for event in events], np.int64),
        key_checks=key_checks,
    )


def _batch_of_one(event: Event, schema: EventSchema, texts: IdTexts) -> EventBatch:
    """The same by two arrays and views of them: making arrays is what a single event's intake costs."""
    code, check, time_ns, its_keys, its_checks, numbers, label = event
    whole = np.array((code, time_ns, check, *its_keys, *its_checks), np.int64)
    real = np.array((label, *numbers), np.float64)
    checks_at = 3 + len(its_keys)
    keys, key_checks = whole[None, 3:checks_at], whole[None, checks_at:]
    fill_composites(keys, key_checks, schema)
    return EventBatch(
        whole[:1], whole[1:2], keys, real[None, 1:], real[:1], np.zeros(1, np.uint8), texts, whole[2:3], key_checks
    )


def fill_composites(keys: Int, key_checks: Int, schema: EventSchema) -> None:
    """Compute the composite entities' columns of keys and checks (n, entities) from those they are made of."""
    for column, of in composites(schema):
        schema.coding.fill_pair(keys, key_checks, of, column)


def read_objects(
    objects: Sequence[object],
    schema: EventSchema,
    now_ns: int,
    lines: Sequence[int] | None = None,
    source: Source = Source.JSON,
) -> tuple[EventBatch, list[DeadLetter], list[int]]:
    """Decoded objects as one batch.

    lines : where each came from, for dead letters; 1, 2, ... when absent
    Returns the valid events in order, a dead letter for each of the others, and the valid ones' positions.
    """
    texts: IdTexts = {}
    events: list[Event] = []
    letters: list[DeadLetter] = []
    positions: list[int] = []
    unknown = schema.unknown
    for position, item in enumerate(objects):
        if unknown is not None:
            unknown.look(item)
        line = position + 1 if lines is None else lines[position]
        event = read_event(item, schema, now_ns, texts, line, source)
        if isinstance(event, DeadLetter):
            letters.append(event)
        else:
            events.append(event)
            positions.append(position)
    return batch_of(events, schema, texts), letters, positions


def outcomes_of(batch: EventBatch) -> OutcomeBatch:
    """A batch that was read with an `outcome_schema`, as outcomes."""
    return OutcomeBatch(
        batch.id_code, batch.label, batch.time_ns, batch.numbers[:, 0], batch.texts, id_check=batch.id_check
    )


@lru_cache(maxsize=64)
def outcomes_of_events(events: EventSchema) -> EventSchema:
    """`outcome_schema`, made once for each schema."""
    return outcome_schema(events)


def parse_outcomes(
    objects: Sequence[object], schema: EventSchema, now_ns: int, lines: Sequence[int] | None = None
) -> tuple[OutcomeBatch, list[DeadLetter], list[int]]:
    """Decoded outcomes (`event_id`, `label`, perhaps `time` and `amount`) of events of this schema.

    An outcome without a time became known at `now_ns`.
    """
    batch, letters, positions = read_objects(objects, outcomes_of_events(schema), now_ns, lines)
    return outcomes_of(batch), letters, positions
