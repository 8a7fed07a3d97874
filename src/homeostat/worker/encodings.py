"""How messages are written: what `world.encoding` chooses from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from homeostat.decide.intake.lines import read_line, read_lines
from homeostat.decide.intake.objects import Event, batch_of
from homeostat.decide.intake.schema import EventSchema
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.reasons import Reason

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way of writing messages.

    events : messages, the schema, and the time against which times in the future are held -> the events, and a dead
        letter for each message that is none, its `line` the message's number
    outcome : a message -> the object that it holds; itself where it can't be read, for whoever checks it to refuse
    decision : an answer as `embedded.answers` makes it -> a message
    dead_letter : what is wrong with a message -> a message
    """

    events: Callable[[Sequence[bytes], EventSchema, int], tuple[EventBatch, list[DeadLetter]]]
    outcome: Callable[[bytes], object]
    decision: Callable[[Mapping[str, object]], bytes]
    dead_letter: Callable[[Mapping[str, object]], bytes]


def _events(values: Sequence[bytes], schema: EventSchema, wall_ns: int) -> tuple[EventBatch, list[DeadLetter]]:
    if not any(b"\n" in value or not value.strip() for value in values):
        return read_lines(values, schema, wall_ns, range(len(values)))
    events: list[Event] = []  # One by one: a reader of lines would take a message of several lines for several.
    letters: list[DeadLetter] = []
    texts: dict[int, str] = {}
    for k, value in enumerate(values):
        one = read_line(value, schema, wall_ns, texts, k)
        if isinstance(one, Event):
            events.append(one)
        else:
            letters.append(one or DeadLetter(k, "", "", Reason.MALFORMED.value))
    return batch_of(events, schema, texts), letters


def _outcome(value: bytes) -> object:
    try:
        return _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value


def _dead_letter(told: Mapping[str, object]) -> bytes:
    return json.dumps(told).encode("ascii")  # Escapes what a bad message may hold: half a pair of surrogates, too.


JSON = Encoding(_events, _outcome, msgspec.json.Encoder().encode, _dead_letter)
ENCODINGS = {"json": JSON}
