"""JSON into a batch: the body of a request, or the lines of a file.

Many lines at once are decoded into a struct made from the schema and checked as columns; a line that the struct does
not fit is decoded again on its own, so that one bad line costs the others nothing. Of a name that occurs twice in one
object the last value counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from homeostat.decide.intake import border, objects, values
from homeostat.decide.intake.border import SPACE, Broken, TextMessage, Texts, Unread, elements_of, value_of
from homeostat.decide.intake.objects import Event, batch_of, outcomes_of, outcomes_of_events, read_event, read_objects
from homeostat.decide.intake.schema import EventSchema
from homeostat.records.events import DeadLetter, EventBatch, OutcomeBatch
from homeostat.records.identity import IdTexts

_STORED = {int: np.int64, float: np.float64, bool: np.bool_}
FEW = 32  # Up to here one by one is faster than as columns.


def parse_events(raw: bytes, schema: EventSchema, now_ns: int) -> tuple[EventBatch, list[DeadLetter], list[int]]:
    """A JSON body, one event object or an array of them.

    Returns the valid events in order, a dead letter for each of the others (its line is the position in the array,
    from 1), and the positions of the valid ones from 0.
    """
    if raw[:1] == b"{":  # The shortest way for what nearly every request is.
        texts: IdTexts = {}
        value = value_of(raw)
        if schema.unknown is not None:
            schema.unknown.look(value)
        event = objects.read_event(value, schema, now_ns, texts, 1)
        if isinstance(event, DeadLetter):
            return batch_of([], schema, texts), [event], []
        return batch_of([event], schema, texts), [], [0]
    elements = [raw]
    if raw.lstrip(SPACE).startswith(b"["):
        try:
            elements = elements_of(raw)
        except Broken as error:
            return batch_of([], schema, {}), [objects.not_an_event(Unread(raw, str(error)), 1)], []
    if len(elements) > FEW:
        batch, letters = read_lines(elements, schema, now_ns)
        bad = {letter.line for letter in letters}
        return batch, letters, [position for position in range(len(elements)) if position + 1 not in bad]
    return read_objects([value_of(element) for element in elements], schema, now_ns)


def parse_outcome_body(
    raw: bytes, schema: EventSchema, now_ns: int
) -> tuple[OutcomeBatch, list[DeadLetter], list[int]]:
    """A JSON body, one outcome or an array of them, of events of this schema; else as `parse_events`."""
    batch, letters, positions = parse_events(raw, outcomes_of_events(schema), now_ns)
    return outcomes_of(batch), letters, positions


def read_lines(
    lines: Sequence[bytes], schema: EventSchema, now_ns: int, numbers: Sequence[int] | None = None
) -> tuple[EventBatch, list[DeadLetter]]:
    """One JSON object a line.

    numbers : the lines' numbers, for dead letters; 1, 2, ... when absent
    Blank lines are no events.
    """
    numbers = range(1, len(lines) + 1) if numbers is None else numbers
    if len(lines) > FEW:
        return _read_many(lines, schema, now_ns, numbers)
    texts: IdTexts = {}
    events: list[Event] = []
    letters: list[DeadLetter] = []
    for line, number in zip(lines, numbers, strict=True):
        event = read_line(line, schema, now_ns, texts, number)
        if isinstance(event, Event):
            events.append(event)
        elif event is not None:
            letters.append(event)
    return batch_of(events, schema, texts), letters


def read_line(line: bytes, schema: EventSchema, now_ns: int, texts: IdTexts, number: int) -> Event | DeadLetter | None:
    """One line: an event, or what is wrong with it; None if it is blank."""
    value = value_of(line)
    if type(value) is Unread and not line.strip(SPACE):
        return None
    if schema.unknown is not None:
        schema.unknown.look(value)
    return read_event(value, schema, now_ns, texts, number)


def read_texts(
    messages: Sequence[TextMessage], schema: EventSchema, now_ns: int, numbers: Sequence[int]
) -> tuple[EventBatch, list[DeadLetter]]:
    """Messages that are objects of texts: each is read by its declared type."""
    found = [value_of(message) for message in messages]
    if len(found) <= FEW or any(type(one) is not Texts for one in found):
        batch, letters, _ = read_objects(found, schema, now_ns, numbers)
        return batch, letters
    if schema.unknown is not None:
        for one in found[:FEW]:
            schema.unknown.look(one)
    import pyarrow as pa

    from homeostat.decide.intake.columns import read_columns
    from homeostat.records.arrow import of_texts

    def column(name: str) -> Any:
        taken: list[Any] = [one.get(name) for one in found if isinstance(one, Texts)]
        try:
            return of_texts(taken)
        except (pa.ArrowException, UnicodeError):  # Half a surrogate pair: rows are read one by one.
            return pa.array([[]] * len(taken), pa.list_(pa.null()))

    columns = {name: column(name) for name in schema.names()}
    return read_columns(columns, len(found), schema, now_ns, numbers, values.Source.TEXT, found.__getitem__)


@lru_cache(maxsize=256)
def _struct(
    schema: EventSchema, used: frozenset[str]
) -> tuple[Callable[[bytes], Any], dict[str, Callable[[Any], Any]]]:
    """A decoder of one line into a struct, and what takes each used name's value from it.

    used : the names that the lines use. Any other that means something may only be null, so that a line with it is
        read on its own; twelve names looked up in each line, of which six are there, would cost as much as decoding.
    """
    kinds: dict[str, Any] = {}
    for names in (schema.id, *(entity.names for entity in schema.entities if entity.of is None)):
        kinds.update(dict.fromkeys(names, int | str | None))
    kinds.update(dict.fromkeys(schema.time, str | int | float | None))
    by_kind = {"number": float | None, "integer": int | None, "boolean": bool | int | None, "category": str | None}
    for field in schema.fields:
        kinds.update(dict.fromkeys(field.names, by_kind[field.kind]))
    kinds.update(dict.fromkeys(schema.label, bool | int | None))
    members = {name: f"m{position}" for position, name in enumerate(schema.names())}
    struct = msgspec.defstruct(
        "Line",
        [(member, kinds[name] if name in used else None, None) for name, member in members.items()],
        rename={member: name for name, member in members.items()},
        gc=False,
    )
    return msgspec.json.Decoder(struct).decode, {n: attrgetter(member) for n, member in members.items() if n in used}


def _used(lines: Sequence[bytes], schema: EventSchema) -> frozenset[str]:
    """The schema's names in the first few lines that can be read. Unknown names are counted in these alone."""
    found: set[str] = set()
    for line in lines[:FEW]:
        event = value_of(line)
        if isinstance(event, dict):
            found |= event.keys()
            if schema.unknown is not None:
                schema.unknown.look(event)
    return frozenset(found.intersection(schema.names()))


def _read_many(
    lines: Sequence[bytes], schema: EventSchema, now_ns: int, numbers: Sequence[int]
) -> tuple[EventBatch, list[DeadLetter]]:
    from homeostat.decide.intake.columns import read_columns  # Arrow takes a while to load, and one event needs none.

    decode, members = _struct(schema, _used(lines, schema))
    texts: IdTexts = {}
    rows: list[Any] = []
    kept: list[int] = []  # Positions of `rows` among `lines`.
    odd: dict[int, Event] = {}  # Events that the struct does not fit, by position.
    letters: list[DeadLetter] = []
    suspicious = _suspicious(lines)
    left: Sequence[bytes] = lines
    if not suspicious:
        with suppress(Exception):  # One that does not fit: then each is read with a look at what it is.
            rows, kept, left = list(map(decode, lines)), list(range(len(lines))), ()
    for position, line in enumerate(left):
        try:
            if suspicious and (len(line) > border.MESSAGE_MAX or border.too_deep(line) or line.decode() is None):
                raise ValueError("too deep")
            rows.append(decode(line))
            kept.append(position)
        except Exception:  # Of whatever kind: the border says what is wrong with it, if anything is.
            event = read_line(line, schema, now_ns, texts, numbers[position])
            if isinstance(event, DeadLetter):
                letters.append(event)
            elif event is not None:
                odd[position] = event
    columns = {name: _column(list(map(take, rows))) for name, take in members.items()}
    where = np.asarray(kept, np.int64)
    places = numbers if len(kept) == len(lines) else [numbers[position] for position in kept]
    batch, bad = read_columns(
        columns, len(rows), schema, now_ns, places, values.Source.JSON, lambda row: value_of(lines[kept[row]])
    )
    if odd:
        gone = {letter.line for letter in bad}
        where = where[[place not in gone for place in places]]
        batch = _interleave(batch, where, odd, schema, texts)
    return batch, sorted(letters + bad, key=lambda letter: letter.line)


def _suspicious(lines: Sequence[bytes]) -> bool:
    """Whether some line may be too long, too deep or no UTF-8: what the struct decoder overlooks."""
    whole = b"\n".join(lines)
    if len(whole) > border.MESSAGE_MAX and max(map(len, lines)) > border.MESSAGE_MAX:
        return True
    if whole.count(b"[") + whole.count(b"{") > len(lines) + border.DEPTH_MAX - 1:
        return True
    if whole.isascii():
        return False
    try:
        whole.decode()
    except UnicodeDecodeError:
        return True
    return False


def _column(members: list[Any]) -> Any:
    """Values as an Arrow column; where whole columns can't check them, one whose rows are all read one by one."""
    import pyarrow as pa

    from homeostat.records.arrow import of_members, of_texts

    kinds = set(map(type, members)) - {type(None)}
    if not kinds:
        return pa.nulls(len(members))
    try:
        if len(kinds) == 1:
            kind = kinds.pop()
            return of_texts(members) if kind is str else of_members(members, _STORED[kind])
    except (pa.ArrowException, OverflowError):  # Integers beyond 64 bits.
        pass
    return pa.array([[]] * len(members), pa.list_(pa.null()))


def _interleave(
    batch: EventBatch, where: Any, odd: dict[int, Event], schema: EventSchema, texts: IdTexts
) -> EventBatch:
    """Put the odd events between the others, in the order of their lines."""
    other = batch_of(list(odd.values()), schema, texts)
    order = np.argsort(np.concatenate([where, np.fromiter(odd, np.int64)]), kind="stable")

    def join(first: Any, second: Any) -> Any:
        return np.concatenate([first, second])[order]

    return EventBatch(
        join(batch.id_code, other.id_code), join(batch.time_ns, other.time_ns), join(batch.keys, other.keys),
        join(batch.numbers, other.numbers), join(batch.label, other.label), join(batch.kind, other.kind),
        batch.texts | texts, join(batch.id_check, other.id_check), join(batch.key_checks, other.key_checks),
    )  # fmt: skip
