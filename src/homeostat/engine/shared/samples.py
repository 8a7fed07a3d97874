"""Messages held against an app's schema: what could not be read, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from homeostat.decide.admission import newest
from homeostat.decide.intake.border import value_of
from homeostat.decide.intake.objects import parse_outcomes, read_objects
from homeostat.engine.assembly import Prepared
from homeostat.records.events import DeadLetter


def sampled(messages: Sequence[bytes], prepared: Prepared, outcomes: bool, now_ns: int) -> tuple[Counter[str], int]:
    """How often which fault keeps a message from being read, and how far ahead of the clock the newest event is.

    Messages that can be read have no fault; where no event is ahead, 0.

    outcomes : whether they are outcomes, instead of events
    now_ns : against which times in the future are held

    No value is shown, since a message may hold what a log must not.
    """
    why: Counter[str] = Counter()
    ahead_ns = 0
    for message in messages:
        letter = _outcome(message, prepared, now_ns) if outcomes else _event(message, prepared, now_ns)
        if isinstance(letter, int):
            ahead_ns = max(ahead_ns, letter - now_ns)
        elif letter is not None:
            why[f"{letter.field}: {letter.reason}" if letter.field else letter.reason] += 1
            ahead_ns = max(ahead_ns, 0 if outcomes else letter.ahead_ns)
    return why, ahead_ns


def _event(message: bytes, prepared: Prepared, now_ns: int) -> DeadLetter | int:
    """The fault of an event, or its time."""
    if not message.strip():
        return DeadLetter(1, "", "", "an empty message")
    batch, letters, _ = read_objects([value_of(message)], prepared.schema, now_ns)
    return letters[0] if letters else newest(batch)


def _outcome(message: bytes, prepared: Prepared, now_ns: int) -> DeadLetter | None:
    _, letters, _ = parse_outcomes([value_of(message)], prepared.schema, now_ns)
    return letters[0] if letters else None
