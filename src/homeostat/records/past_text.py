"""Past cases as JSON, and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from homeostat.records.past import Found, Note, PastCase
from homeostat.records.times import time_text


def case_text(case: PastCase) -> str:
    """A case as JSON, the same for the same content.

    >>> read_case(case_text(PastCase("i1", 1, 5, 0, ()))) == PastCase("i1", 1, 5, 0, ())
    True
    """
    return json.dumps(msgspec.to_builtins(case), separators=(",", ":"), sort_keys=True)


def read_case(text: str | bytes) -> PastCase:
    """The case of such a text. Raises ValueError where it is none."""
    try:
        return msgspec.json.decode(text, type=PastCase)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"this is no case: {error}") from error


def shown_case(case: PastCase) -> dict[str, Any]:
    """A case as people's programs get it."""
    found: dict[str, Any] = msgspec.to_builtins(case)
    closed = time_text(case.closed_ns) if case.closed_ns else None
    return {**found, "opened": time_text(case.opened_ns), "closed": closed}


def shown_note(note: Note) -> dict[str, Any]:
    """A note as people's programs get it."""
    return {"name": note.name, "at": time_text(note.at_ns), "text": note.text}


def shown_found(found: Found) -> dict[str, Any]:
    """A passage as people's programs get it."""
    return {"source": found.source, "id": found.id, "title": found.title, "text": found.text}
