"""How messages are written: what `servers.encoding` chooses from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from homeostat.decide.intake.border import SPACE, TextMessage, value_of
from homeostat.decide.intake.lines import read_lines, read_texts
from homeostat.decide.intake.objects import read_objects
from homeostat.decide.intake.schema import EventSchema
from homeostat.records.events import DeadLetter, EventBatch


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way of writing messages.

    events : messages, the schema, and the time against which times in the future are held -> the events, and a dead
        letter for each message that is none, its `line` the message's number
    outcome : a message -> the object that it holds; an `Unread` where it can't be read, which is refused in its turn
    decision : an answer as `engine.answers` makes it -> a message
    dead_letter : what is wrong with a message -> a message
    """

    events: Callable[[Sequence[bytes], EventSchema, int], tuple[EventBatch, list[DeadLetter]]]
    outcome: Callable[[bytes], object]
    decision: Callable[[Mapping[str, object]], bytes]
    dead_letter: Callable[[Mapping[str, object]], bytes]


def _events(values: Sequence[bytes], schema: EventSchema, wall_ns: int) -> tuple[EventBatch, list[DeadLetter]]:
    numbers = range(len(values))
    texts = [value for value in values if type(value) is TextMessage]
    if values and len(texts) == len(values):
        return read_texts(texts, schema, wall_ns, numbers)
    if not texts and all(value.strip(SPACE) for value in values):
        return read_lines(values, schema, wall_ns, numbers)
    batch, letters, _ = read_objects([value_of(value) for value in values], schema, wall_ns, numbers)
    return batch, letters


def _dead_letter(members: Mapping[str, object]) -> bytes:
    return json.dumps(members).encode("ascii")  # Escapes what a bad message may hold: half a pair of surrogates, too.


JSON = Encoding(_events, value_of, msgspec.json.Encoder().encode, _dead_letter)
ENCODINGS = {"json": JSON}
